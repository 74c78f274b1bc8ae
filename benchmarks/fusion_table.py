# SPDX-License-Identifier: Apache-2.0
"""Write the table of docs/fusion.md from the measured figures of all strategies.

    python -m benchmarks.fusion_table --truth data/phantom_extra/truth.csv
    python -m benchmarks.fusion_table --check

The figures come from `benchmarks.strategies` and `benchmarks.strategy_cost`; a strategy that only one of them
measured is "not run" in the other's columns. `--truth` computes the line of the oracle, which knows the equations
of the phantom; without it, the line in the document is kept. `--check` writes nothing and exits with 1 if the
document differs from the figures.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from workbench.prepare.phantom.oracle import CLASSES

from benchmarks.marked import between_markers
from benchmarks.seeds import read_rows
from benchmarks.strategies import strategies

NEAR = 0.95
HEADER = (
    f"| strategy | parameters (beyond the encoder) | MFLOP | step time (range) | AUC | ≥ {NEAR:.0%} |",
    "|---|---:|---:|---:|---:|:---:|",
)
ORACLE = "| oracle"
NOT_RUN = "not run"
RANGE = ("", "_min", "_max")
Row = Mapping[str, str]


@dataclass(frozen=True)
class Result:
    """The AUCs of one strategy, one per seed."""

    strategy: str
    aucs: tuple[float, ...]

    @property
    def single(self) -> bool:
        """Whether only one phase was read."""
        return self.strategy.startswith("single_")

    @property
    def auc(self) -> float:
        """Mean over the seeds; -1 if none was run."""
        return mean(self.aucs) if self.aucs else -1.0


def oracle_auc(truth: Path) -> float:
    """Return the AUC of the true probabilities, given the phases at hand, of the test cases of a phantom."""
    from sklearn.metrics import roc_auc_score

    with truth.open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == "test"]
    return float(roc_auc_score([row["label"] == CLASSES[1] for row in rows], [float(row["p_true"]) for row in rows]))


def render(runs: Sequence[Row], costs: Sequence[Row], names: Iterable[str], oracle: str | None = None) -> list[str]:
    """Return the lines of the table.

    Args:
        runs: rows of `benchmarks.strategies`, one per strategy and seed.
        costs: rows of `benchmarks.strategy_cost`, one per strategy; `single` serves every single phase.
        names: strategies in the table; single phases are called single_<phase> and come last.
        oracle: last line, that of the oracle; None: no such line.
    """
    results = [
        Result(name, tuple(float(run["extra_auc"]) for run in runs if run["strategy"] == name)) for name in names
    ]
    results.sort(key=lambda result: (result.single, -result.auc, result.strategy))
    best = max((result.auc for result in results if not result.single), default=-1.0)
    cost_of = {cost["strategy"]: cost for cost in costs}
    lines = [_line(result, cost_of.get("single" if result.single else result.strategy), best) for result in results]
    return [*HEADER, *lines, *([oracle] if oracle else []), "", *_notes(runs, costs)]


def _line(result: Result, cost: Row | None, best: float) -> str:
    """Return the line of one strategy."""
    name = f"`{result.strategy}`"
    if result.single:
        name = f"`single`, {result.strategy.removeprefix('single_')} alone"
    size = work = step = auc = NOT_RUN
    if cost:
        size = f"{int(cost['parameters']):,} ({int(cost['added_parameters']):,})"
        work = f"{float(cost['mflop']):.1f}"
        step = "{:.2f} ({:.2f} to {:.2f})".format(*(float(cost[f"step_ratio{end}"]) for end in RANGE))
    if result.aucs:
        spread = f" ± {stdev(result.aucs):.3f}" if len(result.aucs) > 1 else ""
        seeds = "1 seed" if len(result.aucs) == 1 else f"{len(result.aucs)} seeds"
        auc = f"{result.auc:.3f}{spread} ({seeds})"
    near = "✓" if result.aucs and best > 0 and result.auc >= NEAR * best else ""
    return f"| {name} | {size} | {work} | {step} | {auc} | {near} |"


def _notes(runs: Sequence[Row], costs: Sequence[Row]) -> list[str]:
    """Say on what data, how often and on which machine the figures were measured."""
    notes = []
    if runs:
        notes.append(
            f"AUC: mean ± standard deviation over seeds, on {_all(runs, 'extra_n')} phantom cases that no "
            f"training saw; {_machine(runs)}. ✓: at least {NEAR:.0%} of the best strategy's AUC."
        )
    if costs:
        notes.append(
            f"Step time: ratio to `concat` in the same round, median (smallest to largest) of "
            f"{_all(costs, 'rounds')} rounds; {_machine(costs)}."
        )
    return notes


def _machine(rows: Sequence[Row]) -> str:
    """Name threads, processor and torch."""
    return f"threads {_all(rows, 'threads')}, {_all(rows, 'processor')}, torch {_all(rows, 'torch')}"


def _all(rows: Sequence[Row], key: str) -> str:
    """Return all different values of a column."""
    return " and ".join(sorted({row[key] for row in rows}))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("docs/figures/strategies.csv"))
    parser.add_argument("--costs", type=Path, default=Path("docs/figures/strategy_cost.csv"))
    parser.add_argument("--truth", type=Path, help="truth.csv of the phantom on which the AUCs were measured")
    parser.add_argument("--document", type=Path, default=Path("docs/fusion.md"))
    parser.add_argument("--check", action="store_true", help="compare only; exit with 1 on a difference")
    given = parser.parse_args(arguments)
    head, part, tail = between_markers(given.document.read_text(encoding="utf-8"), "table")
    found = part.strip("\n").split("\n")
    oracle = next((line for line in found if line.startswith(ORACLE)), None)
    if given.truth:
        oracle = f"{ORACLE}, from the phases at hand | – | – | – | {oracle_auc(given.truth):.3f} | |"
    runs, costs = read_rows(given.runs), read_rows(given.costs)
    measured = {row["strategy"] for row in (*runs, *costs)}
    names = [name for name in strategies() if name in measured]
    expected = render(runs, costs, names, oracle)
    expected = "\n".join(expected).strip("\n").split("\n")
    if not given.check:
        given.document.write_text(head + "\n".join(expected) + "\n" + tail, encoding="utf-8")
    elif found != expected:
        different = next((line for line in expected if line not in found), "a line too many")
        raise SystemExit(
            f"the table of {given.document} differs from the figures ({different}); "
            "run python -m benchmarks.fusion_table"
        )


if __name__ == "__main__":
    main()
