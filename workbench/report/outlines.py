# SPDX-License-Identifier: Apache-2.0
"""The report of a network that outlines: its sentence, its tables, and what to beware of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scripts.figures.outline_tables import lesion_table, outline_table
from scripts.figures.table import Table, counted, number
from scripts.metrics.outlines import MEAN
from workbench.report.cautions import FEWEST_CASES, WIDEST_INTERVAL, Caution
from workbench.report.contents import Contents
from workbench.report.headline import Facts, patients_of, reported_on, strategy, trained_on, value
from workbench.report.outline_figure import lesions_of

DEFAULT_TOLERANCE = 2.0  # mm, of the surface Dice, where a folder does not say
OVERLAP = (0, 1, 3, 4, 5)  # columns of `outline_table`: structure, patients, Dice, surface Dice, Hausdorff distance
VOLUME = (0, 2, 6, 7, 8)  # structure, where it is missing, volume errors
MANY_FALSE = 1.0  # false positives per case above which they are warned of
MEANING = (
    "Dice: twice the volume that both outlines share, over the sum of their volumes; 0 is apart, 1 is the same.",
    "Lesions: pieces of an outline; one is found where a predicted piece has an intersection over union of at least "
    "0.1 with it. Any other predicted piece is a false positive.",
)


def outline_headline(contents: Contents) -> str:
    """Return one sentence on how good the outlines are, with intervals and n."""
    n = f"n = {counted(contents.n, 'case')} of {patients_of(contents)}, {contents.split} split"
    if contents.metrics is None:
        return f"Nothing could be measured, as no case of the {contents.split} split has a mask; {n}."
    row = contents.metrics["outlines"][-1]
    structures = len({one["structure"] for one in contents.metrics["outlines"]} - {MEAN})
    dice = f"Mean Dice of {structures} structures" if structures > 1 else f"Dice of {row['structure']}"
    said = f"{dice} {value(row, 'dice')}"
    for phase, lesions in lesions_of(contents.metrics).items():
        rate = value(lesions, "false_positives_per_case")
        where = f" in {phase}" if phase else ""
        said += f"; share of lesions found{where} {value(lesions, 'sensitivity')}, false positives per case {rate}"
    return f"{said}; {n}."


def outline_meaning(contents: Contents) -> list[str]:
    """Return what the numbers of the sentence mean."""
    return list(MEANING[: 2 if lesions_of(contents.metrics or {}) else 1])


def outline_facts(contents: Contents) -> Facts:
    """Return pairs of name and value that say what was trained on which data."""
    config, found = contents.config, reported_on(contents)
    if config:
        size, spacing = (" × ".join(f"{step:g}" for step in config[key]) for key in ("grid_size", "spacing"))
        decoder = f", decoder {config['decoder']}" if "decoder" in config["network_def"] else ""
        found += [
            ("Strategy", strategy(config) + decoder),
            ("Phases", ", ".join(config["phases"])),
            ("Structures", ", ".join(config.get("structures") or ["lesion"])),
            ("Outlines", "one per phase" if config.get("masks") == "phase" else "one per case"),
            ("Patches", f"{size} voxels of {spacing} mm; whole scans by overlapping windows"),
        ]
    return found + trained_on(contents)


def outline_tables(metrics: dict[str, Any] | None, tolerance_mm: float, of: str) -> list[Table]:
    """Return the tables of an outliner's metrics.json: overlap, volume, lesions.

    Args:
        metrics: its content, None where no case has a mask.
        of: whose outlines, e.g. "test split".
    """
    if metrics is None:
        return []
    whole = outline_table(metrics["outlines"], tolerance_mm)
    first, second, third, last = whole.notes
    notes = {OVERLAP: [first, second.partition(";")[0] + ".", last], VOLUME: [f"Predicted minus true volume. {third}"]}
    tables = [
        Table(
            f"{title} [95% interval], {of}",
            whole.n,
            [whole.header[i] for i in columns],
            [[row[i] for i in columns] for row in whole.rows],
            notes[columns],
        )
        for title, columns in (("Overlap with the drawn outlines", OVERLAP), ("Volume", VOLUME))
    ]
    for phase, lesions in lesions_of(metrics).items():
        tables.append(lesion_table(lesions, f"Lesions{f', {phase}' if phase else ''} [95% interval], {of}"))
    return tables


def metric_tables_of(contents: Contents) -> list[Table]:
    """Return the tables of a report."""
    tolerance = float(contents.config.get("tolerance", DEFAULT_TOLERANCE))
    return outline_tables(contents.metrics, tolerance, f"{contents.split} split")


def outline_cautions(contents: Contents) -> Iterator[Caution]:
    """Yield the warnings about outlines: too few, missed, invented, or hardly known."""
    if contents.metrics is None:
        yield Caution(
            f"No case of the {contents.split} split has a mask.",
            "Nothing says how good the outlines are. Look at them, and evaluate on cases that an expert has outlined.",
        )
        return
    rows = contents.metrics["outlines"]
    patients = max(row["n_patients"] for row in rows)
    if patients < FEWEST_CASES:
        yield Caution(
            f"The {contents.split} split has masks of {counted(patients, 'patient')} only.",
            "One patient more or less changes every mean. Test on more.",
        )
    for row in rows:
        name = row["structure"] + (f" ({row['mask']})" if row["mask"] else "")
        if row["structure"] == MEAN or row["mask"] is None:
            continue
        if row["dice"] is None:
            yield Caution(
                f"No case of the {contents.split} split shows {name}, nor was it outlined.",
                "Its row is empty, and it counts in no mean.",
            )
        elif row["n_missed"] or row["n_invented"]:
            missed = f"nothing was outlined in {row['n_missed']} though it was drawn" if row["n_missed"] else ""
            invented = f"something was outlined in {row['n_invented']} though it was not" if row["n_invented"] else ""
            yield Caution(
                f"{name}, of {counted(row['n_cases'], 'case')}: {' and '.join(filter(None, [missed, invented]))}.",
                "These cases have Dice 0 and the largest possible distance, and weigh on the means; outlines.csv names "
                "them.",
            )
        if (bounds := row["dice_interval"]) and bounds[1] - bounds[0] > WIDEST_INTERVAL:
            yield Caution(
                f"The 95% interval of the Dice of {name} is {number(bounds[1] - bounds[0])} wide, from "
                f"{number(bounds[0])} to {number(bounds[1])}.",
                "The cases differ widely, or are few. The figure of the worst case says what goes wrong.",
            )
    for phase, lesions in lesions_of(contents.metrics).items():
        rate = lesions["false_positives_per_case"]
        if rate is None or rate <= MANY_FALSE:
            continue
        yield Caution(
            f"There are {number(rate)} false positives per case{f' in {phase}' if phase else ''}.",
            "Whoever acts on each piece of an outline is misled more than once a case. The FROC curve shows what "
            "fewer, surer pieces would find; train longer, or on more cases without a lesion (empty_masks).",
        )
