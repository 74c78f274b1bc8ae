"""Who may speak to the server, and what a request may hold: the one door in front of MONAI Label.

Whoever sends a request holds the token that is printed at the start, as a bearer or, in a browser that opened
the printed address, as a cookie. Whatever a request holds is a literal of the type and range of its option,
since it reaches MONAI's configuration, where `$`, `@`, `%` and `_target_` would be code.
"""

from __future__ import annotations

import hmac
import json
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fastapi import HTTPException, Request
from fastapi.responses import JSONResponse, RedirectResponse
from monailabel.interfaces.utils.app import app_instance
from phase_fusion_options import OPTIONS, are_numbers, is_either
from starlette.types import ASGIApp, Receive, Scope, Send

TOKEN = os.environ.pop("PHASE_FUSION_TOKEN", "")
"""Printed at the start; no process that the server starts inherits it."""
COOKIE = "phase_fusion_token"
OPEN = {("GET", "/auth/"), ("POST", "/auth/token")}
"""What is answered to everybody: how to log in."""
HOSTS = frozenset(["127.0.0.1", "localhost", "[::1]"])
CLOSED = {
    "/proxy/": "studies are a folder, not a DICOMweb server",
    "/session/": "a case is a folder or several files in the studies; one uploaded volume is none",
    "/infer/wsi": "this model reads volumes, not whole slides",
    "/scoring/": "labels are classes, which this server does not score",
}
"""Parts of MONAI Label that this model has no use for, and why."""
FILE_NAME = r"[^/\\\x00-\x1f]{1,200}\.(nii|nii\.gz|nrrd|mha|json|bin)"
"""Name of a file that is sent: its ending becomes that of a file among the studies."""


def is_token(given: str) -> bool:
    """Return whether this is the token, in a time that tells nothing of it."""
    return bool(TOKEN) and hmac.compare_digest(given.encode("utf-8", "replace"), TOKEN.encode())


