# SPDX-License-Identifier: Apache-2.0
"""Native image readers in separate processes: a crash or hang costs one file, not the training.

NIfTI and DICOM headers are read in Python, which damaged bytes cannot crash. NRRD, MetaImage and DICOM pixels
are read by C++ libraries, which they can. These run in worker processes (`native_worker.py`) that live for many
files: the first file costs the start of a worker, each further one only a transfer through a pipe. There are as
many workers as threads that read at the same time.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("native_worker.py")
SECONDS = 60.0  # base time limit of a request
BYTES_PER_SECOND = 1e6  # slowest disk: the limit grows by a second per MB


class ReaderDied(RuntimeError):
    """A native library crashed, hung or asked for too much memory over a file."""


class _Worker:
    """A worker process and its pipes."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(PROGRAM), str(os.getpid())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            pipesize=1 << 20, process_group=0,  # Ctrl-C is for the parent, with which the worker ends
        )  # fmt: skip

    def ask(self, seconds: float, name: str, arguments: tuple) -> Any:
        """Return the worker's answer.

        Raises:
            ReaderDied: the worker ended before it answered.
        """
        start = time.monotonic()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            pickle.dump((seconds, name, arguments), self.process.stdin)
            self.process.stdin.flush()
            return pickle.load(self.process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            self.close()
            late = time.monotonic() - start >= seconds
            raise ReaderDied(f"its reader did not finish within {seconds:.0f} s" if late else self._ending()) from None

    def _ending(self) -> str:
        code = self.process.returncode
        known = {number.value: number.name for number in signal.Signals}
        return f"its reader crashed ({known.get(-code, f'status {code}')})"

    def close(self) -> None:
        """End the process, killing it if it does not stop within a second."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            self.process.wait(1.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


_idle: list[_Worker] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _idle.clear())  # a worker answers only the process that started it


def read_native(name: str, path: str | Path, *arguments: Any) -> Any:
    """Let a worker read a file; threads may call this at the same time.

    Args:
        name: function of `native_worker.py`: header, block or dicom.
        arguments: further arguments of the function.

    Raises:
        ReaderDied: the library crashed, asked for too much memory, or took longer than `SECONDS` plus a
            second per MB.
        RuntimeError: an error reported by the library.
    """
    path = Path(path).absolute()
    seconds = SECONDS + path.stat().st_size / BYTES_PER_SECOND
    try:
        worker = _idle.pop()
    except IndexError:
        worker = _Worker()
    error, result = worker.ask(seconds, name, (str(path), *arguments))
    _idle.append(worker)
    if error is not None:
        if error == "MemoryError":
            raise ReaderDied("its reader asked for more memory than there is")
        raise RuntimeError(result)
    return result
