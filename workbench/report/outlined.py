# SPDX-License-Identifier: Apache-2.0
"""What was outlined, for the report of a classifier whose region a network outlines."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.engines.outliner import WHOLE
from scripts.figures.table import Table, counted
from scripts.files.yaml_files import read_yaml
from scripts.transforms.outlined_region import ORIGIN
from workbench.report.contents import Contents
from workbench.report.figures import OUTLINED, Figure, figure_of
from workbench.report.outlines import DEFAULT_TOLERANCE, outline_tables


@dataclass(frozen=True)
class Outlined:
    """The section of the report."""

    sentences: list[str]
    tables: list[Table]
    figures: list[Figure]


def outlined_section(contents: Contents) -> Outlined | None:
    """Return who outlined whom, how well, and what it looked like; None where no network outlines the region."""
    region = contents.config.get("region") or {}
    if not str(region.get("_target_", "")).endswith(".OutlinedRegiond"):
        return None
    picture = figure_of(contents, OUTLINED)
    return Outlined(
        [line for line in (_origin(contents), _pieces(contents)) if line],
        _tables(contents.model / "outliner" / WHOLE),
        [] if picture is None else [picture],
    )


def _origin(contents: Contents) -> str:
    """Summarise origin.json in a sentence."""
    record = contents.model / "outlines" / ORIGIN
    others = "the network in models/outline.pt outlines all others, and new cases"
    if not record.is_file():
        return f"Which network outlined the training cases is not recorded in this folder; {others}."
    folds = Counter(entry["fold"] for entry in json.loads(record.read_text(encoding="utf-8")).values())
    each = ", ".join(f"{count:,} by {name.replace('_', ' ')}" for name, count in sorted(folds.items()))
    return (
        f"{counted(sum(folds.values()), 'case')} that the training learned from or was steered by were outlined by "
        f"{len(folds)} networks that had not seen their patients ({each}); {others}."
    )


def _pieces(contents: Contents) -> str:
    """Say in how many reported cases the outline was not in one piece."""
    regions: dict[str, Any] = contents.evaluation.get("regions", {})
    if "pieces" not in regions:
        return ""
    cases = f"{regions['cases']:,} reported cases"
    several = Counter(number for number in regions["pieces"].values() if number > 1)
    lines = [f"In all {cases} the outline is in one piece, smaller than a tenth of it apart."]
    if regions["pieces"]:
        lines = []
    if several:
        each = ", ".join(f"{count:,} with {number}" for number, count in sorted(several.items()))
        lines.append(
            f"In {sum(several.values()):,} of {cases} the outline is in several pieces ({each}); the largest counts, "
            "with the next ones as long as all fit into the grid."
        )
    if nothing := [case for case, number in regions["pieces"].items() if number == 0]:
        lines.append(
            f"In {len(nothing):,} of {cases} nothing was outlined, and the classifier saw the whole volume: "
            f"{', '.join(nothing[:10])}{', ...' if len(nothing) > 10 else ''}."
        )
    return " ".join(lines)


def _tables(outliner: Path) -> list[Table]:
    """Return the tables of the outliner, measured on the test split of the data that it was trained on."""
    file, settings = outliner / "metrics.json", outliner / "configs" / "train.yaml"
    if not file.is_file():
        return []
    config = read_yaml(settings) if settings.is_file() else {}
    metrics = json.loads(file.read_text(encoding="utf-8"))
    return outline_tables(metrics, float(config.get("tolerance", DEFAULT_TOLERANCE)), "the outliner on its test split")
