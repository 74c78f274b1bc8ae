# SPDX-License-Identifier: Apache-2.0
"""Outliners of a comparison: none outlines a patient whom it saw, nor has one that serves a test seen its cases."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from scripts.cases.clinical import Column
from scripts.cases.document import Item
from scripts.cases.splits import split_by_patient
from scripts.engines.environment import describe_machine
from scripts.engines.outliner import PREFIX, SHARED, gather_outlines, refuse_seen, refuse_unmasked, write_outliner
from scripts.files.atomic import copy_atomically, write_text
from scripts.files.plain_text import file_name
from workbench.compare.folds import Fold, part_seed
from workbench.compare.jobs import Job, Place, alone
from workbench.compare.outlined_measures import Measures
from workbench.compare.outliners import Outliner, outlined_by, outliners_of
from workbench.compare.pool import ENTRY, Pool, write_fold
from workbench.compare.strategies import check_record
from workbench.compare.training import run_workflow
from workbench.measure.case import measure_case
from workbench.measure.masks import outlines_of


@dataclass(frozen=True)
class Outlining:
    """What the outliners of a comparison have in common.

    Attributes:
        place: where jobs run.
        folder: receives each outliner as a results folder, ``data`` and ``measures``; comparisons may share it.
        config: merged configuration of the trainings.
    """

    place: Place
    folder: Path
    pool: Pool
    parts: Sequence[Fold]
    config: Mapping[str, Any]
    validation_fraction: float
    seed: int
    measures: Measures | None = None  # of what is outlined

    def row(self, outliner: Outliner) -> Path:
        """File that exists once an outliner is trained."""
        return self.folder / "rows" / f"{outliner.name}.json"

    def measured(self, outliner: Outliner) -> Path:
        """File with the measures of what it outlines."""
        return self.folder / "measures" / f"{outliner.name}.json"

    def done(self, outliner: Outliner) -> bool:
        """Whether it is trained, and what it outlines measured."""
        return self.row(outliner).is_file() and (self.measures is None or self._known(outliner) is not None)

    def run(self, outliner: Outliner) -> str | None:
        """Train an outliner and measure what it outlines, as far as that is not done; for `run_jobs`."""
        return alone(self.folder / "logs" / f"{outliner.name}.log", outliner.name, partial(self._work, outliner))

    def _work(self, outliner: Outliner) -> None:
        if not self.row(outliner).is_file():
            start = time.perf_counter()
            settings = self._write(outliner)
            configs = self.place.bundle / "configs"
            files = [configs / "train.yaml", configs / "segment.yaml", settings]
            shared = {"cache": self.place.cache, "cache_dir": str(self.place.cache_dir)}
            run_workflow(self.place.bundle, files, "segmenting", seed=self.config["seed"], **shared)
            results = self.folder / outliner.name
            (results / "models" / "last.pt").unlink(missing_ok=True)  # only needed to resume
            figures = json.loads((results / "metrics.json").read_text(encoding="utf-8"))
            record = {"name": outliner.name, "seconds": round(time.perf_counter() - start, 1)}
            record |= {"outlines": figures["outlines"], **describe_machine()}
            write_text(self.row(outliner), json.dumps(record, indent=1) + "\n")
        if not self.done(outliner):
            self._measure(outliner)

    def _write(self, outliner: Outliner) -> Path:
        """Write its dataset.json and settings."""
        parts = [part for part in self.parts if part.repeat == outliner.repeat]
        inside = [case for part in parts if part.fold in outliner.left_out for case in part.test]
        others = sorted(set(range(len(self.pool.items))) - set(inside))
        labels, patients = ([self.pool.items[case][key] for case in others] for key in ("label", "patient"))
        shares = {"training": 1 - self.validation_fraction, "validation": self.validation_fraction}
        splits = split_by_patient(labels, patients, shares, part_seed(self.seed, outliner.repeat, *outliner.left_out))
        chosen: dict[str, list[int]] = {"training": [], "validation": [], "test": sorted(inside)}
        for case, split in zip(others, splits, strict=True):
            chosen[split].append(case)
        phases = [outliner.phase] if outliner.phase else self.pool.phases
        content: dict[str, Any] = {"phases": phases, "classes": self.pool.classes, "structures": self.pool.structures}
        content |= {split: [self.entry(case, outliner.phase) for case in cases] for split, cases in chosen.items()}
        return write_outliner(self.folder, outliner.name, content, {**self.config, **seen(outliner.phase)})

    def entry(self, case: int, phase: str | None) -> dict[str, Any]:
        item = of_phase(self.pool.items[case], phase)
        return {key: item[key] for key in ENTRY if key not in ("clinical", "box") and item.get(key) is not None}

    def _known(self, outliner: Outliner) -> dict[str, dict[str, float | None]] | None:
        """Return case -> column -> value, None where it was not measured, or something else was."""
        file = self.measured(outliner)
        if self.measures is None or not file.is_file():
            return None
        found = json.loads(file.read_text(encoding="utf-8"))
        same = found["measured"] == json.loads(json.dumps(asdict(self.measures.seen(outliner.phase))))
        return found["cases"] if same else None

    def _measure(self, outliner: Outliner) -> None:
        assert self.measures is not None
        measured = self.measures.seen(outliner.phase)
        content = json.loads((self.folder / "data" / outliner.name / "dataset.json").read_text(encoding="utf-8"))
        masks, _ = outlines_of(self.folder / outliner.name / "outlines", content["test"], measured.phases)
        found = {}
        for item in content["test"]:
            values = measure_case(item, masks.get(item["case"], {}), measured)
            found[item["case"]] = {measure.name: value for measure, value in values.items()}
        record = {"measured": asdict(measured), "cases": found}
        write_text(self.measured(outliner), json.dumps(record, indent=1) + "\n")

    def write_fold(self, folder: Path, fold: Fold, phase: str | None, outlines: bool) -> None:
        """Write what the trainings of a fold read: dataset.json with measures, and an outliner with its outlines.

        Args:
            folder: of the fold; that of a single phase is in it.
            outlines: for networks; models of the table read measures alone.

        Raises:
            ValueError: a case was outlined by a network that saw its patient.
        """
        folder = folder / file_name(phase) if phase else folder
        by = outlined_by(fold, self.parts, phase)
        items, names = self.pool.items, {case: outliner.name for case, outliner in by.items()}
        refuse_seen(self.folder, {items[case]["case"]: name for case, name in names.items()}, items)
        columns = [] if self.measures is None else self.measures.columns(phase)
        pool = replace(self.pool, columns=[*self.pool.columns, *columns])
        if columns:
            known = {outliner: self._known(outliner) or {} for outliner in set(by.values())}
            measured = [known[by[case]].get(item["case"], {}) for case, item in enumerate(items)]
            pool = replace(pool, items=[with_values(*pair, columns) for pair in zip(items, measured, strict=True)])
        write_fold(folder, pool, fold)
        if not outlines:
            return
        shutil.rmtree(folder / "outlines", ignore_errors=True)
        test = set(fold.test)
        cases = [(of_phase(items[case], phase), name) for case, name in names.items() if case not in test]
        gather_outlines(folder, self.folder, cases, phase or self.config["reference_phase"])
        for name in sorted(set(names.values())):
            part = Path("data") / name / "dataset.json"
            copy_atomically(self.folder / part, folder / "outliner" / part)
        weights = self.folder / names[fold.test[0]] / "models" / "model.pt"
        copy_atomically(weights, folder / "models" / "outline.pt")


def seen(phase: str | None) -> dict[str, Any]:
    """Return the settings of a training that sees a single phase, {} for all."""
    return {"phases": [phase], "reference_phase": phase} if phase else {}


def of_phase(item: Item, phase: str | None) -> dict[str, Any]:
    """Return a case with a single phase and its mask.

    Raises:
        ValueError: the case has no such phase.
    """
    if phase is None:
        return dict(item)
    if phase not in item["image"]:
        raise ValueError(
            f"case {item['case']} must have phase {phase!r}, which is outlined by itself, found none; "
            "give --single_repeats 0 to leave single phases out"
        )
    roi = item.get("roi")
    if isinstance(roi, Mapping):
        roi = {phase: roi[phase]} if phase in roi else None
    return dict(item) | {"image": {phase: item["image"][phase]}, "roi": roi}


def with_values(item: Item, values: Mapping[str, float | None], columns: Sequence[Column]) -> Any:
    """Return a case with the values of further clinical columns, as far as they are known."""
    known = {column["name"]: values.get(column["name"]) for column in columns}
    return item | {"clinical": item["clinical"] | {name: value for name, value in known.items() if value is not None}}


KEPT = frozenset(SHARED) - {"cache", "cache_dir", "device"}
"""Keys that outliners depend on, beside their own."""


def train_outliners(outlining: Outlining, jobs: Sequence[Job], run: Callable[..., list[str]], at_a_time: int) -> None:
    """Train the outliners that jobs need, as far as they are not trained; after the first one say how long it takes.

    Args:
        run: `run_jobs`, told where.
        at_a_time: how many are trained at the same time.

    Raises:
        ValueError: a case without a mask, fewer than 3 folds, another comparison's outliners in the folder; an
            outliner that could not be trained.
    """
    items = outlining.pool.items
    refuse_unmasked(items)
    fold_of = {(part.repeat, part.fold): part for part in outlining.parts}
    needed: dict[Outliner, None] = {}
    for phase in dict.fromkeys(job.phase for job in jobs):
        places = dict.fromkeys((job.repeat, job.fold) for job in jobs if job.phase == phase)
        needed |= dict.fromkeys(outliners_of([fold_of[place] for place in places], phase))
    settings = {key: value for key, value in outlining.config.items() if key.startswith(PREFIX) or key in KEPT}
    record = {
        **json.loads(json.dumps(settings)),
        "cases": hashlib.sha256(repr([outlining.entry(case, None) for case in range(len(items))]).encode()).hexdigest(),
        "folds": hashlib.sha256(repr([part.test for part in outlining.parts if part.repeat == 1]).encode()).hexdigest(),
        "validation_fraction": outlining.validation_fraction,
        "seed": outlining.seed,
    }
    check_record(outlining.folder, record, "outliners.json")
    todo = [one for one in needed if not outlining.done(one)]
    if not todo:
        return
    print(f"\n{len(needed)} outliners, {len(needed) - len(todo)} of them trained: {outlining.folder}", flush=True)
    start = time.perf_counter()

    def hours() -> str:
        """Say how long the others take."""
        minutes, others = (time.perf_counter() - start) / 60, len(todo) - 1
        left = minutes * others / at_a_time / 60
        return f"the first took {minutes:.1f} min; {others} more, {at_a_time} at a time: about {left:.1f} h"

    failures = run(outlining.run, todo, len(needed), title="outlining", first=hours)
    if failures:
        raise ValueError(
            f"{len(failures)} of {len(needed)} outliners failed, the first: {failures[0]}; remove the cause and run "
            "the same command again, finished ones are kept"
        )
