# SPDX-License-Identifier: Apache-2.0
"""Tables for the screen, for Markdown and for HTML pages; and the table of the metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scripts.figures.text import shorten
from scripts.metrics.registry import DECISIONS, HEADINGS, MACRO, METRICS, OF_GRADES, OVERALL, TITLES

UNKNOWN = "–"  # In place of a number that is missing


@dataclass(frozen=True)
class Table:
    """A table with its title, the number of cases behind it, and notes."""

    title: str
    n: str  # how many cases, volumes or jobs are behind it, e.g. "n = 40 cases"
    header: Sequence[str]  # names of the columns; the first column heads the rows
    rows: Sequence[Sequence[str]]  # cells, the first of each row its name
    notes: Sequence[str] = field(default_factory=tuple)  # sentences below it

    def text(self, left: int | None = 1) -> str:
        """Return header and rows for the screen; `left` as for `aligned`."""
        rows = [self.header, *self.rows]
        return aligned([list(map(on_screen, row)) for row in rows], left)

    def markdown(self) -> str:
        """Return the table in Markdown, under a heading of the second level.

        >>> table = Table("Costs", "n = 2 jobs", ["strategy", "s"], [["mean", "3"]], ["One thread."])
        >>> print(table.markdown())
        ## Costs
        <BLANKLINE>
        | strategy | s |
        | --- | --- |
        | mean | 3 |
        <BLANKLINE>
        n = 2 jobs. One thread.
        """
        notes = " ".join([f"{self.n}.", *self.notes])
        return "\n".join([f"## {self.title}", "", *markdown_lines(self.header, self.rows), "", notes])


def markdown_lines(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = ([str(cell).replace("|", r"\|") for cell in row] for row in [header, ["---"] * len(header), *rows])
    return ["| " + " | ".join(line) + " |" for line in lines]


def aligned(rows: Sequence[Sequence[str]], left: int | None = None) -> str:
    """Align the first `left` columns to the left and the others to the right; None: all to the left.

    >>> print(aligned([["split", "cases"], ["test", "40"]], left=1))
    split  cases
    test      40
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        [
            cell.ljust(width) if left is None or position < left else cell.rjust(width)
            for position, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    )
    return "\n".join("  ".join(line).rstrip() for line in lines)


def on_screen(cell: str) -> str:
    """Return a cell in characters that every terminal can show."""
    return cell.replace("×", "x").replace("±", "+-").replace(UNKNOWN, "-")


def number(value: float | None) -> str:
    """Return a metric as text with three decimals.

    >>> number(0.91749), number(None)
    ('0.917', '–')
    """
    return UNKNOWN if value is None else f"{value:.3f}"


def bounds_text(lower: float | None, upper: float | None, sign: str = "") -> str:
    """Return an interval as text to follow its value, or "" if there is none.

    >>> bounds_text(0.8, 0.95), bounds_text(-0.1, 0.2, "+")
    (' [0.800, 0.950]', ' [-0.100, +0.200]')
    """
    return "" if lower is None or upper is None else f" [{lower:{sign}.3f}, {upper:{sign}.3f}]"


def with_interval(row: Mapping[str, Any], metric: str) -> str:
    """Return a metric as text, with its 95% interval if it has one.

    >>> with_interval({"auc": 0.9, "auc_interval": [0.8, 0.95]}, "auc")
    '0.900 [0.800, 0.950]'
    """
    return number(row.get(metric)) + bounds_text(*(row.get(f"{metric}_interval") or (None, None)))


def counted(number_of: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is 1.

    >>> counted(1, "case"), counted(1200, "case")
    ('1 case', '1,200 cases')
    """
    return f"{number_of:,} {noun}{'' if number_of == 1 else 's'}"


def format_table(
    rows: Sequence[Mapping[str, Any]],
    title: str = "",
    patients: int | None = None,
    at_threshold: Mapping[str, Any] | None = None,
    calibration: Mapping[str, Any] | None = None,
) -> str:
    """Format the rows of `classification_table` as aligned text.

    Args:
        rows: one per class, then the macro row.
        title: first line, e.g. the name of the split.
        patients: number of patients behind the intervals, to be named in the legend.
        at_threshold: from `threshold_row`.
        calibration: the temperature, and the scores before the division by it, e.g. brier_before.

    Returns:
        The table, a legend and the notes of rows with undefined metrics, then the macro metrics with their
        intervals; no newline at the end.

    >>> from scripts.metrics.rows import classification_table
    >>> p = [[.9, .1], [.6, .4], [.7, .3], [.2, .8]]
    >>> rows = classification_table(p, [0, 0, 1, 1], ["low", "high"])
    >>> print(format_table(rows).splitlines()[1])
    low    2 of 4  0.750  0.833      0.750     0.750          1.000        0.500        0.800
    """
    blocks = [_classes(rows), _overall(rows, patients, calibration)]
    if at_threshold is not None:
        blocks.append(_threshold(at_threshold))
    text = "\n\n".join(blocks)
    return f"{title}\n{text}" if title else text


def _classes(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return one line per class and the macro line, with legend and notes."""
    lines = [["class", "cases", *HEADINGS.values()]]
    for row in rows:
        count = str(row["n"]) if row["n_positive"] is None else f"{row['n_positive']} of {row['n']}"
        lines.append([shorten(str(row["class"])), count, *(on_screen(number(row[metric])) for metric in METRICS)])
    text = aligned(lines).split("\n")
    legend = [
        "Each class against the rest; the predicted class is the one with the highest probability.",
        f"{MACRO}: mean over the classes; its accuracy is the share of all cases predicted right.",
    ]
    if any(row[metric] is None for row in rows for metric in METRICS):
        legend.append("-: undefined.")
    notes = [f"{row['class']}: {row['note']}" for row in rows if row["note"]]
    return "\n".join([*text[:-1], "-" * max(map(len, text)), text[-1], "", *legend, *notes])


def _overall(rows: Sequence[Mapping[str, Any]], patients: int | None, calibration: Mapping[str, Any] | None) -> str:
    """Return the macro row, one metric per line, with intervals."""
    macro, temperature = rows[-1], 1.0 if calibration is None else calibration["temperature"]
    has_interval = any(macro.get(f"{metric}_interval") for metric in (*METRICS, *OVERALL))
    over = "" if patients is None else f" over {patients} patients"
    lines = [f"All classes together{f' [95% interval{over}]' if has_interval else ''}:"]
    for metric in (*METRICS, *OVERALL):
        if metric in OF_GRADES and len(rows) < 4:
            continue
        line = _line(macro, metric)
        if calibration is not None and temperature != 1 and f"{metric}_before" in calibration:
            before = calibration[f"{metric}_before"]
            line += f"   {before:.3f} before division by temperature {temperature:.2f}"
        lines.append(line)
    return "\n".join(lines)


def _threshold(row: Mapping[str, Any]) -> str:
    """Return the metrics at the threshold that was chosen on the validation split."""
    named = shorten(str(row["class"]))
    at = f"{named} (the positive class) from P({named}) = {row['threshold']:.3f}"
    lines = [f"At the model's threshold, {at}:"]
    if "chosen_by" in row:
        lines.append(f"  chosen by {row['chosen_by']}")
    lines += [_line(row, metric) for metric in (*DECISIONS, "kappa", "net_benefit")]
    lines[-1] += f"   {row['net_benefit_of_treating_all']:.3f} if every case were called {row['class']}"
    return "\n".join(lines)


def _line(row: Mapping[str, Any], metric: str) -> str:
    """Return the line of one metric, with its interval if it has one."""
    return f"  {TITLES[metric]:<41}{on_screen(with_interval(row, metric))}"
