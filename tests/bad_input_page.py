# SPDX-License-Identifier: Apache-2.0
"""docs/bad-input.md: what was tried, and one message of each kind, from the tests that tried it."""

from __future__ import annotations

import csv
import re
from pathlib import Path

# What goes wrong -> the mistake whose message the page shows.
EXAMPLES = {
    "dataset.json": "Misspelt label",
    "Images": "Truncated file",
    "Masks": "A value that `structures` does not name",
    "Sizes in headers": "Packed NIfTI of that size",
    "Readers that crash or hang": "A reader that crashes (segmentation fault)",
    "DICOM": "Uneven",
    "Settings": "`--max_epoch 3`",
    "Weights and checkpoints": "Code in the weights of inferring",
    "Disks": "Predictions on a full disk",
}
HEAD = """\
# Bad input

Whatever is wrong with a file, a setting or a disk, a command ends with status 1 and one line that names the
case or the file and says what to do. No half-written file stays behind. `make bad-input` writes this page
from the tests that make each mistake; `make test` fails where the page differs from them.

The product is also attacked with wrong command lines and files, changed documents, requests to the server of
MONAI Label, pairs of commands started at once, and commands that are killed, terminated, interrupted or lose
their terminal at any moment: `WRITE_ATTACKS=1 make test-slow` does so and counts the outcomes in
`docs/figures/attacks.csv`. *Refused* is one line of error and nothing written. *Done* is a change that left a
legal document, a request that may be answered, a pair that both succeeded, or a stopped command that left
nothing behind and, given again, ended as if nobody had stopped it. *By MONAI*: MONAI refused it before any
code of the bundle ran. A payload is an expression, reference or component hidden in data.

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
    """Collects mistakes and messages, or holds them against the page as it is.

    Args:
        file: docs/bad-input.md.
        writing: collect, to write the page; else compare.
    """

    def __init__(self, file: Path, writing: bool) -> None:
        self.file = file
        self.writing = writing
        self.known = file.read_text(encoding="utf-8") if file.is_file() else ""
        self.said: dict[str, dict[str, str]] = {kind: {} for kind in EXAMPLES}

    def say(self, kind: str, tried: str, message: object) -> None:
        """Note a mistake and what was said, or assert that the page has it."""
        tried = tried[0].upper() + tried[1:]
        text = neutral(str(message))
        known = self.said[kind].setdefault(tried, text)
        assert tried != EXAMPLES[kind] or known == text, f"two answers to {tried!r}"
        if self.writing:
            return
        row = next((line for line in self.known.splitlines() if line.startswith(f"| {kind} | ")), " | ")
        named = row.split(" | ")[1].split("; ")
        assert _cell(tried) in named, f"{self.file.name} lacks {tried!r}, run `make bad-input`"
        if tried == EXAMPLES[kind]:
            assert _cell(text) in row, f"{self.file.name} lacks this message, run `make bad-input`: {text}"

    def write(self) -> None:
        """Write the page from what was collected."""
        rows = [
            f"| {kind} | {'; '.join(map(_cell, said))} | {_cell(said[EXAMPLES[kind]])} |\n"
            for kind, said in self.said.items()
        ]
        table = "\n| where | what was tried | one message |\n|---|---|---|\n" + "".join(rows)
        self.file.write_text(HEAD + attacks() + table, encoding="utf-8")


def neutral(message: str) -> str:
    """Return a message without what differs from machine to machine.

    >>> neutral("found none in /tmp/pytest-of-me/pytest-3/test_a0/data/a.nii on a machine of 47 GiB")
    'found none in data/a.nii on a machine of 16 GiB'
    """
    message = re.sub(r"/[^\s'\"]*?/pytest-of-[^/]+/pytest-\d+/(?:popen-gw\d+/)?(?!popen-gw)[^/\s]+/", "", message)
    message = message.replace(f"{Path(__file__).resolve().parent.parent}/", "")
    message = re.sub(r"/[^\s'\"]*?/pytest-of-[^/]+/pytest-\d+/(?:popen-gw\d+/)?[\w-]+", "data", message)
    return re.sub(r"machine of [\d,]+ GiB", "machine of 16 GiB", message)


def _cell(text: str) -> str:
    return re.sub(r"([|<])", r"\\\1", re.sub(r"\n\s*", " / ", text))
