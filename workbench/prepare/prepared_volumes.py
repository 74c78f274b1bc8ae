"""What `preparing` does with the volumes themselves: remove bias fields, register phases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.prepare.bias_field import BiasCorrection, correct_cases
from workbench.prepare.registration.cases import register_cases
from workbench.prepare.registration.pair import Registration

Splits = dict[str, list[dict[str, Any]]]


def prepare_volumes(
    splits: Mapping[str, Sequence[dict[str, Any]]],
    phases: Sequence[str],
    reference_phase: str,
    folder: Path,
    bias_correction: BiasCorrection,
    registration: Registration,
    workers: int | None = None,
) -> tuple[Splits, list[str]]:
    """Return the splits with the paths of the volumes to train on, and notes for the user.

    Args:
        splits: split -> entries of dataset.json with absolute paths.
        phases: phases in order.
        reference_phase: the phase that the others are registered to.
        folder: output folder of `preparing`; volumes are written below it.
        bias_correction: which phases lose their bias field, before anything is registered.
        registration: how phases are registered, if at all.
        workers: volumes at a time; None takes one per core.

    Raises:
        ValueError: an image that cannot be read or corrected.
    """
    notes: list[str] = []
    everyone = [case for cases in splits.values() for case in cases]
    if bias_correction.method == "n4":
        everyone = correct_cases(everyone, phases, folder, bias_correction, workers)
    if registration.transform != "none":
        everyone, lines = register_cases(everyone, phases, reference_phase, folder, registration, workers)
        notes += lines
    remaining = iter(everyone)
    return {split: [next(remaining) for _ in cases] for split, cases in splits.items()}, notes
