"""Leaving one site out: which sites there are, and how each strategy does at each of them."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from .pool import Pool

Row = dict[str, Any]


def site_counts(pool: Pool) -> dict[str, str]:
    """Return the cases of each site in words, e.g. ``12 cases: 5 low, 7 high``."""
    found = {}
    for site in sorted({str(item["site"]) for item in pool.items}):
        labels = [item["label"] for item in pool.items if str(item["site"]) == site]
        classes = ", ".join(f"{labels.count(name)} {name}" for name in pool.classes)
        found[site] = f"{len(labels)} {'case' if len(labels) == 1 else 'cases'}: {classes}"
    return found


def sites_of(rows: Sequence[Row]) -> list[str]:
    """Return the sites that were left out, in the order of the folds; none where folds were drawn."""
    return list(dict.fromkeys(str(row["site"]) for row in rows if row.get("site") is not None))


def at_sites(rows: Sequence[Row], metric: str) -> dict[str, dict[str, float | None]]:
    """Return strategy -> site -> the metric in that site's test part, the mean over repeats and seeds.

    Args:
        rows: of `read_rows`.
        metric: one that rows have; None at a site where it is not defined.
    """
    found: dict[str, dict[str, float | None]] = {}
    for strategy in dict.fromkeys(row["strategy"] for row in rows):
        for site in sites_of(rows):
            values = [
                row["metrics"][metric]
                for row in rows
                if (row["strategy"], str(row.get("site"))) == (strategy, site)
                and row["metrics"][metric] is not None
            ]
            found.setdefault(strategy, {})[site] = fmean(values) if values else None
    return found
