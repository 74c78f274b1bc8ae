# SPDX-License-Identifier: Apache-2.0
"""Requests that an attacker spells otherwise, or sends without the token."""

from __future__ import annotations

from collections.abc import Iterator

from tests.attack.http_request import FORM, Attack, posted
from tests.label_server import CLASSIFIER, TOKEN


def lines(case: str, host: str) -> Iterator[Attack]:
    """Other verbs, spellings of a path, headers and pages of other sites."""
    gone = range(300, 500)
    for method in ("PATCH", "TRACE", "PROPFIND", "OPTIONS", "LINK", "delete"):
        yield Attack(f"{method} an image", f"{method} /datastore/image?id={case}", codes=gone)
    for header in ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"):
        yield Attack(f"DELETE by {header}", f"GET /datastore/?id={case}", headers={header: "DELETE"}, harmless=True)
    yield Attack("DELETE by a field", f"POST /datastore/image?id={case}&_method=DELETE", codes=gone)
    yield Attack("HEAD in place of GET", "HEAD /info/", codes=gone)
    for path in ("//info/", "/./info/", "/info/..;/", "/INFO/", "/info/%00", "/x/../info/",
                 "/info%3f", "/auth/%3f", "/auth/..%2finfo/", "/auth/%23", "/auth/token%3f", "/;/info/",
                 "/info;x=1/", "/auth//../info/", "/auth/token/valid%3f"):  # fmt: skip
        yield Attack(f"path {path}", f"GET {path}", codes=gone)
    for path in ("/%69nfo/", "/info%2f"):
        yield Attack(f"path {path}", f"GET {path}", harmless=True)
    yield Attack("proxy's form of a request", "GET http://evil.example/info/", codes=gone)
    yield Attack("closed part, spelt otherwise", "GET /%70roxy/dicom/x", codes=gone)
    for path in ("//proxy/dicom/x", "/./scoring/", "/x/../session/x"):
        yield Attack(f"closed part as {path}", f"GET {path}", codes=gone)
    for origin in ("http://evil.example", "null", f"http://{host}.evil.example", f"http://evil@{host}", "file://",
                   "http://127.0.0.1:1", f"chrome-extension://{host}x"):  # fmt: skip
        yield Attack(f"page of {origin}", "GET /info/", headers={"Origin": origin})
    for name in ("evil.example", "127.0.0.1.evil.example", "localhost.evil:80", "0", "", "[::1", f"{host}/x?",
                 "127.0.0.1:80:80", f"evil@{host}", "2130706433"):  # fmt: skip
        yield Attack(f"host {name!r}", "GET /info/", headers={"Host": name})
    yield Attack("no host", "GET /info/ HTTP/1.0", headers={"Host": None})
    yield Attack("forwarded host", "GET /info/", headers={"X-Forwarded-Host": "evil.example"}, harmless=True)
    cookie: dict[str, str | None] = {"Authorization": None, "Cookie": f"phase_fusion_token={TOKEN}"}
    yield Attack("a cookie from another page", "GET /info/", headers=cookie | {"Sec-Fetch-Site": "cross-site"})
    yield Attack("a cookie from another port", "GET /info/", headers=cookie | {"Sec-Fetch-Site": "same-site"})
    yield Attack("a cookie and a foreign referer", "GET /info/", headers=cookie | {"Referer": "http://evil.example/"})
    asks = {"Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "authorization"}
    yield Attack("asked before a request of another page", "OPTIONS /datastore/image",
                 headers={**asks, "Origin": "http://evil.example", "Authorization": None})  # fmt: skip
    yield Attack("a line break in a path", "GET /info%0d%0aSet-Cookie:%20a=b", codes=gone)
    yield Attack("a line break in an image", f"POST /infer/{CLASSIFIER}?image=x%0d%0aSet-Cookie:a=b",
                 *posted(params="{}"))  # fmt: skip
    yield Attack("a line break in a tag", f"PUT /datastore/label?image={case}&tag=x%0aforged",
                 *posted(label=("x.json", b"{}")))  # fmt: skip
    yield Attack("two lengths", "POST /auth/token", b"x", {"Content-Length": "1\r\nContent-Length: 2"})
    yield Attack("a request in a request", "POST /auth/token", b"0\r\n\r\nGET /info/ HTTP/1.1\r\n\r\n",
                 {"Transfer-Encoding": "chunked", "Content-Length": "4"})  # fmt: skip
    socket = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
              "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}  # fmt: skip
    yield Attack("a websocket", "GET /info/", headers=dict(socket), harmless=True)
    yield Attack("a websocket of nobody", "GET /info/", headers={**socket, "Authorization": None})
    yield Attack("another protocol", "PRI * HTTP/2.0", codes=gone)
    yield Attack("a long path", "GET /" + "a" * 60_000, codes=gone)
    yield Attack("a long header", "GET /info/", headers={"X": "a" * 200_000})


def logins() -> Iterator[Attack]:
    """Ways to get in without the token."""
    jwt = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiIsImV4cCI6MX0."
    for given in (None, "", "Bearer", "Bearer ", "Bearer null", "Bearer undefined", f"Bearer {jwt}",
                  f"Basic {TOKEN}",
                  f"Token {TOKEN}", TOKEN, f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x",
                  f"Bearer {TOKEN.upper()}",
                  "Bearer \xff\xfe", f"Digest username=x, response={TOKEN}"):  # fmt: skip
        yield Attack(f"login {str(given)[:30]!r}", "GET /info/", headers={"Authorization": given}, codes=[401])
    nobody: dict[str, str | None] = {"Authorization": None}
    for line in (f"GET /info/?token={TOKEN}", f"GET /info/?access_token={TOKEN}", f"GET /?token={TOKEN}x",
                 "GET /?token=",
                 f"HEAD /?token={TOKEN}", f"POST /?token={TOKEN}"):  # fmt: skip
        yield Attack(f"the token in {line[:22]}", line, headers=nobody, codes=[401])
    for cookie in ("phase_fusion_token=", "phase_fusion_token=x", f"token={TOKEN}", "phase_fusion_token=" + "x" * 9000):
        yield Attack(f"cookie {cookie[:25]}", "GET /info/", headers={**nobody, "Cookie": cookie}, codes=[401])
    for body in ("", "password=", "password=x", "username=x&password[]=x", "password=x&password=y", "%00=%00"):
        form = {**nobody, "Content-Type": FORM}
        yield Attack(f"log in with {body!r}", "POST /auth/token", body.encode(), form, codes=[401])
    yield Attack("log in with a large body", "POST /auth/token", b"password=" + b"x" * 20_000_000,
                 {**nobody, "Content-Type": FORM}, codes=[413])  # fmt: skip
    yield Attack("log in with a body said to be huge", "POST /auth/token", b"x",
                 {**nobody, "Content-Length": str(10**12)}, codes=[413])  # fmt: skip
    for method in ("GET", "PUT", "DELETE"):
        yield Attack(f"{method} /auth/token", f"{method} /auth/token", headers=nobody, codes=[401])
    for page in ("/docs", "/openapi.json", "/redoc", "/favicon.ico", "/logs/gpu", "/reload", "/ohif/", "/metrics"):
        yield Attack(f"page {page} for nobody", f"GET {page}", headers=nobody, codes=[401])
