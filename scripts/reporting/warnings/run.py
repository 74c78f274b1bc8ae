"""Warnings about how the figures came about."""

from __future__ import annotations

from scripts.reporting.contents import Contents

from .caution import Caution


def run_cautions(contents: Contents) -> list[Caution]:
    """Return the warnings about the split that is reported and the code that ran."""
    return [*_seen_before(contents), *_revision(contents)]


def _seen_before(contents: Contents) -> list[Caution]:
    """Say so where the reported cases had a part in the training."""
    part = {"training": "fitted the weights", "validation": "chose the checkpoint and its calibration"}
    if contents.split not in part or not contents.same_data:
        return []
    return [
        Caution(
            f"The {contents.n} reported cases of the {contents.split} split {part[contents.split]}.",
            "The figures are too good. Only cases that had no part in the training say how the model does "
            "on new "
            "ones: evaluate with --split test.",
        )
    ]


def _revision(contents: Contents) -> list[Caution]:
    """Say so where the state of the code is not known exactly."""
    found = []
    ran = {"training": contents.training, "evaluation": contents.evaluation}
    for what, record in ran.items():
        git = record.get("git")
        if git is None:
            continue
        if git["dirty"]:
            found.append(
                Caution(
                    f"The code of the {what} differed from its git revision {git['revision'][:10]}.",
                    "Nobody can run the same code again from git alone; the results folder of the training "
                    "has a "
                    "copy in scripts/. Commit before a training whose figures are to be published.",
                )
            )
    if not any((record.get("git") or {}).get("revision") for record in ran.values()):
        found.append(
            Caution(
                "No git revision was recorded.",
                "The code ran outside a git repository, or without git. The copy in the training's scripts/ "
                "is what ran; keep it "
                "with the figures.",
            )
        )
    return found
