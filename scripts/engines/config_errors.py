"""What MONAI finds wrong when it resolves a configuration, as one line that names the key."""

from __future__ import annotations

import re
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from scripts.data.nearest import nearest

_PACKAGE = str(Path(__file__).resolve().parent.parent)
_MISSING = re.compile(r"the referring item `@(.+)` is not defined")
_TRANSFORM = re.compile(r"applying transform <(?:\w+\.)*(\w+) object")
_LOCATE = "Cannot locate class or function path: "
_MOST = 200


def configuration_message(chain: Sequence[BaseException]) -> str | None:
    """Return the line for a reference that leads nowhere, an expression or a component that cannot be made.

    Args:
        chain: the error that came out, what it was raised from, and so on.

    Returns:
        None where the cause lies elsewhere, e.g. in the bundle itself.
    """
    cause = chain[-1]
    transform = next(filter(None, (_TRANSFORM.match(str(error)) for error in chain)), None)
    if transform and (isinstance(cause, KeyError) or not _last_file(cause).startswith(_PACKAGE)):
        said = " ".join(str(cause).split())[:_MOST]
        return (
            f"the transform {transform[1]} fails with {type(cause).__name__}: {said}; correct its arguments"
        )
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
            return f"{_of_syntax(cause, item)} is no Python expression ({cause.msg}); correct it"
        kind = type(cause).__name__
        if str(error).startswith("Failed to evaluate") and _last_file(cause) == "<string>":
            text = f"{item['item_config']!r:.{_MOST}}"
            return f"{key}: the expression {text} fails with {kind}: {said}; correct it"
        of_types = isinstance(cause, TypeError | AttributeError)  # a value of another type than it takes
        if str(error).startswith("Failed to instantiate") and (
            of_types or not _last_file(cause).startswith(_PACKAGE)
        ):
            given = _arguments(frames)
            return f"{key} cannot be made with {given or 'what it was given'}: {said or kind}; correct it"
    return None


def _resolved(frames: Sequence[FrameType]) -> dict[str, Any] | None:
    """Return the variables of the innermost item that MONAI was resolving, or None."""
    for frame in reversed(frames):
        if frame.f_code.co_name == "_resolve_one_item":
            return frame.f_locals
    return None


def _of_syntax(error: SyntaxError, item: dict[str, Any]) -> str:
    """Return the expression, and its key where MONAI was looking at it."""
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
    """Return the plain values among the arguments of the component that could not be made."""
    found = [frame.f_locals.get("kwargs", {}) for frame in frames if frame.f_code.co_name == "instantiate"]
    plain = {
        name: value
        for name, value in (found[-1] if found else {}).items()
        if all(
            isinstance(part, bool | int | float | str)
            for part in (value if isinstance(value, list) else [value])
        )
    }
    return ", ".join(f"{name}={value!r:.40}" for name, value in plain.items())
