# SPDX-License-Identifier: Apache-2.0
"""Contender `auto`: for each fold it chooses among strategies by inner folds, which hold nothing of the test part."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from scripts.files.atomic import copy_atomically, write_text
from workbench.compare.folds import Fold, make_folds, part_seed
from workbench.compare.jobs import Job, Place, run_job
from workbench.compare.pool import Pool, write_fold
from workbench.compare.strategies import AUTO, SETTINGS, check_record, table_model


def one_standard_error(scores: Mapping[str, Sequence[float]], parameters: Mapping[str, int]) -> list[str]:
    r"""Return the candidates within one standard error of the best mean, the one with the fewest weights first.

    .. math:: \bar a_c \ge \bar a_b - s_b / \sqrt{K}, \quad b = \arg\max_c \bar a_c

    with mean :math:`\bar a_c` and standard deviation :math:`s_c` of candidate c over the K inner folds. Of equally
    many weights, the higher mean comes first. Folds share training cases, so that the error is only a yardstick.

    Args:
        scores: AUC of each candidate in each inner fold.
        parameters: number of weights of each candidate.

    Reference: Breiman et al., Classification and regression trees, 1984, section 3.4.3; Hastie et al., The elements
        of statistical learning, 2009, section 7.10.

    >>> one_standard_error({"large": [0.8, 0.9, 0.85], "small": [0.8, 0.85, 0.84]}, {"large": 900, "small": 100})
    ['small', 'large']
    """
    mean = {name: fmean(values) for name, values in scores.items()}
    best = max(mean, key=lambda name: mean[name])
    least = mean[best] - standard_error(scores[best]) - 1e-12
    return sorted((name for name in mean if mean[name] >= least), key=lambda name: (parameters[name], -mean[name]))


def standard_error(values: Sequence[float]) -> float:
    """Return the standard deviation of values, divided by the root of their number."""
    return stdev(values) / len(values) ** 0.5


@dataclass(frozen=True)
class Choice:
    """What was chosen for one fold and seed."""

    job: Job  # of `auto`
    scores: dict[str, list[float]]  # AUC of each candidate in each inner fold
    parameters: dict[str, int]
    seconds: float | None  # of all inner trainings; None if one was interrupted

    @property
    def chosen(self) -> str:
        """The candidate with the fewest weights within one standard error of the best."""
        return one_standard_error(self.scores, self.parameters)[0]

    def rows(self) -> list[dict[str, Any]]:
        """Return its rows of choices.csv, one per candidate."""
        within = one_standard_error(self.scores, self.parameters)
        place = {key: value for key, value in self.job.record.items() if key != "strategy"}
        return [
            place
            | {"candidate": name, "weights": self.parameters[name], "inner_folds": len(values)}
            | {"auc": fmean(values), "standard_error": standard_error(values)}
            | {"within": int(name in within), "chosen": int(name == within[0])}
            for name, values in self.scores.items()
        ]


def candidates_of(candidates: Sequence[str] | None, strategies: Sequence[str], outlined: bool) -> list[str]:
    """Return the strategies among which `auto` chooses; None takes the other strategies of the list.

    Raises:
        ValueError: fewer than two, one that is none, or networks outline.

    >>> candidates_of(None, ["auto", "concat", "gated"], outlined=False)
    ['concat', 'gated']
    """
    if outlined:
        raise ValueError(
            "`auto` cannot choose where networks outline, since each inner fold would need outliners of its own, found "
            "an outliner; take auto out of `strategies`, or give the regions by masks"
        )
    found = list(dict.fromkeys(name for name in strategies if name != AUTO) if candidates is None else candidates)
    wrong = next((name for name in found if name == AUTO or table_model(name)), None)
    if wrong is not None or len(found) < 2:
        kind = f"{wrong!r}" if wrong is not None else f"[{', '.join(found)}]"
        raise ValueError(
            f"`auto` chooses among 2 networks or more, found {kind}; name them in --candidates, e.g. [concat, gated]"
        )
    return found


@dataclass(frozen=True)
class Nested:
    """The inner folds of a comparison, their jobs, and what these choose."""

    place: Place  # of the inner jobs
    pool: Pool
    candidates: Sequence[str]
    folds: int  # inner folds of each fold
    validation_fraction: float
    seed: int  # of the folds

    def parts(self, fold: Fold, name: str) -> dict[str, Fold]:
        """Divide the cases outside the test part into inner folds; return them by the name of their files.

        Raises:
            ValueError: as for `make_folds`.
        """
        known = sorted([*fold.training, *fold.validation])
        labels, patients = ([self.pool.items[case][key] for case in known] for key in ("label", "patient"))
        # a pair of equal folds: no other part has this seed
        seed = part_seed(self.seed, fold.repeat, fold.fold, fold.fold)
        try:
            inner = make_folds(labels, patients, self.folds, 1, self.validation_fraction, seed)
        except ValueError as error:
            told = str(error).replace("--folds", "--inner_folds")
            raise ValueError(f"`auto` divides the cases outside the test part of {name} again: {told}") from None
        found = {}
        for part in inner:
            training, validation, test = (
                [known[case] for case in cases] for cases in (part.training, part.validation, part.test)
            )
            found[f"{name}_i{part.fold}"] = Fold(fold.repeat, fold.fold, training, validation, test, fold.site)
        return found

    def jobs(self, auto: Sequence[Job]) -> dict[Job, list[Job]]:
        """Return the inner jobs of each job of `auto`."""
        return {
            job: [
                replace(job, strategy=name, fold_name=f"{job.fold_name}_i{number}")
                for name in self.candidates
                for number in range(1, self.folds + 1)
            ]
            for job in auto
        }

    def write(self, named: Mapping[str, Fold], settings: Path) -> None:
        """Write settings and the dataset.json of every inner fold.

        Raises:
            ValueError: the folder holds other inner folds, or the cases cannot be divided.
        """
        parts = {inner: part for name, fold in named.items() for inner, part in self.parts(fold, name).items()}
        check_record(self.place.folder, {"inner_folds": self.folds}, "inner.json")
        copy_atomically(settings, self.place.folder / SETTINGS)
        for name, part in parts.items():
            write_fold(self.place.folder / "folds" / name, self.pool, part)

    def todo(self, auto: Sequence[Job]) -> list[Job]:
        """Return the inner jobs that are not done."""
        return [job for jobs in self.jobs(auto).values() for job in jobs if not self.place.row(job).is_file()]

    def choose(self, auto: Sequence[Job], run: Callable[..., list[str]]) -> list[Choice]:
        """Do the inner jobs that are not done, and return what they choose for each job of `auto`.

        Args:
            run: `run_jobs`, told where.

        Raises:
            ValueError: a job failed.
        """
        inner, todo = self.jobs(auto), self.todo(auto)
        total = sum(map(len, inner.values()))
        if todo:
            print(
                f"\nauto chooses among {', '.join(self.candidates)}: {total} trainings, in {self.folds} inner folds of "
                f"each of {len(auto)} jobs, {total - len(todo)} of them done",
                flush=True,
            )
            failures = run(partial(run_job, self.place), todo, total, title="choosing")
            if failures:
                raise ValueError(
                    f"{len(failures)} of {total} inner jobs failed, the first: {failures[0]}; remove the cause "
                    "and run the same command again, finished jobs are kept"
                )
        return [self._choice(job, jobs) for job, jobs in inner.items()]

    def _choice(self, auto: Job, jobs: Sequence[Job]) -> Choice:
        scores: dict[str, list[float]] = {}
        parameters, seconds = {}, []
        for job in jobs:
            row = json.loads(self.place.row(job).read_text(encoding="utf-8"))
            scores.setdefault(job.strategy, []).append(row["metrics"]["auc"])
            parameters[job.strategy] = row["parameters"]
            seconds.append(row["costs"]["training_seconds"])
            shutil.rmtree(self.place.output(job), ignore_errors=True)  # nobody predicts with it; the row stays
        return Choice(auto, scores, parameters, None if None in seconds else sum(seconds))


def take(place: Place, choice: Choice) -> None:
    """Write row and predictions of `auto`: those of the chosen strategy on the same fold, and the time of both."""
    chosen = replace(choice.job, strategy=choice.chosen)
    row = json.loads(place.row(chosen).read_text(encoding="utf-8"))
    own = row["costs"]["training_seconds"]
    seconds = None if own is None or choice.seconds is None else round(own + choice.seconds, 2)
    content = row | choice.job.record | {"costs": row["costs"] | {"training_seconds": seconds}}
    place.output(choice.job).mkdir(parents=True, exist_ok=True)
    copy_atomically(place.output(chosen) / "predictions.csv", place.output(choice.job) / "predictions.csv")
    write_text(place.row(choice.job), json.dumps(content, indent=1) + "\n")


def told(choice: Choice) -> str:
    """Say what was chosen and why, in one line."""
    first, *others = one_standard_error(choice.scores, choice.parameters)
    mean = {name: fmean(values) for name, values in choice.scores.items()}
    best = max(mean, key=lambda name: mean[name])
    beaten = f", within one standard error of {best} ({mean[best]:.3f})" if first != best else ", the best"
    also = f"; as good, with more weights: {', '.join(others)}" if others else ""
    return f"{first}: AUC {mean[first]:.3f} in the inner folds{beaten}, {choice.parameters[first]:,} weights{also}"
