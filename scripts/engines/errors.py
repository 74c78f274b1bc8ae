"""One clear line for a user's mistake, instead of MONAI's chain of tracebacks."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from torch.distributed import Store

from scripts.evaluation.atomic import no_room, no_room_message

_PACKAGE = str(Path(__file__).resolve().parent.parent)
TRACEBACK_VARIABLE = "BUNDLE_TRACEBACK"


def root_cause(error: BaseException) -> BaseException:
    """Return the first error of a chain: the one that MONAI wraps as "Failed to evaluate"."""
    seen = {id(error)}
    while True:
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is None or id(cause) in seen:
            return error
        seen.add(id(cause))
        error = cause


def _explaining(error: BaseException) -> BaseException | None:
    """Return the outermost error of the chain that the bundle itself raised with a message, if any."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        frames = traceback.extract_tb(current.__traceback__)
        raised_here = bool(frames) and os.path.abspath(frames[-1].filename).startswith(_PACKAGE)
        if raised_here and isinstance(current, (ValueError, OSError)):
            return current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return None


def message_of(error: BaseException) -> str | None:
    """Return the one line that explains `error` to a user, or None where a traceback says more.

    The bundle's own ``ValueError`` and ``OSError`` (raised inside `scripts`) are shown as they are. A wrong
    argument name in a configuration (``TypeError`` from a constructor) is shown with the component. A
    full disk is told whatever library met it.
    """
    explaining = _explaining(error)
    if explaining is not None:
        return " ".join(str(explaining).split())
    if no_room(error) is not None:
        return no_room_message(None, error)
    cause = root_cause(error)
    if isinstance(cause, TypeError) and "unexpected keyword argument" in str(cause):
        return f"a configuration entry has an argument its component does not take: {cause}"
    if isinstance(cause, ModuleNotFoundError):
        return f"{cause}; install the requirements: pip install -r requirements.txt"
    return None


_stores: list[Store] = []
_on_interrupt: list[Callable[[], str]] = []


def on_interrupt(say: Callable[[], str]) -> None:
    """Set what Ctrl-C says: one line, asked for when it comes."""
    _on_interrupt[:] = [say]


def report_once(store: Store) -> None:
    """Let only the first of several processes that fails say why: the others fail because of it.

    Args:
        store: what the processes share.
    """
    _stores[:] = [store]


def _is_first_to_fail() -> bool:
    """Return whether no other process has failed before; the one that may speak gets its output back."""
    if not _stores:
        return True
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    return _stores[0].add("failed", 1) == 1


def show_one_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Excepthook: print one line for a user's mistake or Ctrl-C, the traceback for everything else."""
    if not _is_first_to_fail():
        return
    plain = not os.environ.get(TRACEBACK_VARIABLE)
    if plain and issubclass(kind, KeyboardInterrupt) and _on_interrupt:  # Python then ends with status 130
        print(f"\n{_on_interrupt[0]()}", file=sys.stderr)
        return
    message = message_of(error) if plain else None
    if message is None or issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    print(f"error: {message}", file=sys.stderr)
    print(f"(set {TRACEBACK_VARIABLE}=1 to see where it was found)", file=sys.stderr)


def install() -> None:
    """Let uncaught errors of a command print one line (an application's own hook is left in place)."""
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = show_one_line
