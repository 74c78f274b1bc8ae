# SPDX-License-Identifier: Apache-2.0
"""Which volume of a study becomes which phase, and why the others do not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from workbench.prepare.dicom.rules import Rule
from workbench.prepare.dicom.scan import Study
from workbench.prepare.dicom.slices import LOCALIZER, NO_VOLUME
from workbench.prepare.dicom.stacks import Stack, stacks_of

NO_KIND = frozenset([
    "ORIGINAL", "PRIMARY", "SECONDARY", "OTHER", "NONE", "AXIAL", "HELIX", "VOLUME", "NORM", "ND",
    "DIS2D", "DIS3D", "FM", "FIL", "MFSPLIT", "SE", "GR", "FFE", "UNSPECIFIED", "RESAMPLED", "MIXED",
    "NOT_FOR_CLINICAL_USE",
])  # fmt: skip
"""Words of ImageType that say how an image was made, not what it shows."""


@dataclass(frozen=True)
class Assignment:
    """One volume of a study."""

    stack: Stack
    phase: str  # the phase it becomes, or ""
    reason: str  # why it becomes none; or for a phase, what was assumed to choose it; or ""
    # whether it may have been meant for a phase: a rule names it, and it was refused or the phase stays empty
    missed: bool = False


def assign_study(study: Study, rules: Sequence[Rule]) -> list[Assignment]:
    """Assign the volumes of a study to phases, each to at most one; rules apply in order."""
    stacks = [stack for series in study.series for stack in stacks_of(series)]
    usable = [stack for stack in stacks if not stack.refused]
    phase_of: dict[int, str] = {}
    reason_of = {id(stack): stack.refused for stack in stacks}
    assumed: dict[int, str] = {}
    for rule in rules:
        named = [stack for stack in usable if rule.named(stack) and id(stack) not in phase_of]
        fitting = [stack for stack in named if not rule.objection(stack)]
        chosen, doubt = _choose(fitting, rule.take)
        for stack in named:
            if stack is chosen:
                phase_of[id(stack)], assumed[id(stack)] = rule.phase, doubt
            elif not reason_of[id(stack)]:
                reason_of[id(stack)] = f"{rule.phase}: {_reason(stack, rule, fitting, chosen, doubt)}"
    empty = [rule for rule in rules if rule.phase not in phase_of.values()]
    return [
        Assignment(
            stack,
            phase,
            assumed[id(stack)] if phase else reason_of[id(stack)] or "no rule fits its description",
            not phase and _meant(stack, rules if stack.refused else empty),
        )
        for stack in stacks
        for phase in [phase_of.get(id(stack), "")]
    ]


def _meant(stack: Stack, rules: Sequence[Rule]) -> bool:
    """Whether one of the rules names images that could be a volume."""
    if stack.refused.startswith((LOCALIZER, *NO_VOLUME.values())):
        return False
    return any(rule.named(stack) and rule.modality in (None, stack.first.modality) for rule in rules)


def _reason(stack: Stack, rule: Rule, fitting: Sequence[Stack], chosen: Stack | None, doubt: str) -> str:
    objection = rule.objection(stack)
    if objection:
        return objection
    if chosen is None and doubt:
        return doubt
    if rule.take is None:
        return f"{len(fitting)} volumes fit; narrow the rule, or add 'take'"
    return f"{len(fitting)} volumes fit, another one is taken ({rule.take})"


def _choose(fitting: Sequence[Stack], take: str | int | None) -> tuple[Stack | None, str]:
    """Return the volume to take, and what was assumed; or None, and why where no rule says so."""
    if not fitting or (take is None and len(fitting) > 1):
        return None, ""
    if take == "most_images":
        best = max(len(stack.slices) for stack in fitting)
        fitting = [stack for stack in fitting if len(stack.slices) == best]
    if take == "highest_b_value":
        highest = max(stack.first.b_value or 0.0 for stack in fitting)
        fitting = [stack for stack in fitting if (stack.first.b_value or 0.0) == highest]
    kinds = list(dict.fromkeys(kind_of(stack) for stack in fitting))
    if len(kinds) > 1:
        shown = ", ".join("/".join(kind) or "no further word" for kind in kinds)
        return (None, f"{len(fitting)} volumes of different image types fit ({shown}); add 'image_type' to the rule")
    in_time, doubt = _in_time(fitting)
    if take == "last":
        return in_time[-1], doubt
    number = take if isinstance(take, int) else 1
    return (in_time[number - 1], doubt) if number <= len(in_time) else (None, "")


def kind_of(stack: Stack) -> tuple[str, ...]:
    """Return the words of ImageType that say what the images show, without those of technique and numbers.

    E.g. W for a water image, ADC, M or P for magnitude or phase.
    """
    words = dict.fromkeys(word for word in stack.first.kind if word not in NO_KIND and re.search("[A-Z]", word))
    return tuple(word for word in words if not word.startswith(("CT_SOM", "TE", "SH")))


def _in_time(stacks: Sequence[Stack]) -> tuple[list[Stack], str]:
    """Return volumes in the order of time, and what was assumed where times do not decide.

    Volumes of one series with equal times keep the order of their time points.
    """
    if any(stack.seconds is None for stack in stacks):
        doubt = "times are missing; taken in the order of the series" if len(stacks) > 1 else ""
        return list(stacks), doubt
    ordered = sorted(stacks, key=lambda stack: stack.seconds or 0.0)
    equal = any(
        one.seconds == other.seconds and one.first.series != other.first.series for one, other in pairwise(ordered)
    )
    return ordered, "several have the same time; taken in the order of the series" if equal else ""
