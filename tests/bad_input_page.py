"""docs/bad-input.md: what was tried and what it says, one row from each test that tried it."""

from __future__ import annotations

import csv
import re
from pathlib import Path

THEMES = (
    "dataset.json",
    "Images",
    "Sizes in headers",
    "Readers that crash or hang",
    "DICOM",
    "Settings",
    "Weights and checkpoints",
    "Disks",
)
HEAD = """\
# Bad input

What was tried, and what the command says. Each row comes from a test that did it and checks the answer: one
line that names the case or file and the remedy, exit status 1, and no half-written file left behind. `make
bad-input` writes this page anew; `make test` fails where it differs from what is said.

Beyond these rows the product is attacked: by wrong command lines and files, changed documents, requests to
the server of MONAI Label, pairs of commands started at once, and kills. `WRITE_ATTACKS=1 make test-slow`
does so and notes what came of it in `docs/figures/attacks.csv`. *Refused* is one line of error and nothing
written; *done* is a change that left a legal document, a request that may be answered, a pair that both
succeeded, a command that was killed and went on to the same results. *By MONAI* is what it refuses before
any code of the bundle runs. A payload is an expression, reference or component that data brought along.

"""


def attacks() -> str:
    """Return the table of docs/figures/attacks.csv."""
    names = (
        "attack",
        "tried",
        "refused",
        "done",
        "by_monai",
        "tracebacks",
        "wrongly_accepted",
        "payloads_run",
        "left_over",
    )
    with (Path(__file__).resolve().parents[1] / "docs/figures/attacks.csv").open(encoding="utf-8") as source:
        rows = [[row[name] for name in names] for row in csv.DictReader(source)]
    lines = [[name.replace("_", " ") for name in names], ["---", *["---:"] * (len(names) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


class Page:
    """Collects rows, or holds them against the page as it is.

    Args:
        file: docs/bad-input.md.
        writing: collect, to write the page; else compare.
    """

    def __init__(self, file: Path, writing: bool) -> None:
        self.file = file
        self.writing = writing
        self.known = file.read_text(encoding="utf-8") if file.is_file() else ""
        self.rows: dict[str, dict[str, str]] = {theme: {} for theme in THEMES}

    def say(self, theme: str, tried: str, message: object) -> None:
        """Add a row, or assert that the page has it."""
        tried = tried[0].upper() + tried[1:]
        row = _row(tried, neutral(str(message)))
        assert self.rows[theme].setdefault(tried, row) == row, f"two answers to {tried!r}"
        assert self.writing or row in self.known, (
            f"{self.file.name} lacks this row, run `make bad-input`: {row}"
        )

    def write(self) -> None:
        """Write the page from the rows collected."""
        parts = [HEAD, attacks()]
        for theme, rows in self.rows.items():
            parts.append(f"\n## {theme}\n\n| tried | what it says |\n|---|---|\n" + "".join(rows.values()))
        self.file.write_text("".join(parts), encoding="utf-8")


def neutral(message: str) -> str:
    """Return a message without what differs from machine to machine.

    >>> neutral("found none in /tmp/pytest-of-me/pytest-3/test_a0/data/a.nii on a machine of 47 GiB")
    'found none in data/a.nii on a machine of 16 GiB'
    """
    message = re.sub(
        r"/[^\s'\"]*?/pytest-of-[^/]+/pytest-\d+/(?:popen-gw\d+/)?(?!popen-gw)[^/\s]+/", "", message
    )
    message = message.replace(f"{Path(__file__).resolve().parent.parent}/", "")
    message = re.sub(r"/[^\s'\"]*?/pytest-of-[^/]+/pytest-\d+/(?:popen-gw\d+/)?[\w-]+", "data", message)
    return re.sub(r"machine of [\d,]+ GiB", "machine of 16 GiB", message)


def _row(tried: str, message: str) -> str:
    one_line = re.sub(r"\n\s*", " / ", message)
    cells = (re.sub(r"([|<])", r"\\\1", text) for text in (tried, one_line))
    return "| {} | {} |\n".format(*cells)
