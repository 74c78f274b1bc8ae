"""Which volume of a study becomes which phase, and why the others do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .rules import Rule
from .scan import Study
from .stacks import Stack, stacks_of


@dataclass(frozen=True)
class Assignment:
    """One volume of a study.

    Attributes:
        stack: its images.
        phase: the phase it becomes, or "".
        reason: why it becomes none, or "".
    """

    stack: Stack
    phase: str
    reason: str


def assign_study(study: Study, rules: Sequence[Rule]) -> list[Assignment]:
    """Give the volumes of a study their phases; each volume at most one, rules in order."""
    stacks = [stack for series in study.series for stack in stacks_of(series)]
    usable = [stack for stack in stacks if not stack.refused]
    phase_of: dict[int, str] = {}
    reason_of = {id(stack): stack.refused for stack in stacks}
    for rule in rules:
        named = [stack for stack in usable if rule.named(stack) and id(stack) not in phase_of]
        fitting = [stack for stack in named if not rule.objection(stack)]
        chosen = _choose(fitting, rule.take)
        for stack in named:
            if stack is chosen:
                phase_of[id(stack)] = rule.phase
            elif not reason_of[id(stack)]:
                reason_of[id(stack)] = f"{rule.phase}: {_reason(stack, rule, fitting)}"
    return [
        Assignment(stack, phase, "" if phase else reason_of[id(stack)] or "no rule fits its description")
        for stack in stacks
        for phase in [phase_of.get(id(stack), "")]
    ]


def _reason(stack: Stack, rule: Rule, fitting: Sequence[Stack]) -> str:
    objection = rule.objection(stack)
    if objection:
        return objection
    if rule.take is None:
        return f"{len(fitting)} volumes fit; narrow the rule, or add 'take'"
    return f"{len(fitting)} volumes fit, another one is taken ({rule.take})"


def _choose(fitting: Sequence[Stack], take: str | int | None) -> Stack | None:
    """Return the volume to take; None where none fits, or several and nothing says which."""
    in_time = sorted(fitting, key=lambda stack: (stack.seconds is None, stack.seconds or 0.0))
    if isinstance(take, int):
        return in_time[take - 1] if take <= len(in_time) else None
    if not in_time or (take is None and len(in_time) > 1):
        return None
    if take == "last":
        return in_time[-1]
    if take == "most_images":
        return max(in_time, key=lambda stack: len(stack.slices))
    if take == "highest_b_value":
        return max(in_time, key=lambda stack: stack.first.b_value or 0.0)
    return in_time[0]
