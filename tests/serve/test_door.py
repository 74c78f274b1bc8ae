# SPDX-License-Identifier: Apache-2.0
"""The door of `make label`: requests of strangers and of other pages, and what would be code or a path."""

from __future__ import annotations

import json
import urllib.error
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from tests.label_server import CLASSIFIER, NEEDS_LABEL

pytestmark = NEEDS_LABEL


@pytest.fixture(scope="module")
def witness(tmp_path_factory) -> Path:
    """A file that appears when a payload runs."""
    return tmp_path_factory.mktemp("attack") / "ran"


@pytest.fixture(scope="module")
def payloads(witness) -> list:
    code = f"open({str(witness)!r}, 'w').close()"
    return [
        f"${code}", f" ${code}", {"_target_": "builtins.open", "file": str(witness), "mode": "w"},
        [f"${code}"], "@network", "%network_def", "@displayable_configs", f"%{witness}",
    ]  # fmt: skip


@pytest.fixture
def status(server):
    """Return a request's status, and the line of a refusal."""

    def ask(call, *arguments, **options) -> tuple[int, str]:
        try:
            return 200, call(*arguments, **options).decode("utf-8", "replace")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())["detail"]

    return ask


@pytest.fixture
def files(studies, app):
    """What lies in the studies and beside them, before and after."""

    def listed() -> dict[str, int]:
        found = [path for root in (studies.parent, app.parent) for path in root.rglob("*") if path.is_file()]
        return {
            str(path): path.stat().st_size
            for path in found
            if "log" not in path.name and "datastore" not in path.name and "__pycache__" not in str(path)
        }

    return listed


PAGES = [
    "/", "/info/", "/datastore/?output=all", "/openapi.json", "/docs", "/logs/", "/ohif/index.html",
    "/train/", "/datastore/image?image=x", f"/model/{CLASSIFIER}", "/batch/infer", "/auth/token/valid",
]  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
def test_a_stranger_gets_no_answer(server, status, page) -> None:
    for given in ("", "Bearer ", "Bearer wrong", "Basic bGFiZWw6eA=="):
        assert status(server.ask, page, Authorization=given)[0] == 401
    assert status(server.ask, page, Authorization="", Cookie="phase_fusion_token=x")[0] == 401


def test_slicer_logs_in_with_the_token_as_password(server, status) -> None:
    assert json.loads(server.ask("/auth/", Authorization="")) == {
        "enabled": True, "client_id": None, "realm": None,
    }  # fmt: skip
    token = server.headers["Authorization"].removeprefix("Bearer ")
    form = "application/x-www-form-urlencoded"
    body = urlencode({"username": "anybody", "password": token, "grant_type": "password"}).encode()
    given = json.loads(server.ask("/auth/token", "POST", body, form, Authorization=""))
    assert given == {"access_token": token, "token_type": "bearer"}
    assert server.ask("/auth/token/valid", Authorization=f"bearer {given['access_token']}")
    wrong = urlencode({"username": "anybody", "password": "guess"}).encode()
    assert status(server.ask, "/auth/token", "POST", wrong, form, Authorization="")[0] == 401
    assert status(server.ask, "/", Authorization="", Cookie=f"phase_fusion_token={token}")[0] == 200


def test_other_hosts_and_pages_are_refused(server, status) -> None:
    for origin in ("http://evil.example", "null", server.root.replace("127.0.0.1", "localhost")):
        assert status(server.ask, "/info/", Origin=origin)[0] == 403
    assert status(server.ask, "/info/", Host="evil.example")[0] == 403
    assert status(server.ask, "/info/", Host="127.0.0.1.evil.example:80")[0] == 403
    assert status(server.ask, "/info/", Origin=server.root)[0] == 200


@pytest.mark.parametrize(
    "option",
    ["age", "sex", "point", "box", "device", "logging", "model_filename", "label_tag", "image", "roi",
     "clinical", "_target_", "network_def", "result_extension", "client_id", "positive"],
)  # fmt: skip
def test_no_option_of_a_prediction_is_code(server, status, cases, payloads, witness, option) -> None:
    for payload in payloads:
        code, line = status(
            server.form, f"/infer/{CLASSIFIER}?image={cases[0]['case']}", "POST", "params",
            json.dumps({option: payload}),
        )  # fmt: skip
        assert code == 400
        assert "\n" not in line
        assert option in line
    assert not witness.exists()


