# SPDX-License-Identifier: Apache-2.0
"""Jobs, each one strategy on one fold with one seed, run in parallel on the cores or on a Dask cluster."""

from __future__ import annotations

import contextlib
import json
import logging
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from scripts.cases.splits import SPLITS
from scripts.engines.curves import progress_bar
from scripts.engines.environment import describe_machine
from scripts.files.atomic import write_text
from scripts.files.errors import message_of
from scripts.files.plain_text import file_name, listing
from scripts.files.processes import ending_with_this_process, unheard_by_workers
from scripts.metrics.predictions import read_predictions
from scripts.metrics.registry import METRICS, OVERALL
from scripts.metrics.rows import classification_table
from workbench.compare.strategies import FOREST, REGRESSION, table_model
from workbench.compare.training import fit_forest, fit_regression, train


@dataclass(frozen=True)
class Job:
    """A training: one strategy on one fold with one seed.

    Attributes:
        repeat, fold: numbers of the fold, from 1.
    """

    strategy: str  # name of a fragment, ``single_<phase>`` or a model of the table
    repeat: int
    fold: int
    seed: int  # of the weights and of the order of the cases
    fold_name: str  # e.g. r1_f3, or r1_f3_north if a site is left out
    site: str | None = None  # the site left out, if any
    phase: str | None = None  # the only one that its outliners see; None: all, or there are none

    @property
    def name(self) -> str:
        """Name of its folder and files, e.g. concat_r1_f3_s0 or concat_r1_f3_north_s0."""
        return f"{self.strategy}_{self.fold_name}_s{self.seed}"

    @property
    def record(self) -> dict[str, Any]:
        """Its columns in the tables: strategy, repeat, fold, the site if one is left out, and seed."""
        keys = ("strategy", "repeat", "fold", *(() if self.site is None else ("site",)), "seed")
        return {key: getattr(self, key) for key in keys}


@dataclass(frozen=True)
class Place:
    """Input and output paths of the jobs, absolute, since a job may run in any folder."""

    bundle: Path
    folder: Path
    cache: str  # where prepared cases are kept (see `scripts.cases.cached_dataset`)
    cache_dir: Path  # folder of the disk cache, which all jobs share

    def row(self, job: Job) -> Path:
        """File with the results of a job; it exists once the job is done."""
        return self.folder / "rows" / f"{job.name}.json"

    def output(self, job: Job) -> Path:
        """Results folder of a job."""
        return self.folder / "jobs" / job.name

    def fold(self, job: Job) -> Path:
        """Folder with the dataset.json of a job's fold, and what is outlined for it."""
        return self.folder / "folds" / job.fold_name / (file_name(job.phase) if job.phase else "")

    def log(self, job: Job) -> Path:
        """File with everything that a job printed."""
        return self.folder / "logs" / f"{job.name}.log"


def run_job(place: Place, job: Job) -> str | None:
    """Run a job on one thread and write its row; a job that was killed resumes where it stopped.

    Returns:
        None, or one line that says why it failed.
    """
    return alone(place.log(job), job.name, partial(_work, place, job))


def _work(place: Place, job: Job) -> None:
    if place.row(job).is_file():  # written by a worker that outlived its command
        return
    run = {REGRESSION: fit_regression, FOREST: fit_forest, None: train}[table_model(job.strategy)]
    figures = run(place, job)
    content = {**job.record, **_measured(place, job), **figures}
    write_text(place.row(job), json.dumps(content, indent=1) + "\n")
    (place.output(job) / "models" / "last.pt").unlink(missing_ok=True)  # only needed to resume


def alone(log: Path, name: str, work: Callable[[], None]) -> str | None:
    """Do something that no other process does at the same time, on one thread, with its output in a log.

    Returns:
        None, or one line that says why it failed.
    """
    from filelock import FileLock

    with _one_thread(), _output_to(log), FileLock(log.with_suffix(".lock")):
        try:
            work()
        except Exception as error:
            traceback.print_exc()
            reason = message_of(error) or f"{type(error).__name__}: {error}"
            return f"{name}: {' '.join(reason.split())} (see {log})"
    return None


