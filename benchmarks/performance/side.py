# SPDX-License-Identifier: Apache-2.0
"""One side of a comparison in a process of its own, with the memory management that its users have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from multiprocessing import get_context, get_start_method, set_start_method
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from scripts.engines.randomness import keep_freed_memory

Parts = Mapping[str, Callable[[], Any]]


class Side:
    """A process that builds its contenders once, and runs one of them at each call.

    `Side(build, *arguments)` is a context manager. While one side works, the others wait.

    Args:
        build: called in the process with `arguments`; returns functions by name.
        *arguments: anything that can be pickled.
        keep_memory: keep freed memory, as the bundle's training does and a plain loop does not.
    """

    def __init__(self, build: Callable[..., Parts], *arguments: Any, keep_memory: bool = False) -> None:
        context = get_context("spawn")
        self._pipe, far = context.Pipe()
        given = (far, get_start_method(), build, arguments, keep_memory)
        self._process = context.Process(target=_serve, args=given)
        self._process.start()
        far.close()

    def __call__(self, name: str) -> Any:
        """Run the function of this name there, and return what it returns.

        Raises:
            EOFError: the process has ended; it has printed why.
        """
        self._pipe.send(name)
        return self._pipe.recv()

    def __enter__(self) -> Side:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe.close()
        self._process.join()


def _serve(
    pipe: Connection, start_method: str, build: Callable[..., Parts], arguments: tuple, keep_memory: bool
) -> None:
    set_start_method(start_method, force=True)  # a loader's workers start by the usual method, not by this process's
    if keep_memory:
        keep_freed_memory()
    parts = build(*arguments)
    while True:
        try:
            name = pipe.recv()
        except EOFError:  # the caller is gone
            return
        pipe.send(parts[name]())
