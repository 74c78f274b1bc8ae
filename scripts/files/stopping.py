# SPDX-License-Identifier: Apache-2.0
"""Stopping by Ctrl-C, SIGTERM or SIGHUP: print one line that says how to go on, and clean up.

Imports only the standard library, so that a command can be stopped this way while it imports the rest.
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
    """Set the function that returns the line to print when a signal comes."""
    _says[:] = [say]


def said() -> str:
    """Return the line to print if this process is stopped now."""
    return _says[0]()


def finished() -> None:
    """Note that everything is written, so whoever stops the process now need not repeat the command.

    During interpreter shutdown the Python handlers are gone and a signal would kill the process, so all are ignored.
    """
    on_interrupt(lambda: "stopped; all was written before")
    atexit.register(_deafen)


def install() -> None:
    """Print one line and clean up on Ctrl-C, SIGTERM and SIGHUP; an application's own hooks stay in place."""
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
    """Excepthook: print one line for Ctrl-C, a traceback for everything else."""
    if issubclass(kind, KeyboardInterrupt):  # Python then exits with status 130
        print(f"\n{said()}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def stop(number: int, _: object) -> None:
    """Exit through every `finally`, so that unfinished files, temporary folders, locks and workers go."""
    signal.signal(number, signal.SIG_DFL)  # a second signal ends the process at once
    os.write(2, f"\n{said()}\n".encode())  # print itself may have been interrupted
    raise SystemExit(128 + number)


def again(found: sys.UnraisableHookArgs) -> None:
    """Unraisablehook: repeat a stop that Python could not raise, e.g. in a weak reference's callback.

    Not repeated in a worker process, nor once the main thread has ended.
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
