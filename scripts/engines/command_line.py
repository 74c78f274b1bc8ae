# SPDX-License-Identifier: Apache-2.0
"""Converts the values of the command line to the types of their keys before anything is resolved.

MONAI passes on what Fire makes of a text: ``false`` remains a text, which counts as true, ``20240101`` becomes a
number, and ``None`` is dropped. The texts are therefore read from the command line itself.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from types import FrameType
from typing import Any

from monai.bundle import BundleWorkflow, ConfigParser
from monai.bundle.scripts import create_workflow, run
from monai.utils import ensure_tuple
from scripts.engines.running import running_parser
from scripts.files.plain_text import is_reference, literal
from scripts.keys.key_types import FREE, KeyTypes
from scripts.keys.typed_values import members, read_text, typed

LONGEST_NAME = 255
"""Bytes that a file system allows the name of a file or folder."""
_REFERENCE = re.compile(r"@[\w#:]+|[$%].+", re.DOTALL)
_FLAG = re.compile(r"--.*|-[a-zA-Z].*", re.DOTALL)
_OF_MONAI = frozenset(run.__annotations__) - {"override", "return"} | {"workflow_name", "workflow_type"}


def typed_options(arguments: Sequence[str]) -> dict[str, str | None]:
    """Return key -> text as typed, parsed by Fire's rules; None where no value follows.

    >>> typed_options(["run", "training", "--name", "001", "--a#b=0x10", "--resume", "--seed", "-5"])
    {'name': '001', 'a#b': '0x10', 'resume': None, 'seed': '-5'}
    """
    arguments = list(arguments)
    if "--" in arguments:  # options after the last one are Fire's own
        arguments = arguments[: len(arguments) - 1 - arguments[::-1].index("--")]
    found: dict[str, str | None] = {}
    position = 0
    while position < len(arguments):
        argument = arguments[position]
        position += 1
        if not _FLAG.fullmatch(argument):
            continue
        key, equals, value = argument.lstrip("-").partition("=")
        key = key.replace("-", "_")
        if equals:
            found[key] = value
        elif position < len(arguments) and not _FLAG.fullmatch(arguments[position]):
            found[key] = arguments[position]
            position += 1
        else:
            found[key] = None
    return {key: value for key, value in found.items() if key not in _OF_MONAI}


def command_line() -> list[str]:
    """Return the arguments of the running command, or none if Python called the bundle.

    A training that `comparing` starts in its own process is called by Python: the command line is not meant for it.
    """
    frame = sys._getframe(1)
    workflow: BundleWorkflow | None = None
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, BundleWorkflow):
            if owner is not (workflow or owner):
                return []
            workflow = owner
        if frame.f_code.co_name == "Fire" and frame.f_globals.get("__name__") == "fire.core":
            command = frame.f_locals.get("command")
            return sys.argv[1:] if command is None else list(frame.f_locals["args"])
        frame = frame.f_back  # type: ignore[assignment]
    return []


def config_files() -> list[str]:
    """Return the configuration files of the running command, in order; none if Python passed them."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code is not create_workflow.__code__:
        frame = frame.f_back
    return [] if frame is None else list(map(str, ensure_tuple(frame.f_locals["config_file"] or ())))


def settle_types(configs: Path, command: str | None = None) -> bool:
    """Convert every value of the running configuration to the type of its key, before anything is resolved.

    Args:
        configs: the bundle's configs folder.
        command: the running command, e.g. preparing.

    Returns:
        Whether a value changed; the parser then discards what it had resolved before.

    Raises:
        ValueError: a value of another type; names key, type and value.
    """
    parser = running_parser()
    if parser is None:
        return False
    types = KeyTypes(configs, command, parser.locator)
    changed = False
    for key, text in typed_options(command_line()).items():
        changed |= _settle_option(parser, types, key, text)
    text = json.dumps(parser.get(), default=str)
    for name in [name for name in parser.get() if name != ConfigParser.meta_key]:
        changed |= _settle(parser.get(), name, (name,), types, text)
    if changed:
        parser.parse(reset=True)
    return changed


