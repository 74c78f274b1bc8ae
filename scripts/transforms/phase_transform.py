"""What the transforms of a case's phases share: one key, and messages that name case and phase."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monai.transforms import MapTransform


class PhaseTransform(MapTransform):
    """Base of the transforms that work on ``item[key]``, the phases of one case by name.

    Args:
        keys: the one key that holds the phases.

    Raises:
        ValueError: more than one key.
    """

    def __init__(self, keys: str = "image") -> None:
        super().__init__(keys)
        if len(self.keys) != 1:
            raise ValueError(
                f"{type(self).__name__} works on one key that holds all phases, found {self.keys}"
            )
        self.key = str(self.keys[0])


def case_name(item: Mapping[Any, Any]) -> str:
    """Return what messages call the case.

    >>> case_name({"case": "p017"})
    'case p017'
    """
    return f"case {item.get('case', '?')}"


def phase_name(item: Mapping[Any, Any], phase: str) -> str:
    """Return what messages call a phase of the case.

    >>> phase_name({"case": "p017"}, "portal")
    "case p017: phase 'portal'"
    """
    return f"{case_name(item)}: phase {phase!r}"


def phase_source(item: Mapping[Any, Any], phase: str) -> str:
    """Return the file of a phase as the end of a message, or nothing where it is not known."""
    volume = item.get("volumes", {}).get(phase)
    return f" in {volume.path}" if volume is not None else ""


def need(item: Mapping[Any, Any], key: str, maker: str, user: object) -> Any:
    """Return ``item[key]``, or say which transform has to come first.

    Raises:
        ValueError: the item has no such key.
    """
    if item.get(key) is None:
        raise ValueError(
            f"{case_name(item)}: {type(user).__name__} needs {key!r}, which {maker} makes; put {maker} "
            "before it"
        )
    return item[key]
