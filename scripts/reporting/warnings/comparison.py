"""Warnings about a comparison."""

from __future__ import annotations

from scripts.reporting.comparison import Comparison
from scripts.reporting.table import counted

from .caution import Caution

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
