# SPDX-License-Identifier: Apache-2.0
"""What every attack shares: a payload that leaves a trace, and a tally that can be taken up where it stopped.

`WRITE_ATTACKS=1 make test-slow` writes docs/figures/attacks.csv from the tallies.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from scripts.engines.environment import describe_machine

from tests.attack.forked_command import ForkedCommands
from tests.datasets import write_dicom as write_dicom  # the fixture
from tests.label_server import app, cases, results, server, studies  # noqa: F401 - fixtures

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "docs" / "figures" / "attacks.csv"
COUNTED = ("tried", "refused", "done", "by_monai", "wrongly_accepted", "tracebacks", "payloads_run", "left_over")
"""`by_monai`: MONAI itself refused the configuration, before any code of the bundle could say why."""
COLUMNS = ("attack", *COUNTED, "seconds", "seed", "threads", "processor", "torch")


class Canary:
    """A file that only a payload makes, and expressions that make it.

    Args:
        file: it does not exist until a payload runs.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    @property
    def payloads(self) -> list[str]:
        """Texts that MONAI would execute if they reached a configuration as they are."""
        call = f"__import__('pathlib').Path({str(self.file)!r}).touch()"
        return [f"${call}", f"$[{call}, 1][1]", f"${call} or 1.0", f"${call} or 'low'"]

    @property
    def ran(self) -> bool:
        """Whether a payload was executed."""
        return self.file.exists()


@pytest.fixture
def canary(tmp_path_factory) -> Canary:
    return Canary(tmp_path_factory.mktemp("canary") / "ran")


@pytest.fixture(scope="session")
def forked() -> Iterator[ForkedCommands]:
    """Commands without their imports: `status, output = forked.run(["run", "training", ...], timeout=60)`."""
    with ForkedCommands() as commands:
        yield commands


class Tally:
    """Counts of one attack, kept per part below results/attacks, so that a stopped run goes on.

    Args:
        attack: name of the row in docs/figures/attacks.csv.
        seed: of what is drawn.
        folder: of the parts, one for each state of the code.
    """

    def __init__(self, attack: str, seed: int, folder: Path) -> None:
        self.attack, self.seed = attack, seed
        self.file = folder / f"{attack.replace(' ', '_').replace('/', '_')}.jsonl"

    def parts(self) -> dict[str, dict[str, float]]:
        """Return what was counted, by part."""
        lines = self.file.read_text(encoding="utf-8").splitlines() if self.file.is_file() else []
        return {row.pop("part"): row for row in map(json.loads, lines)}

    def part(self, name: str, count: Callable[[], Counter[str]]) -> None:
        """Count one part, unless it was counted before; `count` returns some of `COUNTED`."""
        if name in self.parts():
            return
        start = time.monotonic()
        found = count()
        assert set(found) <= set(COUNTED), f"unknown counts {set(found) - set(COUNTED)}"
        row = {"part": name, "seconds": round(time.monotonic() - start, 1), **found}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")

    def close(self, tried: int) -> dict[str, int]:
        """Assert that all was tried and nothing got through; return the counts, and write them if asked."""
        sums = Counter(dict.fromkeys(COUNTED, 0))
        seconds = 0.0
        for row in self.parts().values():
            seconds += row["seconds"]
            sums.update({name: int(row.get(name, 0)) for name in COUNTED})
        counts = dict(sums)
        if os.environ.get("WRITE_ATTACKS"):
            self._write(counts, seconds)
        assert counts["tried"] >= tried, counts
        assert not any(counts[name] for name in COUNTED[4:]), counts
        return counts

    def _write(self, counts: dict[str, int], seconds: float) -> None:
        rows = []
        if TABLE.is_file():
            with TABLE.open(encoding="utf-8", newline="") as source:
                rows = [row for row in csv.DictReader(source) if row["attack"] != self.attack]

        machine = describe_machine()
        rows.append(
            {"attack": self.attack, **counts, "seconds": round(seconds), "seed": self.seed}
            | {"threads": torch.get_num_threads(), "processor": machine["machine"]["processor"]}
            | {"torch": torch.__version__}
        )
        with TABLE.open("w", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(sorted(rows, key=lambda row: row["attack"]))


@functools.cache
def code_state() -> str:
    """Return a hash of the code that is attacked and of the attacks."""
    found = hashlib.sha256()
    for folder in ("scripts", "configs", "tests/attack"):
        for file in sorted((ROOT / folder).rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                found.update(str(file.relative_to(ROOT)).encode() + file.read_bytes())
    return found.hexdigest()[:16]


@pytest.fixture
def tally() -> Callable[..., Tally]:
    """Return a function that gives the tally of an attack."""
    return lambda attack, seed=0: Tally(attack, seed, ROOT / "results" / "attacks" / code_state())