def _settle_option(parser: ConfigParser, types: KeyTypes, key: str, text: str | None) -> bool:
    """Set one key to the value typed for it; return whether that changed it."""
    path = re.split("#|::", key)
    if key not in parser:
        if text is None and key.startswith("no") and key[2:] in parser:  # Fire's --nocalibrate
            return _settle_option(parser, types, key[2:], "false")
        if len(path) > 1:
            return False
    parent = parser["::".join(path[:-1])] if len(path) > 1 else parser.get()
    kind, _ = types.of(path, parent)
    if text is None:
        if bool not in members(kind) and Any not in members(kind):
            raise ValueError(f"--{key} needs a value; give it behind the key, e.g. --{key} VALUE")
        text = "true"
    if is_reference(text) and types.takes_expressions(path):
        value: Any = text
    else:
        try:
            value = read_text(text, kind)
        except ValueError as error:
            raise ValueError(f"--{key} must be {error}, found {text!r:.120}; correct it") from None
        value = _harmless(key, value, PurePath in members(kind) or key in FREE)
    before = parser.get(key, None)
    parser[key] = value
    return type(before) is not type(value) or before != value


def _harmless(key: str, value: Any, free: bool) -> Any:
    """Return a value with its texts escaped for MONAI, or refuse a text that MONAI would interpret."""
    if isinstance(value, list):
        return [_harmless(key, part, free) for part in value]
    if isinstance(value, Mapping):
        return {name: _harmless(key, part, free) for name, part in value.items()}
    if isinstance(value, str) and free:
        return literal(value)
    if isinstance(value, str) and literal(value) != value:
        sign = "starts with" if is_reference(value) else "has"
        raise ValueError(
            f"--{key} takes a plain text, found {value!r:.120}, which {sign} "
            f"{value[0] if is_reference(value) else '#'!r:.3}, a sign of MONAI's own; leave the sign out, or "
            "write an expression into an overlay"
        )
    return value


def _settle(parent: Any, name: Any, path: tuple[str, ...], types: KeyTypes, text: str) -> bool:
    """Convert the value at a path, and those below it; `text` is the whole configuration as JSON."""
    if isinstance(parent, Mapping):
        types.check_place(path, parent, text)
    value = parent[name]
    types.check(path, parent)
    kind, strict = types.of(path, parent)
    if is_reference(value):
        return False
    try:
        settled = typed(value, kind)
    except ValueError as error:
        if not strict and not (isinstance(value, str) and members(kind) == [bool]):
            settled = value  # the component itself reports what it accepts
        else:
            raise ValueError(
                f"{'#'.join(path)} must be {error}, found {value!r:.120}; correct it on the command line "
                "or in the overlay that sets it"
            ) from None
    if PurePath in members(kind):
        _check_lengths(settled, path)
    if PurePath in members(kind) or path[0] in FREE:
        settled = _with_number_signs(settled)
    types.check_range(path, settled)
    changed = type(settled) is not type(value) or settled != value
    if changed:
        parent[name] = settled
    if isinstance(settled, Mapping):
        for key in settled:
            if not isinstance(key, str):
                raise ValueError(f"names within {'#'.join(path)} must be texts, found {key!r:.80}; put it in quotes")
            changed |= _settle(settled, key, (*path, str(key)), types, text)
    elif isinstance(settled, list):
        _check_components(settled, path)
        for position, part in enumerate(settled):
            if isinstance(part, Mapping | list):
                changed |= _settle(settled, position, (*path, str(position)), types, text)
    return changed


def _check_lengths(paths: Any, path: tuple[str, ...]) -> None:
    """Refuse a path that no file system takes: every look at it would be an error of the system's."""
    for text in paths if isinstance(paths, list) else [paths]:
        longest = max((len(name.encode(errors="replace")) for name in re.split(r"[/\\]", str(text))), default=0)
        if longest > LONGEST_NAME and not is_reference(text):
            raise ValueError(
                f"{'#'.join(path)} must be a path whose names have at most {LONGEST_NAME} bytes each, found one of "
                f"{longest:,}; correct it"
            )


def _check_components(parts: list[Any], path: tuple[str, ...]) -> None:
    """Refuse what is no component and no reference among components, as in a list of transforms or handlers."""
    if not any(isinstance(part, Mapping) and "_target_" in part for part in parts):
        return
    for part in parts:
        named = (
            "_target_" in part if isinstance(part, Mapping) else isinstance(part, str) and _REFERENCE.fullmatch(part)
        )
        if not named:
            shown = dict(part) if isinstance(part, Mapping) else part
            raise ValueError(
                f"{'#'.join(path)} must be a list of components {{_target_: CLASS, ...}} or references, found "
                f"{shown!r:.120}; name its class"
            )


def _with_number_signs(value: Any) -> Any:
    """Restore the ``#`` in paths and names of cases, which MONAI has replaced by ``::``."""
    if isinstance(value, list):
        return [_with_number_signs(part) for part in value]
    if not isinstance(value, str) or is_reference(value):
        return value
    return literal(value if Path(value).exists() else value.replace("::", "#"))
