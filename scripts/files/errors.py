# SPDX-License-Identifier: Apache-2.0
"""One clear line for a user's mistake instead of MONAI's chain of tracebacks."""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any

from scripts import BUNDLE
from scripts.files import stopping
from scripts.files.atomic import no_room, no_room_message
from scripts.files.plain_text import nearest, shown
from scripts.files.processes import BadCases
from torch.distributed import Store

_PACKAGE = (str(BUNDLE / "scripts"), str(BUNDLE / "workbench"))
TRACEBACK_VARIABLE = "BUNDLE_TRACEBACK"
LONGEST_LINE = 8000
"""Longest line, in characters, that is printed in full."""
_FRAME = re.compile(r'^ *File "(.+?)", line \d+, in ', re.MULTILINE)
_RAISED = re.compile(r"^[A-Za-z_][\w.]*(?:Error|Volume|Cases): ", re.MULTILINE)


def error_chain(error: BaseException) -> list[BaseException]:
    """Return an error followed by the errors it was raised from, outermost first."""
    found: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and not any(current is one for one in found):
        found.append(current)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return found


def root_cause(error: BaseException) -> BaseException:
    """Return the first error of a chain, which MONAI wraps as "Failed to evaluate"."""
    return error_chain(error)[-1]


def _explaining(error: BaseException) -> BaseException | None:
    """Return the outermost error of the chain that the bundle itself raised, if any."""
    for current in error_chain(error):
        frames = traceback.extract_tb(current.__traceback__)
        raised_here = bool(frames) and os.path.abspath(frames[-1].filename).startswith(_PACKAGE)
        if raised_here and isinstance(current, (ValueError, OSError)):
            return current
    return None


def _of_worker(error: BaseException) -> str | None:
    """Return the message of an error that the bundle raised in a worker process, or None.

    Pools pass such an error on without its frames. joblib, concurrent.futures and multiprocessing put the
    worker's traceback into the text of its cause, torch's DataLoader into its message.
    """
    for text, said in ((str(error.__cause__ or ""), str(error)), (str(error), "")):
        frames = _FRAME.findall(text)
        if isinstance(error, (ValueError, OSError)) and frames and frames[-1].startswith(_PACKAGE):
            kinds = list(_RAISED.finditer(text))
            return said or (text[kinds[-1].end() :].strip() if kinds else None)
    return None


def message_of(error: BaseException) -> str | None:
    """Return the line that explains `error` to a user, or None where a traceback is more helpful.

    The bundle's own ``ValueError`` and ``OSError`` are shown as they are, one line per bad case. A wrong
    argument name in a configuration (``TypeError`` from a constructor) is shown with the component, and an
    entry that MONAI cannot resolve with its key. A full disk is reported whichever library met it.
    """
    explaining = _explaining(error)
    if isinstance(explaining, BadCases):
        return str(explaining)  # already one line per case
    if explaining is not None:
        return " ".join(str(explaining).split())
    if no_room(error) is not None:
        return no_room_message(None, error)
    worker = next(filter(None, map(_of_worker, error_chain(error))), None)
    if worker is not None:
        return " ".join(worker.split())
    cause = root_cause(error)
    if isinstance(cause, TypeError) and "unexpected keyword argument" in str(cause):
        return f"a configuration entry has an argument its component does not take: {cause}"
    if (message := configuration_message(error_chain(error))) is not None:
        return message
    if isinstance(cause, ModuleNotFoundError):
        return f"{cause}; install the requirements: pip install -r requirements.txt"
    return None


on_interrupt = stopping.on_interrupt
_stores: list[Store] = []


def report_once(store: Store) -> None:
    """Let only the first process that fails say why; the others fail as a consequence.

    Args:
        store: shared by the processes.
    """
    _stores[:] = [store]


def _is_first_to_fail() -> bool:
    """Return whether no other process failed before this one; its output, if muted, is restored."""
    if not _stores:
        return True
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    return _stores[0].add("failed", 1) == 1


def show_one_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Excepthook: print one line for a user's mistake or Ctrl-C, a traceback for everything else."""
    if not _is_first_to_fail():
        return
    plain = not os.environ.get(TRACEBACK_VARIABLE)
    if plain and issubclass(kind, KeyboardInterrupt):
        stopping.show(kind, error, trace)
        return
    message = message_of(error) if plain else None
    if message is None or issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    print("\n".join(map(_bounded, f"error: {message}".split("\n"))), file=sys.stderr)
    print(f"(set {TRACEBACK_VARIABLE}=1 to see where it was found)", file=sys.stderr)


