"""MONAI Label's web application, which says what is wrong with a request."""

from fastapi import Request
from fastapi.responses import JSONResponse
from monailabel.app import app
from monailabel.interfaces.exception import MONAILabelException


@app.exception_handler(MONAILabelException)
@app.exception_handler(ValueError)
@app.exception_handler(OSError)
async def tell(_: Request, error: Exception) -> JSONResponse:
    """Answer a user's mistake by its one line; OSError stands for files that are not there."""
    return JSONResponse({"detail": str(error)}, status_code=400)


__all__ = ["app"]
