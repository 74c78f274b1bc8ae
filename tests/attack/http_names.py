# SPDX-License-Identifier: Apache-2.0
"""Names that an attacker sends to the server."""

from __future__ import annotations

import io
import json
import stat
import zipfile
from collections.abc import Iterator
from urllib.parse import quote

from tests.attack.http_request import Attack, posted
from tests.label_server import CLASSIFIER


def names(case: str, outside: str) -> Iterator[Attack]:
    """Paths where a name is expected, in queries, file names and archives."""
    infer = f"POST /infer/{CLASSIFIER}"
    for path in ("../../outside/x", outside, "..", "a\\..\\..\\x", f"{case}/../../x", "x\0y", "%2e%2e%2fx", ".", "~"):
        name, shown = quote(path, safe=""), path[:12]
        yield Attack(f"image {shown!r} to predict", f"{infer}?image={name}", *posted(params="{}"))
        yield Attack(f"image {shown!r} to store", f"PUT /datastore/?image={name}", *posted(file=("x.nii.gz", b"x")))
        yield Attack(f"tag {shown!r}", f"PUT /datastore/label?image={case}&tag={name}",
                     *posted(label=("x.json", b'{"label": "low"}')))  # fmt: skip
        yield Attack(f"file named {shown!r}", "PUT /datastore/image?image=new2",
                     *posted(file=(path.replace("\0", "\\0") + ".nii.gz", b"x")))  # fmt: skip
        yield Attack(f"delete {shown!r}", f"DELETE /datastore/label?id={name}&tag=final")
        yield Attack(f"session {shown!r}", f"GET /session/{name}?image=true")
        yield Attack(
            f"weights {shown!r}", infer + f"?image={case}", *posted(params=json.dumps({"model_filename": path}))
        )
    for ending in ("arterial", "portal", "lesion"):
        for line, file in ((f"PUT /datastore/?image={case}_{ending}", "x.nii.gz"),
                           ("PUT /datastore/image", f"{case}_{ending}.nii.gz")):  # fmt: skip
            yield Attack(f"over the file of the phase {ending}", line, *posted(file=(file, b"x")))
    yield Attack("over the server's own list", "PUT /datastore/?image=datastore_v2", *posted(file=("x.json", b"{}")))
    yield Attack("an image with an ending of ours", "PUT /datastore/?image=new3", *posted(file=("x.bin", b"x")))
    yield Attack("a name that reads backwards", "PUT /datastore/?image=new4", *posted(file=("x.\u202egz.nii", b"x")))
    for method, line in (("DELETE", f"/datastore/?id={case}"), ("DELETE", f"/datastore/image?id={case}"),
                         ("DELETE", f"/datastore/image/?id={case}"),
                         ("DELETE", f"//datastore/image?id={case}"),
                         ("DELETE", f"/model/{CLASSIFIER}")):  # fmt: skip
        yield Attack(f"{method} {line}", f"{method} {line}", codes=[403, 404, 405, 307])
    yield Attack("weights from outside", f"PUT /model/{CLASSIFIER}", *posted(file=("model.pt", b"x")))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as content:
        link = zipfile.ZipInfo("x.nii.gz")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        content.writestr(link, outside)
        content.writestr(f"../../{outside}", "x")
    for line in ("PUT /session/?uncompress=true", "PUT /session?uncompress=true"):
        yield Attack(f"a zip with a link: {line}", line, *posted(files=("x.zip", archive.getvalue())), codes=[403, 307])
    for line in ("PUT /datastore/?image=new5", f"{infer}?image={case}"):
        yield Attack(f"a zip with a link: {line[:16]}", line, *posted(file=("x.zip", archive.getvalue())))
    yield Attack("a file that is no image", infer, *posted(params="{}", file=("x.nii.gz", b"x" * 2000)))
    yield Attack(
        "scribbles that are no image", f"{infer}?image={case}", *posted(params="{}", label=("x.bin", b"x" * 99))
    )
    yield Attack("an image of a session", f"{infer}?session_id=x", *posted(params="{}"))
    yield Attack("no image", infer, *posted(params="{}"))
    for output in ("image", "dicom_seg", "../x", "$1"):
        yield Attack(f"output {output}", f"{infer}?image={case}&output={quote(output)}", *posted(params="{}"))
    yield Attack("two images, one a path", f"{infer}?image=../x&image={case}", *posted(params="{}"))
    yield Attack("a checksum of another kind", f"HEAD /datastore/image?image={case}&check_sum=x:1")
    for path in ("..%2f..%2findex.html", "%2e%2e", f"%2f{outside}", "..%5c..%5cx", "%00"):
        yield Attack(f"page {path[:12]}", f"GET /ohif/{path}")
    for path in ("/files/x", "/static/../app.py", "/etc/passwd", "/../../etc/passwd", "/docs/../info/"):
        yield Attack(f"file {path}", f"GET {path}")
    for op in ("", "wado/", "qido/", "stow/"):
        for method in ("GET", "POST"):
            yield Attack(f"{method} through the proxy: {op}", f"{method} /proxy/dicom/{op}http://127.0.0.1:22/")
