# SPDX-License-Identifier: Apache-2.0
"""Access control in front of MONAI Label.

A request must carry the token that is printed at the start: as a bearer token or, in a browser that opened the
printed address, as a cookie. `phase_fusion_check` checks its content.
"""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

from fastapi import HTTPException, Request
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN = os.environ.pop("PHASE_FUSION_TOKEN", "")
"""Printed at the start; no process that the server starts inherits it."""
COOKIE = "phase_fusion_token"
OPEN = {("GET", "/auth/"), ("POST", "/auth/token")}
"""Answered without a token: how to log in."""
HOSTS = frozenset(["127.0.0.1", "localhost", "[::1]"])
CLOSED = {
    "/proxy/": "studies are a folder, not a DICOMweb server",
    "/session/": "a case is a folder or several files in the studies; one uploaded volume is none",
    "/infer/wsi": "this model reads volumes, not whole slides",
    "/scoring/": "labels are classes, which this server does not score",
}
"""Parts of MONAI Label that are not served, and why."""
LOGIN_SIZE, TEXT_SIZE, FORM_SIZE = 10_000, 1_000_000, 8_000_000_000
"""Most bytes of a request: to log in, with JSON, and with a form, which uploads images."""


def is_token(given: str) -> bool:
    """Return whether this is the token, in constant time."""
    return bool(TOKEN) and hmac.compare_digest(given.encode("utf-8", "replace"), TOKEN.encode())


class Door:
    """Answers 403 to another host or origin, and 401 without the token."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        request = Request(scope)
        answer = self.refusal(request)
        await (answer or self.app)(scope, _at_most(size_of(request), receive), send)

    def refusal(self, request: Request) -> JSONResponse | RedirectResponse | None:
        """Return the answer given in place of the server's, or None."""
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        if re.sub(r":\d+$", "", host) not in HOSTS:
            return _refuse(403, f"this server is asked for as 127.0.0.1 or localhost, found host {host!r}")
        if origin is not None and urlsplit(origin).netloc != host:
            return _refuse(403, f"requests come from this server's own pages, found origin {origin!r}")
        path = request.scope["path"]  # decoded, as the router reads it
        if int(request.headers.get("content-length", 0)) > size_of(request):
            return _refuse(413, f"a request may have {size_of(request)} bytes here, found more")
        if request.method == "GET" and path == "/" and is_token(request.query_params.get("token", "")):
            page = RedirectResponse("/", status_code=303)
            page.set_cookie(COOKIE, TOKEN, httponly=True, samesite="strict")
            return page
        if (request.method, path) in OPEN:
            return None
        kind, _, bearer = request.headers.get("authorization", "").partition(" ")
        holds = is_token(bearer.strip()) if kind.lower() == "bearer" else False
        own_page = is_token(request.cookies.get(COOKIE, "")) and not _from_elsewhere(request, host)
        if not (holds or own_page):
            line = "log in with the token that `make label` printed, as the password or as a bearer"
            return _refuse(401, line, {"WWW-Authenticate": "Bearer"})
        for start, why in CLOSED.items():
            if path.startswith(start):
                return _refuse(403, f"{path} is not served: {why}")
        return None


def size_of(request: Request) -> int:
    """Return the most bytes that this request may have."""
    if (request.method, request.scope["path"]) in OPEN:
        return LOGIN_SIZE
    is_form = request.headers.get("content-type", "").lower().startswith("multipart/form-data")
    return FORM_SIZE if is_form else TEXT_SIZE


def _at_most(size: int, receive: Receive) -> Receive:
    """Stop reading a request after `size` bytes, whatever length it declared."""

    async def bounded() -> Message:
        nonlocal size
        message = await receive()
        size -= len(message.get("body", b""))
        if size < 0:
            raise HTTPException(413, "a request must not be larger than what it is for")
        return message

    return bounded


def _from_elsewhere(request: Request, host: str) -> bool:
    """Whether the request comes from a page of another site or port; cookies do not distinguish ports."""
    referer = request.headers.get("referer")
    told = request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
    return told or (referer is not None and urlsplit(referer).netloc != host)


def _refuse(status: int, line: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": line}, status_code=status, headers=dict(headers or {}))


async def log_in(request: Request) -> dict[str, str]:
    """Return the bearer token that MONAI Label's clients keep, for any user whose password is the token."""
    body = (await request.body()).decode("utf-8", "replace")
    if not is_token(parse_qs(body).get("password", [""])[0]):
        raise HTTPException(401, "the password is the token that `make label` printed")
    return {"access_token": TOKEN, "token_type": "bearer"}
