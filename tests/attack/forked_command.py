# SPDX-License-Identifier: Apache-2.0
"""Runs `python -m MODULE ...` many times without its imports: one process imports torch, monai and what the
bundle needs, and is forked for each command.

The child is the real command: Python ends it, with its excepthook and its exit handlers, and it imports
`scripts` itself. What only a new interpreter takes from its environment (LC_ALL, PYTHONPATH) it does not see.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TIMED_OUT = 124
"""Status of a command that was killed at its time limit, as of `timeout`."""


class ForkedCommands:
    """Runs commands by forks of one process; to be used in a `with`.

    Args:
        own_package: also import `scripts` and `workbench` once, for commands of this bundle given in its folder.
    """

    def __init__(self, own_package: bool = False) -> None:
        self._own_package = own_package

    def __enter__(self) -> ForkedCommands:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.attack.forked_command", *["own_package"] * self._own_package],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()

    def run(
        self,
        arguments: Sequence[str | Path],
        timeout: float = 60.0,
        module: str = "monai.bundle",
        cwd: Path = ROOT,
        environ: Mapping[str, str] | None = None,
    ) -> tuple[int, str]:
        """Run `python -m module arguments` and return its status and all that it printed.

        Args:
            arguments: as typed, e.g. ``["run", "training", "--config_file", "configs/train.yaml"]``.
            timeout: s until it and its children are killed; the status is then `TIMED_OUT`.
            module: what is run.
            cwd: where the command is given.
            environ: further variables.

        Returns:
            Status, negative for a signal, and stdout and stderr together.
        """
        command = {
            "arguments": [str(part) for part in arguments],
            "timeout": timeout,
            "module": module,
            "cwd": str(cwd),
            "environ": dict(environ or {}),
        }
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(command) + "\n")
        self._server.stdin.flush()
        line = self._server.stdout.readline()
        assert line, "the process that is forked has ended"
        answer = json.loads(line)
        return answer["status"], answer["output"]


def _warm() -> None:
    """Import what commands import, but leave the bundle's own packages to them."""
    import fire  # noqa: F401
    import monai.bundle.scripts  # noqa: F401
    import workbench.predict.command  # noqa: F401

    left = {"tests"} if "own_package" in sys.argv else {"scripts", "workbench", "tests"}
    for name in [name for name in sys.modules if name.partition(".")[0] in left]:
        del sys.modules[name]
    assert sys.excepthook is sys.__excepthook__


def _wait(child: int, seconds: float) -> int:
    """Return the status of a child, killed with its children where it takes too long."""
    end, pause = time.monotonic() + seconds, 0.005
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(pause)
        pause = min(0.1, 1.3 * pause)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return TIMED_OUT


def _serve() -> dict[str, Any] | None:
    """Fork for each line of stdin; return the command in a child, None at the end in the server."""
    source, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    _warm()
    for line in source:
        command = json.loads(line)
        with tempfile.TemporaryFile() as output:
            child = os.fork()
            if child == 0:
                os.setsid()
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
                os.close(source.fileno())
                os.close(answers.fileno())
                return command
            status = _wait(child, command["timeout"])
            output.seek(0)
            said = output.read().decode("utf-8", "backslashreplace")
        answers.write(json.dumps({"status": status, "output": said}) + "\n")
        answers.flush()
    return None


if __name__ == "__main__":
    given = _serve()
    if given is not None:
        os.chdir(given["cwd"])
        os.environ.update(given["environ"])
        sys.path[0] = given["cwd"]
        sys.argv[1:] = given["arguments"]
        runpy.run_module(given["module"], run_name="__main__", alter_sys=True)
