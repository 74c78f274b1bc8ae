# SPDX-License-Identifier: Apache-2.0
"""Rules that say which volume of a study is which phase: a YAML file that the user edits."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from scripts.cases.document import name_list
from scripts.files.plain_text import listing
from scripts.files.yaml_files import load_bounded
from workbench.prepare.dicom.character_sets import check_character_set
from workbench.prepare.dicom.geometry import PLANES
from workbench.prepare.dicom.stacks import Stack

KEYS = ("phases", "character_set")
CHOICES = ("first", "last", "most_images", "highest_b_value")


@dataclass(frozen=True)
class Rule:
    r"""Conditions that a volume must meet to be a phase; those that are None or empty do not apply."""

    phase: str
    modality: str | None = None
    # patterns with * and ?, one of which the series description matches; case is ignored
    description: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()  # patterns of which the series description matches none
    # patterns, one of which a word of ImageType matches, or all its words joined by \; case is ignored
    image_type: tuple[str, ...] = ()
    exclude_image_type: tuple[str, ...] = ()  # patterns of which none matches
    plane: str | None = None  # axial, coronal or sagittal; an oblique series counts as the nearest
    contrast: bool | None = None  # whether the header names a contrast agent
    b_value: tuple[float, float] | None = None  # lowest and highest diffusion weighting in s/mm2
    # which to take where several fit: first or last in time, their number in time from 1, most_images or
    # highest_b_value. None: only one may fit.
    take: str | int | None = None

    def named(self, stack: Stack) -> bool:
        """Whether the series description fits."""
        text = _plain(stack.first.description)
        fits = not self.description or any(fnmatchcase(text, _plain(name)) for name in self.description)
        return fits and not any(fnmatchcase(text, _plain(name)) for name in self.exclude)

    def objection(self, stack: Stack) -> str:
        """Return what keeps a volume with a fitting description from being the phase, or ""."""
        image = stack.first
        if self.modality and image.modality != self.modality.upper():
            return f"modality {image.modality or 'unknown'}, not {self.modality}"
        kind = "/".join(image.kind) or "none"
        if self.image_type and not _has(image.kind, self.image_type):
            return f"image type {kind}, not {' or '.join(self.image_type)}"
        if _has(image.kind, self.exclude_image_type):
            return f"image type {kind}, which is excluded"
        if self.plane and stack.plane != self.plane:
            return f"{stack.plane}, not {self.plane}"
        if self.contrast is not None and stack.contrast != self.contrast:
            return "contrast agent named" if stack.contrast else "no contrast agent named"
        if self.b_value and (image.b_value is None or not self.b_value[0] <= image.b_value <= self.b_value[1]):
            found = "no b-value" if image.b_value is None else f"b {image.b_value:g}"
            return f"{found}, not {self.b_value[0]:g} to {self.b_value[1]:g}"
        return ""


def _plain(text: str) -> str:
    """Return a text in lower case, with each accented letter as one character."""
    return unicodedata.normalize("NFC", text).lower()


def _has(kind: Sequence[str], patterns: Sequence[str]) -> bool:
    r"""Whether a word of ImageType, or all of them joined by \, match a pattern.

    >>> _has(("DERIVED", "PRIMARY", "W"), ["w", "water"]), _has(("ORIGINAL", "PRIMARY"), [r"derived\*"])
    (True, False)
    """
    words = [*kind, "\\".join(kind)]
    return any(fnmatchcase(word, pattern.upper().replace("/", "\\")) for word in words for pattern in patterns)


def read_rules(file: Path) -> list[Rule]:
    """Read a file of rules, such as configs/dicom/*.yaml."""
    phases = _content(file).get("phases")
    if not isinstance(phases, dict) or not phases:
        raise ValueError(f"rules {file} must have a key 'phases' with one entry per phase, found {phases!r:.80}")
    rules = [_rule(file, str(phase), conditions or {}) for phase, conditions in phases.items()]
    name_list([rule.phase for rule in rules], f"phases of rules {file}")
    return rules


def read_character_set(file: Path) -> str:
    """Return the character set that rules name for texts whose header names none or a wrong one, or ""."""
    name = _content(file).get("character_set")
    try:
        return "" if name is None else check_character_set(str(name))
    except ValueError as error:
        raise ValueError(f"rules {file}: {error}") from None


def _content(file: Path) -> dict[str, Any]:
    """Return the content of a file of rules, by its keys (`KEYS`)."""
    import yaml

    if not file.is_file():
        raise FileNotFoundError(f"rules {file} do not exist; correct --rules, e.g. configs/dicom/liver_ct.yaml")
    try:
        content = load_bounded(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, OSError) as error:
        raise ValueError(f"rules {file} must be YAML ({' '.join(str(error).split())}); correct it") from None
    if not isinstance(content, dict):
        raise ValueError(f"rules {file} must have a key 'phases', found {content!r:.80}")
    for name in content:
        if name not in KEYS:
            raise ValueError(f"rules {file}: key {name!r:.80} is not among {listing(str(name), KEYS)}; correct it")
    return content


def _rule(file: Path, phase: str, conditions: Any) -> Rule:
    where = f"rules {file}: phase {phase!r:.80}"
    if not re.fullmatch(r"[^./\\][^/\\]*", phase):
        raise ValueError(f"{where}: the name becomes that of a file and must not have / or \\ or start with a dot")
    known = [name for name in Rule.__dataclass_fields__ if name != "phase"]
    if not isinstance(conditions, dict):
        raise ValueError(f"{where} must be conditions by name, found {conditions!r:.80}; known: {known}")
    for name in conditions:
        if name not in known:
            raise ValueError(f"{where}: condition {name!r:.80} is not among {listing(str(name), known)}")
    values = {name: value for name, value in conditions.items() if value is not None}
    for name in ("description", "exclude", "image_type", "exclude_image_type"):
        given = values.get(name, [])
        listed = given if isinstance(given, list) else [given]
        if not all(isinstance(pattern, str | int) for pattern in listed):
            raise ValueError(f"{where}: {name} must be a pattern or a list of them, found {given!r:.80}")
        values[name] = tuple(map(str, listed))
    allowed: dict[str, tuple[Callable[[Any], bool], str]] = {
        "modality": (lambda value: isinstance(value, str), "a text such as CT"),
        "plane": (lambda value: value in PLANES, f"one of {', '.join(PLANES)}"),
        "contrast": (lambda value: isinstance(value, bool), "true or false"),
        "b_value": (_is_range, "two numbers, the lowest and the highest in s/mm2"),
        "take": (
            lambda value: value in CHOICES or (type(value) is int and value >= 1),
            f"one of {', '.join(CHOICES)}, or a number from 1",
        ),
    }
    for name, (good, text) in allowed.items():
        if name in values and not good(values[name]):
            raise ValueError(f"{where}: {name} must be {text}, found {values[name]!r:.80}")
    return Rule(phase, **values)


def _is_range(value: Any) -> bool:
    numbers = isinstance(value, list) and all(isinstance(b, int | float) and math.isfinite(b) for b in value)
    return numbers and len(value) == 2