def _bounded(line: str) -> str:
    """Return a line as it can be printed; of an overlong one, only its beginning and end."""
    line = line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE // 2]} … {line[-LONGEST_LINE // 4 :]}"
    return shown(line)


def install() -> None:
    """Report uncaught errors in one line and clean up on signals; an application's own hooks stay in place."""
    stopping.install()
    if sys.excepthook is stopping.show:
        sys.excepthook = show_one_line


_MISSING = re.compile(r"the referring item `@(.+)` is not defined")
_TRANSFORM = re.compile(r"applying transform <(?:\w+\.)*(\w+) object")
_LOCATE = "Cannot locate class or function path: "
_MOST = 200


def configuration_message(chain: Sequence[BaseException]) -> str | None:
    """Return the line for a missing reference, a failing expression or a component that cannot be created.

    Args:
        chain: the error that surfaced, what it was raised from, and so on.

    Returns:
        None where the cause lies elsewhere, e.g. in the bundle itself.
    """
    cause = chain[-1]
    transform = next(filter(None, (_TRANSFORM.match(str(error)) for error in chain)), None)
    if transform and (isinstance(cause, KeyError) or not _last_file(cause).startswith(_PACKAGE)):
        said = " ".join(str(cause).split())[:_MOST]
        return f"the transform {transform[1]} fails with {type(cause).__name__}: {said}; correct its arguments"
    for error in reversed(chain):
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        item = _resolved(frames)
        if item is None:
            continue
        key, said = _key(item), " ".join(str(cause).split())[:_MOST]
        missing = _MISSING.match(str(error))
        if missing:
            close = nearest(missing[1], item["self"].items, cutoff=0.5)
            hint = f"; did you mean '@{_shown(close)}'?" if close else "; correct it"
            return f"{key} refers to '@{_shown(missing[1])}', but the configuration has no such key{hint}"
        if str(error).startswith("detected circular references"):
            return f"{key} refers to itself in a circle; correct it on the command line or in the overlay"
        if _LOCATE in str(cause):
            target = str(cause).removeprefix(_LOCATE).rstrip(".")
            return f"{key}: there is no component {target}; correct _target_"
        if isinstance(cause, SyntaxError):
            return f"{_of_syntax(cause, item)} is not a Python expression ({cause.msg}); correct it"
        kind = type(cause).__name__
        if str(error).startswith("Failed to evaluate") and _last_file(cause) == "<string>":
            text = f"{item['item_config']!r:.{_MOST}}"
            return f"{key}: the expression {text} fails with {kind}: {said}; correct it"
        of_types = isinstance(cause, TypeError | AttributeError)  # a value of the wrong type
        if str(error).startswith("Failed to instantiate") and (of_types or not _last_file(cause).startswith(_PACKAGE)):
            given = _arguments(frames)
            return f"{key} cannot be made with {given or 'what it was given'}: {said or kind}; correct it"
    return None


def _resolved(frames: Sequence[FrameType]) -> dict[str, Any] | None:
    """Return the local variables of the innermost item that MONAI was resolving, or None."""
    for frame in reversed(frames):
        if frame.f_code.co_name == "_resolve_one_item":
            return frame.f_locals
    return None


def _of_syntax(error: SyntaxError, item: dict[str, Any]) -> str:
    """Return the expression, with its key if MONAI was resolving that item."""
    text, found = (error.text or "").strip(), item.get("v")
    here = found is not None and str(found.get_config())[1:].strip() == text
    return f"{_shown(str(item['t']))}: {text!r:.{_MOST}}" if here else f"{text!r:.{_MOST}}"


def _key(item: dict[str, Any]) -> str:
    return _shown(str(item["id"]))


def _shown(key: str) -> str:
    return key.replace("::", "#")


def _last_file(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return frames[-1].filename if frames else ""


def _arguments(frames: Sequence[FrameType]) -> str:
    """Return the plain values among the arguments of the component that could not be created."""
    found = [frame.f_locals.get("kwargs", {}) for frame in frames if frame.f_code.co_name == "instantiate"]
    plain = {
        name: value
        for name, value in (found[-1] if found else {}).items()
        if all(isinstance(part, bool | int | float | str) for part in (value if isinstance(value, list) else [value]))
    }
    return ", ".join(f"{name}={value!r:.40}" for name, value in plain.items())