@pytest.mark.parametrize(
    "option",
    ["max_epochs", "val_split", "device", "run_id", "tracking", "tracking_uri", "model_filename", "gpus",
     "age", "train#dataset#data", "pretrained"],
)  # fmt: skip
def test_no_option_of_a_training_is_code(server, status, payloads, witness, option) -> None:
    for payload in payloads:
        for path, body in (
            (f"/train/{CLASSIFIER}", {option: payload}), ("/train/", {CLASSIFIER: {option: payload}}),
            (f"/batch/infer/{CLASSIFIER}", {option: payload}),
        ):  # fmt: skip
            code, line = status(server.ask, path, "POST", json.dumps(body).encode())
            assert code == 400, line
    assert not witness.exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_epochs", 0), ("max_epochs", 2.5), ("max_epochs", "1"), ("max_epochs", 1e9), ("val_split", 7),
     ("val_split", True), ("device", "gpu"), ("tracking", "mlflow"), ("sex", "X"), ("age", [["nan"]]),
     ("age", float("inf")), ("model_filename", "../../x.pt"), ("save_label", 3), ("nonsense", 1)],
)  # fmt: skip
def test_numbers_have_types_and_ranges(server, status, name, value) -> None:
    code, line = status(server.ask, f"/train/{CLASSIFIER}", "POST", json.dumps({name: value}).encode())
    assert (code, name in line) == (400, True)


PATHS = ["../../etc/passwd", "/etc/passwd", "..", "a/../../b", "..\\..\\x", "p001/../../x", "%2e%2e/x", "$HOME", "@x"]


@pytest.mark.parametrize("path", PATHS)
def test_no_name_is_a_path(server, status, cases, files, path) -> None:
    before, name = files(), quote(path, safe="")
    case = cases[0]["case"]
    for call, at, method in (
        (server.form, f"/infer/{CLASSIFIER}?image={name}", "POST"),
        (server.form, f"/datastore/?image={name}", "PUT"),
        (server.form, f"/datastore/label?image={name}&tag=final", "PUT"),
        (server.form, f"/datastore/label?image={case}&tag={name}", "PUT"),
        (server.form, f"/datastore/updatelabelinfo?label={case}&tag={name}", "PUT"),
    ):
        field = ("params", "{}") if "infer" in at or "info" in at else ("label", '{"label": "low"}', "x.json")
        if at.startswith("/datastore/?"):
            field = ("file", "x", "x.nii.gz")
        assert status(call, at, method, *field)[0] in (400, 404), at
    for at in (f"/datastore/image?image={name}", f"/datastore/label?label={case}&tag={name}",
               f"/datastore/image/info?image={name}", f"/model/{name}"):  # fmt: skip
        assert status(server.ask, at)[0] in (400, 404), at
    code, page = status(server.ask, f"/ohif/{name}")
    assert code in (400, 404) or "<!doctype html>" in page.lower(), "a page of OHIF, not a file"
    assert files() == before


def test_originals_and_weights_stay(server, status, cases, files) -> None:
    before, case = files(), cases[0]["case"]
    for at in (f"/datastore/image?id={case}", f"/datastore/?id={case}", f"/model/{CLASSIFIER}"):
        assert status(server.ask, at, "DELETE")[0] == 403
    assert status(server.form, f"/model/{CLASSIFIER}", "PUT", "file", "x", "model.pt")[0] == 403
    for at in (f"/datastore/?image={case}", f"/datastore/image?image={case}"):
        assert status(server.form, at, "PUT", "file", "x", f"{case}.nii.gz")[0] == 409
    for file in ("x.py", "sitecustomize.py", "x", "datastore_v2"):
        assert status(server.form, "/datastore/?image=new", "PUT", "file", "x", file)[0] == 400
    assert files() == before


def test_parts_without_use_are_closed_in_one_line(server, status) -> None:
    for at, method in (("/proxy/dicom/wado/http://evil.example/", "GET"), ("/session/x", "GET"),
                       (f"/infer/wsi/{CLASSIFIER}", "POST"), ("/scoring/", "POST")):  # fmt: skip
        code, line = status(server.ask, at, method)
        assert code == 403
        assert "is not served: " in line
