# SPDX-License-Identifier: Apache-2.0
"""Measure speed and memory, compared with other ways to do the same, and write docs/performance.md.

    python -m benchmarks.performance --items training_step inference --repeats 5
    make bench          # the short items, 5 repeats
    make bench-long     # the long items, 3 repeats

Each repeat of each item is kept as a file in the work folder, so the command can be stopped and repeated;
`--fresh` measures anew. `--check` measures nothing and exits with 1 if the page differs from the figures.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from scripts.engines.randomness import keep_freed_memory
from scripts.files.atomic import write_text

from benchmarks.performance.items import ITEMS, LONG, SHORT
from benchmarks.performance.machine import machine
from benchmarks.performance.page import FIGURES, PAGE, read_figures, render
from benchmarks.performance.records import Records, report

CHOICES = {"short": SHORT, "long": LONG, **{name: [name] for name in ITEMS}}


def run(names: Sequence[str], repeats: int, records: Records, work: Path) -> None:
    """Measure what is missing: all items once, then all of them again."""
    for repeat in range(repeats):
        for name in names:
            if records.has(name, repeat):
                continue
            start = time.perf_counter()
            records.add(name, repeat, ITEMS[name].measure(repeat, work))
            print(f"{name}, repeat {repeat + 1}: {time.perf_counter() - start:.0f} s", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", nargs="+", choices=list(CHOICES), default=["short"], metavar="NAME",
                        help=f"short, long, or any of {', '.join(ITEMS)}")  # fmt: skip
    parser.add_argument("--repeats", type=int, default=5, help="times that each item is measured")
    parser.add_argument("--output", type=Path, default=FIGURES, help="JSON of the figures")
    parser.add_argument("--page", type=Path, default=PAGE, help="page that shows them")
    parser.add_argument("--work", type=Path, default=Path("results/performance"), help="records and data")
    parser.add_argument("--fresh", action="store_true", help="forget what was measured of these items")
    parser.add_argument("--check", action="store_true", help="compare page and figures only")
    given = parser.parse_args(arguments)
    if given.check:
        if given.page.read_text(encoding="utf-8") != render(read_figures(given.output), given.output.name):
            raise SystemExit(f"{given.page} differs from {given.output}; run python -m benchmarks.performance")
        return
    names = list(dict.fromkeys(name for choice in given.items for name in CHOICES[choice]))
    records = Records(given.work / "records", machine())
    if given.fresh:
        for name in names:
            shutil.rmtree(records.folder / name, ignore_errors=True)
    keep_freed_memory()  # as every training of the bundle does
    run(names, given.repeats, records, given.work)
    content = report(records, ITEMS.values())
    text = render(content, given.output.name)
    write_text(given.output, json.dumps(content, indent=2) + "\n")
    write_text(given.page, text)
    print(f"{given.page}, {given.output}")


if __name__ == "__main__":
    main()
