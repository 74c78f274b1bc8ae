"""MONAI Label's web application behind our door, which says what is wrong with a request."""

from fastapi import Depends, FastAPI, Request
from fastapi.middleware import Middleware
from fastapi.responses import JSONResponse
from monailabel.app import app as label
from monailabel.interfaces.exception import MONAILabelException
from monailabel.transform.writer import ClassificationWriter
from phase_fusion_door import Door, check, log_in

scores_alone = ClassificationWriter.__call__


def with_judgement(self, data):
    """Answer a classification by its scores and what our last step says: the positive class and threshold."""
    file, answer = scores_alone(self, data)
    return file, {**data.get("result", {}), **answer}


ClassificationWriter.__call__ = with_judgement

app = FastAPI(
    title=label.title, docs_url=None, redoc_url=None, openapi_url=None, middleware=[Middleware(Door)],
)  # fmt: skip


@app.get("/auth/")
async def says_how() -> dict:
    """Tell a client to log in here, with a name and a password."""
    return {"enabled": True, "client_id": None, "realm": None}


@app.post("/auth/token")
async def gives_token(request: Request) -> dict:
    """Log in."""
    return await log_in(request)


@app.get("/auth/token/valid")
async def is_valid() -> dict:
    """Reached by those who hold the token."""
    return {"username": "label", "email": None, "name": None, "roles": []}


app.include_router(label.router, dependencies=[Depends(check)])


@app.exception_handler(MONAILabelException)
@app.exception_handler(ValueError)
@app.exception_handler(OSError)
@app.exception_handler(RuntimeError)
async def tell(_: Request, error: Exception) -> JSONResponse:
    """Answer a user's mistake by its one line: a ValueError, or an OSError where a file is not there.

    While it builds a part, MONAI turns these into a RuntimeError that they are the cause of.
    """
    cause: BaseException | None = error
    while isinstance(cause, RuntimeError):
        cause = cause.__cause__
    if cause is None:
        return JSONResponse({"detail": f"{type(error).__name__}: {error}"}, status_code=500)
    return JSONResponse({"detail": str(cause)}, status_code=400)


__all__ = ["app"]
