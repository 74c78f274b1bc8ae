# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C, SIGTERM and SIGHUP: one line that says how to go on, and everything is tidied up.

Imports nothing, so that a command can be stopped so while it imports the rest.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import TracebackType

_says: list[Callable[[], str]] = [lambda: "stopped; give the same command again"]


def on_interrupt(say: Callable[[], str]) -> None:
    """Set what is said: one line, asked for when the signal comes."""
    _says[:] = [say]


def said() -> str:
    """Return what is said to who stops this process now."""
    return _says[0]()


def finished() -> None:
    """Note that all is written: who stops the process now need not give the command again.

    While the interpreter is torn down, its handlers are gone and a signal would kill it; there, none is heard.
    """
    on_interrupt(lambda: "stopped; all was written before")
    atexit.register(_deafen)


def install() -> None:
    """Let Ctrl-C, SIGTERM and SIGHUP say one line and tidy up; an application's own hooks stay in place."""
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = show
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = again
    alone = multiprocessing.parent_process() is None and int(os.environ.get("WORLD_SIZE", "1")) == 1
    if alone and threading.current_thread() is threading.main_thread():
        for number in filter(None, (getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP"))):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, stop)


def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Excepthook: print one line for Ctrl-C, the traceback for everything else."""
    if issubclass(kind, KeyboardInterrupt):  # Python then ends with status 130
        print(f"\n{said()}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def stop(number: int, _: object) -> None:
    """Leave by way of every `finally`: half-written files, temporary folders and locks go, workers end."""
    signal.signal(number, signal.SIG_DFL)  # the next one ends the process at once
    os.write(2, f"\n{said()}\n".encode())  # print may be what was interrupted
    raise SystemExit(128 + number)


def again(found: sys.UnraisableHookArgs) -> None:
    """Unraisablehook: a stop that Python cannot raise, as in the callback of a weak reference, comes again.

    What ends by itself, and another process's worker, is left to do so.
    """
    if not issubclass(found.exc_type, KeyboardInterrupt | SystemExit):
        sys.__unraisablehook__(found)
        return
    if multiprocessing.parent_process() is not None or not threading.main_thread().is_alive():
        return
    number = signal.SIGINT
    if isinstance(found.exc_value, SystemExit) and isinstance(found.exc_value.code, int):
        number = signal.Signals(found.exc_value.code - 128)
        signal.signal(number, _leave)
    timer = threading.Timer(0.05, os.kill, (os.getpid(), number))
    timer.daemon = True
    timer.start()


def _leave(number: int, _: object) -> None:
    signal.signal(number, signal.SIG_DFL)
    raise SystemExit(128 + number)


def _deafen() -> None:
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
