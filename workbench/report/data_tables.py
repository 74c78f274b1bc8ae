"""The tables about the data: splits, missing phases, sites, volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.report.dataset import Summary
from workbench.report.table import UNKNOWN, Table, counted

AXES = "Right–left × anterior–posterior × superior–inferior"


def split_table(summary: Summary) -> Table:
    """Lay out cases, patients and classes of each split."""
    splits = summary["splits"]
    classes = list(dict.fromkeys(name for split in splits.values() for name in split["classes"]))
    return Table(
        f"Cases and patients of each split, {summary['name']}",
        _cases(summary),
        ["split", "cases", "patients", *classes],
        [
            [name, f"{split['cases']:,}", UNKNOWN if split["patients"] is None else f"{split['patients']:,}"]
            + [f"{split['classes'].get(label, 0):,}" for label in classes]
            for name, split in splits.items()
        ],
        [
            "Training fits the weights; validation chooses the checkpoint and calibrates; test is read once.",
            *(["Patients are unknown: each case counts as one."] if _unknown(splits) else []),
        ],
    )


def _unknown(splits: Mapping[str, Any]) -> bool:
    return all(split["patients"] is None for split in splits.values())


def missing_table(summary: Summary) -> Table:
    """Lay out in how many cases of each split each phase is missing."""
    splits = summary["splits"]
    phases = list(next(iter(splits.values()))["missing"])
    rows = []
    for phase in phases:
        lost = {name: sum(split["missing"][phase].values()) for name, split in splits.items()}
        cells = [_share(lost[name], split["cases"]) for name, split in splits.items()]
        rows.append([phase, *cells, _share(sum(lost.values()), _total(summary))])
    header = ["phase", *(f"{name} (n = {split['cases']:,})" for name, split in splits.items()), "all"]
    return Table(f"Cases without a phase, {summary['name']}", _cases(summary), header, rows)


def site_table(summary: Summary) -> Table | None:
    """Lay out the classes of each site, where cases name their site."""
    sites: dict[str, dict[str, int]] = summary["sites"]
    if not sites:
        return None
    classes = summary["classes"]
    total = sum(sum(counts.values()) for counts in sites.values())
    rows = [
        [site, f"{sum(counts.values()):,}", *(f"{counts.get(name, 0):,}" for name in classes)]
        for site, counts in sites.items()
    ]
    return Table(
        f"Cases of each site, {summary['name']}",
        f"n = {counted(total, 'labelled case')}",
        ["site", "cases", *classes],
        rows,
    )


def volume_table(summary: Summary, config: dict[str, Any]) -> Table:
    """Lay out spacing and size of the volumes as they lie on disk, and of the grid that the network sees."""
    rows, notes, read = (
        [],
        [f"{AXES}; the smallest and the largest of each axis. network: the grid that it sees."],
        0,
    )
    for phase, found in summary["volumes"].items():
        read += found["n"]
        cells = [UNKNOWN] * 6
        if "spacing" in found:
            cells = [*_columns(found["spacing"], ".2f"), *_columns(found["voxels"], ".0f")]
        rows.append([phase, f"{found['n']:,} of {found['present']:,}", *cells])
        if found.get("unreadable"):
            notes.append(f"{phase}: {counted(found['unreadable'], 'volume')} could not be read.")
        elif 0 < found["n"] < found["present"]:
            notes.append(f"{phase}: {found['n']:,} volumes, spread evenly over the list, were looked at.")
        if "reason" in found:
            notes.append(f"{phase}: not available, {found['reason']}.")
    if config:
        spacing, size = ([[value] * 3 for value in config[key]] for key in ("spacing", "grid_size"))
        spacing_cell, size_cell = _columns(spacing, ".2f")[0], _columns(size, ".0f")[0]
        unknown = [UNKNOWN] * 2
        rows.append(["network", UNKNOWN, spacing_cell, *unknown, size_cell, *unknown])
    ranges = ["median", "smallest", "largest"]
    header = ["phase", "volumes read", *(f"{what}, {of}" for what in ("mm", "voxels") for of in ranges)]
    title = f"Spacing and size of the volumes as they lie on disk, {summary['name']}"
    return Table(title, f"n = {counted(read, 'volume')}", header, rows, notes)


def _columns(axes: Sequence[Sequence[float]], digits: str) -> list[str]:
    """Write median, minimum and maximum of three axes, each given as [minimum, median, maximum]."""
    return [" × ".join(format(float(axis[at]), digits) for axis in axes) for at in (1, 0, 2)]


def data_tables(summary: Summary, config: dict[str, Any]) -> list[Table]:
    """Return all tables of a dataset but that of its splits; none where there is no summary."""
    if "reason" in summary or not summary["splits"]:
        return []
    found: Sequence[Table | None] = (
        missing_table(summary),
        site_table(summary),
        volume_table(summary, config),
    )
    return [table for table in found if table is not None]


def _total(summary: Summary) -> int:
    return sum(split["cases"] for split in summary["splits"].values())


def _cases(summary: Summary) -> str:
    return f"n = {counted(_total(summary), 'case')}"


def _share(part: int, whole: int) -> str:
    return f"{part:,} ({100 * part / whole:.0f}%)"
