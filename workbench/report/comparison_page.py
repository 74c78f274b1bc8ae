# SPDX-License-Identifier: Apache-2.0
"""report.html of a comparison: warnings, a forest plot of the pooled AUC, and the tables."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.cases.positive import config_positive
from scripts.figures.subgroup_tables import RULE, TOO_FEW
from scripts.figures.table import bounds_text, counted, number
from scripts.files.yaml_files import read_yaml
from workbench.pages import NOTHING, REPORT, configurations, write_page
from workbench.report.cautions import Caution
from workbench.report.comparison import Comparison, comparison_headline, comparison_tables, read_comparison
from workbench.report.headline import Facts, record_facts

STEP = 0.1  # Distance between two ticks of the axis
FEWEST_FOLDS = 5  # With fewer test parts, the tests by fold can hardly find a difference


@dataclass(frozen=True)
class Line:
    """A strategy or a site: its name, its value as text, and value and bounds in percent of the axis, if any."""

    name: str
    text: str
    at: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True)
class Forest:
    """Title, lines, ticks (position in percent, text), caption, and number of cases behind each line as text."""

    title: str
    lines: list[Line]
    ticks: list[tuple[float, str]]
    caption: str
    n: str


def forest(comparison: Comparison) -> Forest:
    """Place pooled AUC and interval of each strategy on an axis that ends at 1."""
    found = [
        (row["strategy"], *(row[key] for key in ("pooled", "pooled_lower", "pooled_upper")))
        for row in comparison.of("auc")
        if row["pooled"] is not None
    ]
    caption = "Pooled AUC with its 95% interval: the further to the right the better; the line at 0.5 is guessing."
    return _placed("Pooled AUC of each strategy", found, caption, comparison.n)


def site_forest(comparison: Comparison) -> list[Forest]:
    """Place pooled AUC and interval of the first strategy at each site that was left out."""
    first = comparison.of("auc")[0]["strategy"]
    own = [row for row in comparison.subgroups if (row["by"], row["strategy"]) == ("site", first)]
    if not comparison.sites or not own:
        return []
    found = [(f"{row['group']} ({row['n']})", *(row[key] for key in ("auc", "auc_lower", "auc_upper"))) for row in own]
    caption = f"{first}, trained at all other sites; the number of cases stands behind each site. {RULE}"
    return [_placed(f"Pooled AUC of {first} at each site left out", found, caption, comparison.n)]


def _placed(title: str, found: Sequence[tuple[str, Any, Any, Any]], caption: str, n: str) -> Forest:
    """Place values with their bounds (None where there are none) on an axis that ends at 1."""
    rows = [(name, value, *(value if one is None else one for one in bounds)) for name, value, *bounds in found]
    least = min((lower for _, _, lower, _ in rows if lower is not None), default=0.5)
    start = max(0.0, min(0.5, math.floor(least / STEP) * STEP))

    def place(value: float) -> float:
        return round(100 * (value - start) / (1 - start), 2)

    lines = [
        Line(name, TOO_FEW, None, None, None)
        if value is None
        else Line(name, number(value) + bounds_text(lower, upper), *map(place, (value, lower, upper)))
        for name, value, lower, upper in rows
    ]
    count = round((1 - start) / STEP)
    ticks = [(place(start + STEP * step), f"{start + STEP * step:.1f}") for step in range(count + 1)]
    return Forest(title, lines, ticks, caption, n)


def report_comparison(folder: str | Path) -> Path:
    """Write report.html of a comparison into its folder.

    Raises:
        FileNotFoundError: the comparison is not finished.
    """
    comparison = read_comparison(folder)
    section = comparison_section(folder)
    trained = next(iter(sorted(comparison.folder.glob("jobs/*/environment.json"))), None)
    values = NOTHING | {
        "title": f"Comparison {comparison.folder.name}",
        "headline": section["headline"],
        "facts": [] if trained is None else _facts(comparison, trained.parent),
        "cautions": section["cautions"],
        "comparison": section,
        "provenance": [("Jobs", _jobs(comparison))],
        "configurations": configurations([comparison.folder / "comparison.json", comparison.folder / "settings.yaml"]),
    }
    if trained is not None:
        record = json.loads(trained.read_text(encoding="utf-8"))
        values["provenance"].append((f"The first of them, {trained.parent.name}", record_facts(record)))
    return write_page(comparison.folder, values, REPORT)


def comparison_section(folder: str | Path) -> dict[str, Any]:
    """Return the values with which the template shows a comparison.

    Raises:
        FileNotFoundError: the comparison is not finished.
    """
    comparison = read_comparison(folder)
    return {
        "name": comparison.folder.name,
        "headline": comparison_headline(comparison),
        "cautions": list(_cautions(comparison)),
        "forests": [forest(comparison), *site_forest(comparison)],
        "tables": comparison_tables(comparison),
    }


def _cautions(comparison: Comparison) -> Iterator[Caution]:
    """Yield the warnings to consider before strategies are ranked."""
    logs = {file.stem for file in (comparison.folder / "logs").glob("*.log")}
    lost = sorted(logs - {file.stem for file in (comparison.folder / "rows").glob("*.json")})
    if lost:
        others = " and others" if len(lost) > 3 else ""
        yield Caution(
            f"{counted(len(lost), 'job')} began and left no result: {', '.join(lost[:3])}{others}.",
            "The tables are without them. logs/ says why; the same command again runs only these.",
        )
    parts, sites = comparison.parts, comparison.sites
    if parts < FEWEST_FOLDS and sites:
        yield Caution(
            f"Each strategy was tested at {counted(parts, 'site')} only: {', '.join(sites)}.",
            f"With fewer than {FEWEST_FOLDS} the test by site can hardly find a difference, and repeats add "
            "none. It needs cases of more sites.",
        )
    elif parts < FEWEST_FOLDS:
        yield Caution(
            f"Each strategy was tested on {counted(parts, 'test part')} only.",
            f"With fewer than {FEWEST_FOLDS} the test by fold can hardly find a difference. Use more --folds "
            "or --repeats.",
        )
    versions = sorted({str(row["torch"]) for row in comparison.jobs if row.get("torch")})
    if len(versions) > 1:
        yield Caution(
            f"The jobs ran with {len(versions)} versions of torch: {', '.join(versions)}.",
            "Differences between strategies may be differences between versions. Run all jobs with one.",
        )


def _facts(comparison: Comparison, job: Path) -> Facts:
    """Return what was compared on which data, from the configuration and the record of one job."""
    config = read_yaml(job / "configs" / "train.yaml")
    date = json.loads((job / "environment.json").read_text(encoding="utf-8")).get("date", "not recorded")
    return [
        ("Reported", comparison.n.removeprefix("n = ")),
        *([("Sites, left out in turn", ", ".join(comparison.sites))] if comparison.sites else []),
        ("Strategies", ", ".join(dict.fromkeys(row["strategy"] for row in comparison.jobs))),
        ("Phases", ", ".join(config["phases"])),
        ("Classes", ", ".join(map(str, config["classes"]))),
        *([("Positive class", named)] if (named := config_positive(config)) else []),
        ("Date", date.replace("T", " ").replace("+00:00", " UTC")),
    ]


def _jobs(comparison: Comparison) -> Facts:
    """Return processor, threads and versions of the jobs: each value that any of them recorded."""
    columns = {"Processor": "processor", "Threads of a job": "threads", "torch": "torch", "monai": "monai"}
    found = {name: sorted({str(row[key]) for row in comparison.jobs if row.get(key)}) for name, key in columns.items()}
    return [(name, ", ".join(values)) for name, values in found.items()]