def _measured(place: Place, job: Job) -> dict[str, Any]:
    """Return numbers of cases, metrics of the test part, and the machine and versions that produced them."""
    found = read_predictions(place.output(job) / "predictions.csv")
    labels = [label for label in found.labels or [] if label is not None]
    macro = classification_table(found.probabilities, labels, found.classes)[-1]
    dataset = json.loads((place.fold(job) / "dataset.json").read_text(encoding="utf-8"))
    counts = {f"n_{split}": len(dataset[split]) for split in SPLITS if split != "test"}
    machine = describe_machine()
    return {
        **counts,
        "n": macro["n"],
        "n_patients": len(set(found.patients or found.cases)),
        "metrics": {name: macro[name] for name in (*METRICS, *OVERALL)},
        "threads": machine["threads"],
        "processor": machine["machine"]["processor"],
        **machine["versions"],
    }


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Limit torch and numpy's linear algebra to one thread, since the number of threads changes the last digits."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _output_to(log: Path) -> Iterator[None]:
    """Append everything that is printed or logged to a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with (
        log.open("a", encoding="utf-8", buffering=1) as stream,
        contextlib.redirect_stdout(stream),
        contextlib.redirect_stderr(stream),
    ):
        root.handlers[:] = [logging.StreamHandler(stream)]
        root.setLevel(logging.INFO)
        try:
            yield
        finally:
            root.handlers[:] = handlers
            root.setLevel(level)


BACKENDS = ("loky", "dask")
Work = TypeVar("Work")


def jobs_at_a_time(jobs: int | None) -> int:
    """Return how many jobs run at a time on this machine: by default one per core, or a single one with a GPU.

    Args:
        jobs: number that the user wants; None: the default.

    Raises:
        ValueError: not a whole number of at least 1.
    """
    import joblib
    import torch

    if jobs is None:
        return 1 if torch.cuda.is_available() else joblib.cpu_count()
    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1:
        raise ValueError(f"jobs must be a whole number of at least 1, or null, found {jobs!r}")
    return jobs


def run_jobs(
    run: Callable[[Work], str | None],
    todo: Sequence[Work],
    total: int,
    jobs: int | None,
    backend: str,
    scheduler: str | None,
    title: str = "comparing",
    first: Callable[[], str] | None = None,
) -> list[str]:
    """Run all jobs, each on one thread, with a progress bar; a failed job does not stop the others.

    If only one job runs at a time, it runs in this process; otherwise every worker is started once and takes one
    job after another.

    Args:
        run: does a job; returns None, or one line that says why it failed.
        todo: the jobs to run.
        total: number of jobs, including those already done.
        jobs: number of jobs at a time on this machine.
        backend: ``loky`` (processes of this machine) or ``dask``.
        scheduler: address of a Dask scheduler, e.g. tcp://host:8786; None starts workers on this machine.
        title: of the progress bar.
        first: what is said when the first job is done.

    Returns:
        One line for each job that failed.

    Raises:
        ValueError: an unknown backend; Dask workers with several threads, or none.
    """
    from joblib import Parallel, delayed

    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {listing(str(backend), BACKENDS)}, found {backend!r}")
    if scheduler and backend != "dask":
        raise ValueError(f"a scheduler needs --backend dask, found backend {backend!r}")
    failures = []
    with (
        _workers(backend, jobs_at_a_time(jobs), scheduler),
        progress_bar(total, title, initial=total - len(todo)) as bar,
    ):
        parallel = Parallel(batch_size=1, return_as="generator_unordered")
        with unheard_by_workers():
            outcomes = parallel(delayed(run)(job) for job in todo)
        for failure in outcomes:
            bar.update()
            if first is not None:
                bar.write(first())
                first = None
            if failure is not None:
                failures.append(failure)
                bar.write(f"failed: {failure}")
    return sorted(failures)


@contextlib.contextmanager
def _workers(backend: str, jobs: int, scheduler: str | None) -> Iterator[None]:
    """Make joblib use processes of this machine, or the workers of a Dask cluster."""
    from joblib import parallel_config

    if backend == "loky":
        ending = ending_with_this_process(jobs)
        with parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1, **ending):
            yield
        return
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise ValueError(
            "--backend dask needs Dask, which is not installed: pip install -r requirements-dask.txt"
        ) from None
    with contextlib.ExitStack() as stack:
        address: Any = scheduler or stack.enter_context(
            LocalCluster(n_workers=jobs, threads_per_worker=1, dashboard_address=None)
        )
        try:
            client = stack.enter_context(Client(address, timeout=30))
        except OSError as error:
            raise ValueError(f"no Dask scheduler answers at {scheduler} ({error})") from None
        threads = list(client.nthreads().values())
        if not threads or max(threads) > 1:
            raise ValueError(
                "every Dask worker must have one thread, since jobs seed the random generators of their "
                f"process; found workers with {threads or 'no'} threads: start them with --nthreads 1"
            )
        stack.enter_context(parallel_config("dask", n_jobs=-1))
        yield
