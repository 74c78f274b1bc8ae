"""report.html of a comparison, and the section that shows one in the report of a training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scripts.data.bounded_yaml import read_yaml

from .comparison import Comparison, comparison_headline, comparison_tables, read_comparison
from .forest import forest
from .headline import config_positive
from .provenance import Facts, record_facts
from .render import NOTHING, configurations, write_page
from .warnings import comparison_cautions


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
        "configurations": configurations(
            [comparison.folder / "comparison.json", comparison.folder / "settings.yaml"]
        ),
    }
    if trained is not None:
        record = json.loads(trained.read_text(encoding="utf-8"))
        values["provenance"].append((f"The first of them, {trained.parent.name}", record_facts(record)))
    return write_page(comparison.folder, values)


def comparison_section(folder: str | Path) -> dict[str, Any]:
    """Return what the template shows of a comparison.

    Raises:
        FileNotFoundError: the comparison is not finished.
    """
    comparison = read_comparison(folder)
    return {
        "name": comparison.folder.name,
        "headline": comparison_headline(comparison),
        "cautions": comparison_cautions(comparison),
        "forest": forest(comparison),
        "tables": comparison_tables(comparison),
    }


def _facts(comparison: Comparison, job: Path) -> Facts:
    """Return what was compared on what, by the configuration and the record of one job."""
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
    """Return on what the jobs ran: each value that any of them recorded."""
    columns = {"Processor": "processor", "Threads of a job": "threads", "torch": "torch", "monai": "monai"}
    found = {
        name: sorted({str(row[key]) for row in comparison.jobs if row.get(key)})
        for name, key in columns.items()
    }
    return [(name, ", ".join(values)) for name, values in found.items()]