class Door:
    """Answers 403 to another host or origin, and 401 to whoever does not hold the token."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        answer = self.refusal(Request(scope))
        await (answer or self.app)(scope, receive, send)

    def refusal(self, request: Request) -> JSONResponse | RedirectResponse | None:
        """Return what is answered in place of the server, or None."""
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        if re.sub(r":\d+$", "", host) not in HOSTS:
            return _refuse(403, f"this server is asked for as 127.0.0.1 or localhost, found host {host!r}")
        if origin is not None and urlsplit(origin).netloc != host:
            return _refuse(403, f"requests come from this server's own pages, found origin {origin!r}")
        path = request.url.path
        if request.method == "GET" and path == "/" and is_token(request.query_params.get("token", "")):
            page = RedirectResponse("/", status_code=303)
            page.set_cookie(COOKIE, TOKEN, httponly=True, samesite="strict")
            return page
        if (request.method, path) in OPEN:
            return None
        kind, _, bearer = request.headers.get("authorization", "").partition(" ")
        holds = is_token(bearer.strip()) if kind.lower() == "bearer" else False
        if not (holds or is_token(request.cookies.get(COOKIE, ""))):
            line = "log in with the token that `make label` printed, as the password or as a bearer"
            return _refuse(401, line, {"WWW-Authenticate": "Bearer"})
        for start, why in CLOSED.items():
            if path.startswith(start):
                return _refuse(403, f"{path} is not served: {why}")
        return None


def _refuse(status: int, line: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": line}, status_code=status, headers=dict(headers or {}))


async def log_in(request: Request) -> dict[str, str]:
    """Give whoever knows the token, as any user's password, the bearer that MONAI Label's clients keep."""
    body = (await request.body())[:10_000].decode("utf-8", "replace")
    if not is_token(parse_qs(body).get("password", [""])[0]):
        raise HTTPException(401, "the password is the token that `make label` printed")
    return {"access_token": TOKEN, "token_type": "bearer"}


async def check(request: Request) -> None:
    """Hold names, options and texts of a request against what the server knows.

    Raises:
        HTTPException: 403 where originals or weights would go, 400 with one line for anything else.
    """
    path, method = request.url.path, request.method
    if method == "DELETE" and path in ("/datastore", "/datastore/", "/datastore/image"):
        raise HTTPException(403, "images of the studies are not deleted by this server")
    if method in ("PUT", "DELETE") and path.startswith("/model/"):
        raise HTTPException(403, "weights come from training, none are uploaded or deleted")
    info = app_instance().info()
    for name, value in [*request.path_params.items(), *request.query_params.multi_items()]:
        _check_name(
            name, value, info, new_image=method == "PUT" and path in ("/datastore/", "/datastore/image")
        )
    model = request.path_params.get("model")
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if kind in ("multipart/form-data", "application/x-www-form-urlencoded"):
        for field, text in (await request.form()).multi_items():
            if isinstance(text, str):
                _check_options(field, _read_json(field, text), model, info)
            elif not re.fullmatch(FILE_NAME, text.filename or ""):
                line = "an uploaded file must be named as an image or a JSON file, without a path"
                raise HTTPException(400, f"{line}, found {(text.filename or '')[:120]!r}")
    elif body := await request.body():
        options = _read_json("body", body.decode("utf-8", "replace"))
        if path == "/train/":
            for name, own in options.items():
                _check_known("model", name, info["trainers"])
                _check_options("params", own, name, info)
        else:
            _check_options("params", options, model, info)


def _read_json(field: str, text: str) -> dict[str, Any]:
    try:
        content = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"{field} must be JSON, found {text[:80]!r}: {error}") from None
    if content is not None and not isinstance(content, dict):
        raise HTTPException(400, f"{field} must be a JSON object of options, found {text[:80]!r}")
    return content or {}


def _check_known(name: str, value: Any, known: Any) -> None:
    if value not in known:
        listed = ", ".join(map(str, list(known)[:10])) or "none"
        raise HTTPException(404, f"{name} must be one of {listed}, found {str(value)[:200]!r}")


def _check_name(name: str, value: str, info: Mapping[str, Any], *, new_image: bool) -> None:
    if name == "model":
        _check_known(name, value, set(info["models"]) | set(info["trainers"]))
    elif name == "strategy":
        _check_known(name, value, info["strategies"])
    elif name in ("image", "label", "id") and not new_image:
        if value:
            _check_known(name, value, app_instance().datastore().list_images())
    elif name in ("image", "tag", "session_id", "check_sum"):
        if new_image and value in app_instance().datastore().list_images():
            raise HTTPException(409, f"image {value[:200]!r} is among the studies and is not overwritten")
        if value and not re.fullmatch(r"[\w-][\w.:-]{0,199}", value):
            line = f"{name} must be letters, digits, '_', '-' and '.', found {value[:200]!r}"
            raise HTTPException(400, line)
    elif name == "path" and (".." in value.split("/") or value.startswith(("/", "\\"))):  # of OHIF's pages
        raise HTTPException(400, f"a page's path must stay in its folder, found {value[:200]!r}")


def _check_options(
    field: str, options: Mapping[str, Any], model: str | None, info: Mapping[str, Any]
) -> None:
    if field in ("info", "label_info"):  # a client's notes beside an image or label
        _check_notes(field, options)
        return
    parts = [info[kind].get(model, {}).get("config", {}) for kind in ("models", "trainers")] if model else []
    offered: dict[str, Any] = {name: value for part in parts for name, value in part.items()}
    if field == "params" and model is None:
        _check_notes(field, options)
        return
    for name, value in options.items():
        must, holds = OPTIONS.get(name) or _offer(name, offered)
        if isinstance(value, list) and value == offered.get(name):
            continue  # a client gave the list to choose from back: nothing was chosen
        if not holds(value):
            raise HTTPException(400, f"option {name[:60]!r} must be {must}, found {str(value)[:120]!r}")


def _offer(name: str, offered: Mapping[str, Any]):
    """Return what must hold for an option of this model: one of its list, or a number, or numbers."""
    if name not in offered:
        known = ", ".join(sorted(set(offered) | set(OPTIONS)))
        raise HTTPException(400, f"there is no option {name[:60]!r}; known are {known}")
    default = offered[name]
    if isinstance(default, list | tuple):
        return f"one of {', '.join(map(repr, default))}", lambda value: value in default or value is None
    if isinstance(default, bool):
        return "true or false", is_either
    return "a number, or empty where it is not known", are_numbers


def _check_notes(field: str, content: Any, depth: int = 0) -> None:
    """Refuse in notes whatever a configuration would take for an expression."""
    if depth > 8:
        raise HTTPException(400, f"{field} must not be nested deeper than 8")
    if isinstance(content, Mapping):
        for key, value in content.items():
            _check_notes(field, key, depth + 1)
            _check_notes(field, value, depth + 1)
    elif isinstance(content, list):
        for value in content:
            _check_notes(field, value, depth + 1)
    elif isinstance(content, str) and re.match(r"\s*[$@%]|_\w+_$", content):
        raise HTTPException(400, f"{field} must hold plain values, found {content[:120]!r}")
