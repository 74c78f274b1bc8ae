# SPDX-License-Identifier: Apache-2.0
"""Runs independent jobs side by side: on the cores of this machine, or on a Dask cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from scripts.engines.progress import progress_bar
from scripts.files.plain_text import listing
from scripts.files.processes import ending_with_this_process, unheard_by_workers
from workbench.compare.jobs import Job, Place, run_job

BACKENDS = ("loky", "dask")


def jobs_at_a_time(jobs: int | None) -> int:
    """Return how many jobs run at a time on this machine: one per core, or one in all on a GPU.

    Args:
        jobs: what the user wants; None leaves it to the machine.

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
    place: Place, todo: Sequence[Job], total: int, jobs: int | None, backend: str, scheduler: str | None
) -> list[str]:
    """Run all jobs, each on one thread, under a progress bar; one that fails does not stop the others.

    A single job at a time runs within this process; otherwise every worker is started once and takes job
    after job.

    Args:
        todo: the jobs to run.
        total: number of jobs with those that are done.
        jobs: at a time, on this machine.
        backend: ``loky`` (processes of this machine) or ``dask``.
        scheduler: address of a Dask scheduler, e.g. tcp://host:8786; None starts workers on this machine.

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
        progress_bar(total, "comparing", initial=total - len(todo)) as bar,
    ):
        run = Parallel(batch_size=1, return_as="generator_unordered")
        with unheard_by_workers():
            outcomes = run(delayed(run_job)(place, job) for job in todo)
        for failure in outcomes:
            bar.update()
            if failure is not None:
                failures.append(failure)
                bar.write(f"failed: {failure}")
    return sorted(failures)


@contextlib.contextmanager
def _workers(backend: str, jobs: int, scheduler: str | None) -> Iterator[None]:
    """Let joblib use the processes of this machine, or the workers of a cluster."""
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
