# SPDX-License-Identifier: Apache-2.0
"""The real server under attack: nothing runs, no file is written, nobody without the token is answered."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.attack.http_lines import lines, logins
from tests.attack.http_names import names
from tests.attack.http_request import LOGIN, Attack
from tests.attack.http_values import bodies, expressions
from tests.label_server import CLASSIFIER, NEEDS_LABEL, PYTHON, TOKEN, Server

ROOT = Path(__file__).resolve().parents[2]
pytestmark = NEEDS_LABEL


def whole(attack: Attack, host: str, logged_in: bool) -> tuple[str, bytes]:
    """Return head and body of a request, of a client that is logged in or of nobody."""
    headers = {"Host": host, "Authorization": LOGIN, "Content-Length": str(len(attack.body))}
    headers |= attack.headers
    if not logged_in:
        headers = {key: value for key, value in headers.items() if key not in ("Authorization", "Cookie")}
    line = attack.line if " HTTP/" in attack.line else f"{attack.line} HTTP/1.1"
    text = [line, *(f"{key}: {value}" for key, value in headers.items() if value is not None)]
    return "\r\n".join([*text, "Connection: close"] if "Connection" not in headers else text), attack.body


def one_line(said: bytes) -> bool:
    """Whether an answer says nothing but what was wrong, in one line."""
    try:
        detail = json.loads(said)["detail"]
    except (ValueError, KeyError, TypeError):
        detail = said.decode("utf-8", "replace")
    return isinstance(detail, str) and len(detail.splitlines()) <= 1 and len(detail) < 2000


class Watched:
    """What lies in the folders that the server, its tests and the code share."""

    def __init__(self, base: Path, studies: Path, app: Path) -> None:
        self.base, self.studies, self.app = base, studies, app
        self.originals = {file: self.digest(file) for file in studies.iterdir() if file.name.endswith(".nii.gz")}
        self.files = self.listed()

    @staticmethod
    def digest(file: Path) -> str:
        return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else "gone"

    def listed(self) -> set[str]:
        own = [self.studies / "datastore_v2.json", self.studies / ".lock", self.app / "logs" / "app.log"]
        roots = [self.base, *(ROOT / part for part in ("configs", "scripts", "models", "docs"))]
        found = {path for root in roots for path in root.rglob("*") if "__pycache__" not in path.parts}
        return {str(path) for path in found - set(own)}

    def changed(self) -> list[str]:
        """Return what came, went or changed since, and take note of it."""
        deadline = time.monotonic() + 2  # an upload goes just after its answer
        while (now := self.listed()) != self.files and time.monotonic() < deadline:
            time.sleep(0.05)
        digests = {file: self.digest(file) for file in self.originals}
        found = sorted(now ^ self.files)
        found += [str(file) for file, digest in digests.items() if digest != self.originals[file]]
        self.files, self.originals = now, digests
        return found


@pytest.fixture
def watched(server, studies, app, canary, tmp_path_factory) -> Watched:
    return Watched(tmp_path_factory.getbasetemp(), studies, app)


def tried(server: Server, watched: Watched, canary, attack: Attack) -> Counter[str]:
    """Send an attack with and without login, and count what came of it."""
    found, host = Counter(tried=1), f"127.0.0.1:{server.port}"
    code, said = server.raw(*whole(attack, host, logged_in=True))
    refused, problems = code in (0, *attack.codes) and one_line(said), []
    if attack.harmless and code < 500:
        found["done"] += 1
    elif refused:
        found["refused"] += 1
    else:
        found["tracebacks" if code >= 500 else "wrongly_accepted"] += 1
        problems.append(f"answered {code} {said[:300]!r}")
    if "POST /auth/token" not in attack.line:
        code, said = server.raw(*whole(attack, host, logged_in=False))
        if not (code in (0, *range(400, 500)) and one_line(said)):
            found["wrongly_accepted"] += 1
            problems.append(f"without login {code} {said[:300]!r}")
    if canary.ran:
        found["payloads_run"] += 1
        problems.append("ran")
        canary.file.unlink()
    if changed := watched.changed():
        found["left_over"] += len(changed)
        problems.append(f"files {changed[:5]}")
    for problem in problems:
        print(f"{attack.name}: {problem}")
    return found


def test_no_request_runs_code_writes_elsewhere_or_is_answered_without_the_token(
    server, watched, cases, canary, tally, tmp_path_factory
) -> None:
    case, counted = cases[0]["case"], tally("http requests")
    outside = str(tmp_path_factory.getbasetemp() / "outside" / "x")
    for part, attacks in (
        ("expressions", expressions(canary.payloads, case)), ("names", names(case, outside)),
        ("bodies", bodies(case)), ("lines", lines(case, f"127.0.0.1:{server.port}")), ("logins", logins()),
    ):  # fmt: skip
        counted.part(part, lambda attacks=attacks: sum((tried(server, watched, canary, a) for a in attacks), Counter()))
    assert server.answer(case)["prediction"], "it still predicts"
    assert len(json.loads(server.ask("/datastore/?output=all"))["objects"]) == len(cases)
    counted.close(tried=60)


def test_labels_that_are_code_teach_nothing(server, cases, canary) -> None:
    run = canary.payloads[0]
    texts = [{"label": run}, {"label": "low", "clinical": {"age": run}}, {"label": {"_target_": "os.getcwd"}}, run]
    for entry, text in zip(cases, map(json.dumps, texts), strict=True):
        server.form(f"/datastore/label?image={entry['case']}&tag=final", "PUT", "label", text, "x.json")
    host, options = f"127.0.0.1:{server.port}", b'{"max_epochs": 1, "val_split": 0.34, "device": "cpu"}'
    attack = Attack("train", f"POST /train/{CLASSIFIER}?run_sync=true", options, {"Content-Type": "application/json"})
    code, said = server.raw(*whole(attack, host, logged_in=True))
    for entry in cases:
        server.ask(f"/datastore/label?id={entry['case']}&tag=final", "DELETE")
    assert (code, one_line(said), canary.ran) == (400, True, False)


def test_the_token_is_written_nowhere(server, app, studies) -> None:
    host = f"127.0.0.1:{server.port}"
    code, _ = server.raw(f"GET /?token={TOKEN} HTTP/1.1\r\nHost: {host}\r\nConnection: close")
    assert code == 303
    files = (file for root in (app.parent, studies) for file in root.rglob("*") if file.is_file())
    found = {file.name: file.read_bytes().count(TOKEN.encode()) for file in files}
    assert {name: count for name, count in found.items() if count} == {"server.log": 2}, "what it says at the start"


def test_one_server_at_a_time_has_an_app(server, results, studies, app) -> None:
    line = [PYTHON, "-m", "workbench.serve", "--run", results, "--studies", studies, "--app", app, "--port", "9"]
    second = subprocess.run(list(map(str, line)), cwd=ROOT, capture_output=True, text=True, timeout=120)
    said = second.stderr.strip().splitlines()[-1]
    assert second.returncode == 1
    assert re.search(r"must be written by one run at a time, found serving \(process \d+ on .+\) at work", said)
    assert server.ask("/info/")
