"""A table for people: on the screen, in Markdown, and as HTML (macro `table` of the report's templates)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

UNKNOWN = "–"  # What stands where there is no number


@dataclass(frozen=True)
class Table:
    """One table."""

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
        """Return it with a heading of the second level.

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
    lines = (
        [str(cell).replace("|", r"\|") for cell in row] for row in [header, ["---"] * len(header), *rows]
    )
    return ["| " + " | ".join(line) + " |" for line in lines]


def aligned(rows: Sequence[Sequence[str]], left: int | None = None) -> str:
    """Align columns: the first `left` ones to the left, the others to the right; None: all to the left.

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
    """Return a cell in signs that every terminal has."""
    return cell.replace("×", "x").replace(UNKNOWN, "-")


def number(value: float | None) -> str:
    """Write a metric with three digits.

    >>> number(0.91749), number(None)
    ('0.917', '–')
    """
    return UNKNOWN if value is None else f"{value:.3f}"


def bounds_text(lower: float | None, upper: float | None, sign: str = "") -> str:
    """Write an interval behind its value; nothing where there is none.

    >>> bounds_text(0.8, 0.95), bounds_text(-0.1, 0.2, "+")
    (' [0.800, 0.950]', ' [-0.100, +0.200]')
    """
    return "" if lower is None or upper is None else f" [{lower:{sign}.3f}, {upper:{sign}.3f}]"


def with_interval(row: Mapping[str, Any], metric: str) -> str:
    """Write a metric with its 95% interval, if it has one.

    >>> with_interval({"auc": 0.9, "auc_interval": [0.8, 0.95]}, "auc")
    '0.900 [0.800, 0.950]'
    """
    return number(row.get(metric)) + bounds_text(*(row.get(f"{metric}_interval") or (None, None)))


def counted(number_of: int, noun: str) -> str:
    """Write a number with its noun.

    >>> counted(1, "case"), counted(1200, "case")
    ('1 case', '1,200 cases')
    """
    return f"{number_of:,} {noun}{'' if number_of == 1 else 's'}"
