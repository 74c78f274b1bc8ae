# SPDX-License-Identifier: Apache-2.0
"""A real MONAI Label server of a small trained model: fixtures for the folders that import them."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venv-label" / "bin" / "python"
TOKEN = "correct-horse-battery-staple"
CLASSIFIER = "multiphase_fusion_classification"
PHASES = ["pre", "arterial", "portal"]
NEEDS_LABEL = [
    pytest.mark.label,
    pytest.mark.skipif(not PYTHON.exists(), reason="no MONAI Label in .venv-label: `make test-label`"),
]
"""Marks of the tests that ask it."""


class Server:
    """Speaks to the server as its clients do."""

    def __init__(self, port: int) -> None:
        self.port, self.root = port, f"http://127.0.0.1:{port}"
        self.headers = {"Authorization": f"Bearer {TOKEN}"}

    def ask(
        self, path: str, method: str = "GET", body: bytes = b"", kind: str = "application/json", **headers: str
    ) -> bytes:
        request = urllib.request.Request(self.root + path, data=body or None, method=method)
        for name, value in {"Content-Type": kind, **self.headers, **headers}.items():
            request.add_header(name, value)
        with urllib.request.urlopen(request, timeout=170) as answer:
            return answer.read()

    def raw(self, head: str, body: bytes = b"") -> tuple[int, bytes]:
        """Send a request as it is written, and return the answer's status and content; 0 is a closed line."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=170) as line:
            with suppress(OSError):  # answered before all was sent
                line.sendall(head.encode("latin-1") + b"\r\n\r\n" + body)
            answer = http.client.HTTPResponse(line, method=head.split(" ", 1)[0])
            try:
                answer.begin()
                return answer.status, answer.read()
            except ConnectionError:
                return 0, b""

    def form(self, path: str, method: str, name: str, content: str | bytes, file: str | None = None) -> bytes:
        """Send one field, or one file, as a browser's form does."""
        mark = uuid.uuid4().hex
        head = f'form-data; name="{name}"' + (f'; filename="{file}"' if file else "")
        lines = [f"--{mark}", f"Content-Disposition: {head}", "", content, f"--{mark}--", ""]
        body = b"\r\n".join(line if isinstance(line, bytes) else line.encode() for line in lines)
        return self.ask(path, method, body, f"multipart/form-data; boundary={mark}")

    def answer(self, image: str, **params) -> dict:
        path = f"/infer/{CLASSIFIER}?image={image}"
        return json.loads(self.form(path, "POST", "params", json.dumps(params)))

    def scores(self, image: str, **params) -> dict[str, float]:
        return {entry["label"]: entry["score"] for entry in self.answer(image, **params)["prediction"]}

    def refusal(self, image: str, **params) -> str:
        with pytest.raises(urllib.error.HTTPError) as error:
            self.scores(image, **params)
        assert error.value.code == 400
        return json.loads(error.value.read())["detail"]


@pytest.fixture(scope="session")
def results(bundle, quick, tmp_path_factory) -> Path:
    """A model of the phantom that reads two columns of its table; its first class is the positive one."""
    folder = tmp_path_factory.mktemp("results") / "with_table"
    settings = quick | {"clinical": ["age", "sex"], "learning_rate": 0.03, "positive": "Low"}
    bundle("training", ["configs/train.yaml"], output_dir=str(folder), **settings)
    return folder


@pytest.fixture(scope="session")
def cases(small_phantom) -> list[dict]:
    """Test cases that have every phase."""
    entries = json.loads((small_phantom / "dataset.json").read_text())["test"]
    complete = [entry for entry in entries if set(entry["image"]) == set(PHASES)]
    assert len(complete) >= 4
    return complete[:4]


@pytest.fixture(scope="session")
def studies(small_phantom, cases, tmp_path_factory) -> Path:
    """The cases side by side, the last without a mask."""
    folder = tmp_path_factory.mktemp("studies")
    for entry in cases:
        for phase in PHASES:
            shutil.copy(small_phantom / entry["image"][phase], folder / f"{entry['case']}_{phase}.nii.gz")
        if entry is not cases[-1]:
            shutil.copy(small_phantom / entry["roi"], folder / f"{entry['case']}_lesion.nii.gz")
    return folder


@pytest.fixture(scope="session")
def app(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("label") / "app"


@pytest.fixture(scope="session")
def server(results, studies, app):
    with serving(results, studies, app) as speaker:
        yield speaker


@contextmanager
def serving(results: Path, studies: Path, app: Path) -> Iterator[Server]:
    """Start the server of a results folder, and stop it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nowhere = "http://127.0.0.1:9"
    offline = {"http_proxy": nowhere, "https_proxy": nowhere, "no_proxy": "127.0.0.1", "HF_HUB_OFFLINE": "1"}
    arguments = ["--run", results, "--studies", studies, "--app", app, "--port", port]
    log, scratch = app.parent / "server.log", app.parent / "tmp"
    scratch.mkdir(parents=True)
    own = {"PHASE_FUSION_TOKEN": TOKEN, "TMPDIR": str(scratch)}
    with log.open("w") as stream:
        process = subprocess.Popen(
            [PYTHON, "-m", "workbench.serve", *map(str, arguments)],
            cwd=ROOT, env=os.environ | offline | own, start_new_session=True,
            stdout=stream, stderr=subprocess.STDOUT,
        )  # fmt: skip
        speaker, deadline = Server(port), time.monotonic() + 150
        try:
            while True:
                try:
                    speaker.ask("/info/")
                    break
                except (urllib.error.URLError, ConnectionError):
                    assert process.poll() is None, log.read_text()[-3000:]
                    assert time.monotonic() < deadline, log.read_text()[-3000:]
                    time.sleep(0.5)
            yield speaker
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=30)
