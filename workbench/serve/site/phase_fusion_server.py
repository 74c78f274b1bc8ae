# SPDX-License-Identifier: Apache-2.0
"""MONAI Label's web application behind access control, with errors that say what is wrong with a request."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware import Middleware
from fastapi.responses import FileResponse, JSONResponse
from monailabel.app import app as label
from monailabel.endpoints.datastore import download_dataset
from monailabel.interfaces.exception import MONAILabelException
from monailabel.transform.writer import ClassificationWriter
from monailabel.utils.others.generic import remove_file
from phase_fusion_check import check, tidy
from phase_fusion_door import Door, log_in

MISTAKES = (MONAILabelException, ValueError, OSError, AssertionError)
HELD = Path(".run")
"""In the app's folder, the working directory: says which process has it (see `workbench.serve`)."""
scores_alone = ClassificationWriter.__call__


def with_judgement(self, data):
    """Answer a classification with its scores and the result of our last step: positive class and threshold."""
    file, answer = scores_alone(self, data)
    return file, {**data.get("result", {}), **answer}


ClassificationWriter.__call__ = with_judgement


@asynccontextmanager
async def gives_back(_: FastAPI) -> AsyncIterator[None]:
    """Release the app's folder at the end."""
    yield
    HELD.unlink(missing_ok=True)


app = FastAPI(
    title=label.title, docs_url=None, redoc_url=None, openapi_url=None, middleware=[Middleware(Door)],
    lifespan=gives_back,
)  # fmt: skip


@app.get("/auth/")
async def says_how() -> dict:
    """Tell a client to log in here, with a name and a password."""
    return {"enabled": True, "client_id": None, "realm": None}


@app.post("/auth/token")
async def gives_token(request: Request) -> dict:
    """Return the token to a client that logs in with it as the password."""
    return await log_in(request)


@app.get("/auth/token/valid")
async def is_valid() -> dict:
    """Confirm the token, without which this is not reached."""
    return {"username": "label", "email": None, "name": None, "roles": []}


@app.get("/datastore/dataset", dependencies=[Depends(check)])
def gives_dataset(background: BackgroundTasks, limit_cases: int | None = None) -> FileResponse:
    """Send the labelled cases as a ZIP file, and remove it afterwards, which MONAI Label does not."""
    answer = download_dataset(limit_cases)
    background.add_task(remove_file, answer.path)
    return answer


app.include_router(label.router, dependencies=[Depends(check), Depends(tidy)])


@app.exception_handler(RequestValidationError)
async def tell_what_is_missing(_: Request, error: RequestValidationError) -> JSONResponse:
    """Say in one line which part of a request is missing or of another type."""
    first = error.errors()[0]
    where = ".".join(str(part)[:60] for part in first["loc"])
    return JSONResponse({"detail": f"{where} is wrong: {first['msg'][:200]}"}, status_code=400)


@app.exception_handler(HTTPException)
async def tell_mistake(_: Request, error: HTTPException) -> JSONResponse:
    """Answer what MONAI Label refuses; it gives a user's mistake status 500."""
    status = 400 if error.status_code == 500 else error.status_code
    return JSONResponse({"detail": error.detail}, status)


@app.exception_handler(MONAILabelException)
@app.exception_handler(ValueError)
@app.exception_handler(OSError)
@app.exception_handler(RuntimeError)
@app.exception_handler(AssertionError)
@app.exception_handler(Exception)
async def tell(_: Request, error: Exception) -> JSONResponse:
    """Answer a user's mistake with its one line: a ValueError, or an OSError for a missing file.

    While building a component, MONAI wraps these in a RuntimeError as its cause.
    """
    cause: BaseException | None = error
    while isinstance(cause, RuntimeError):
        cause = cause.__cause__
    if isinstance(cause, MISTAKES):
        return JSONResponse({"detail": str(getattr(cause, "msg", cause))}, status_code=400)
    line = " ".join(f"{type(error).__name__}: {error}".split())
    return JSONResponse({"detail": line[:500]}, status_code=500)
