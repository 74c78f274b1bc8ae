"""One warning: a number, and what it means."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.report.comparison import Comparison
from workbench.report.contents import Contents
from workbench.report.table import counted


@dataclass(frozen=True)
class Caution:
    """One warning.

    Attributes:
        found: what was found, with its number.
        advice: what it means and what to do.
    """

    found: str
    advice: str


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


FEWEST_FOLDS = 5
"""Test parts below which the tests by fold can hardly find anything."""


def comparison_cautions(comparison: Comparison) -> list[Caution]:
    """Return what is to be known before strategies are ranked."""
    return [*_unfinished(comparison), *_few_folds(comparison), *_versions(comparison)]


def _unfinished(comparison: Comparison) -> list[Caution]:
    logs = {file.stem for file in (comparison.folder / "logs").glob("*.log")}
    done = {file.stem for file in (comparison.folder / "rows").glob("*.json")}
    lost = sorted(logs - done)
    if not lost:
        return []
    return [
        Caution(
            f"{counted(len(lost), 'job')} began and left no result: {', '.join(lost[:3])}"
            f"{' and others' if len(lost) > 3 else ''}.",
            "The tables are without them. logs/ says why; the same command again runs only these.",
        )
    ]


def _few_folds(comparison: Comparison) -> list[Caution]:
    parts, sites = comparison.parts, comparison.sites
    if parts >= FEWEST_FOLDS:
        return []
    if sites:
        return [
            Caution(
                f"Each strategy was tested at {counted(parts, 'site')} only: {', '.join(sites)}.",
                f"With fewer than {FEWEST_FOLDS} the test by site can hardly find a difference, and repeats "
                "add none. It needs cases of more sites.",
            )
        ]
    return [
        Caution(
            f"Each strategy was tested on {counted(parts, 'test part')} only.",
            f"With fewer than {FEWEST_FOLDS} the test by fold can hardly find a difference. Use more "
            "--folds or "
            "--repeats.",
        )
    ]


def _versions(comparison: Comparison) -> list[Caution]:
    versions = sorted({str(row["torch"]) for row in comparison.jobs if row.get("torch")})
    if len(versions) < 2:
        return []
    return [
        Caution(
            f"The jobs ran with {len(versions)} versions of torch: {', '.join(versions)}.",
            "Differences between strategies may be differences between versions. Run all jobs with one.",
        )
    ]
