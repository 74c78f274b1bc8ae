# SPDX-License-Identifier: Apache-2.0
"""The whole comparison: `python -m monai.bundle run comparing`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from scripts.cases.cache import NoCache, cached_dataset, check_cache
from scripts.cases.document import open_document
from scripts.cases.groups import read_groups
from scripts.cases.read import read_cases
from scripts.engines.run import start
from scripts.engines.running import bundle_folder, running_config
from scripts.files import errors
from scripts.files.run_folder import refuse_bundle, run_in
from workbench.compare.auto import Nested, candidates_of, take
from workbench.compare.folds import Fold, make_folds
from workbench.compare.jobs import Job, Place, jobs_at_a_time, run_job, run_jobs
from workbench.compare.outlined_measures import measured_of
from workbench.compare.outlining import Outlining, train_outliners
from workbench.compare.pool import Pool, configured_pool, site_counts, write_fold, write_pooled
from workbench.compare.report import read_rows, write_report
from workbench.compare.strategies import (
    AUTO,
    SETTINGS,
    check_record,
    check_strategies,
    contenders,
    own_keys,
    phase_of,
    table_model,
    training_parser,
    user_settings,
    write_settings,
)
from workbench.report.comparison_page import report_comparison


def start_comparing(bundle_root: str | Path, seed: int) -> None:
    """Prepare a run (see `scripts.engines.run.start`) with the dataset that the trainings will use."""
    bundle = bundle_folder(bundle_root)
    parser = training_parser(bundle, user_settings(running_config(), own_keys(bundle)))
    start(bundle_root, parser.get_parsed_content("dataset_dir"), seed)
    errors.on_interrupt(lambda: "stopped; the same command goes on, and keeps the trainings that are finished")


def compare(
    bundle_root: str | Path,
    output_dir: str | Path,
    strategies: Sequence[str],
    candidates: Sequence[str] | None,
    inner_folds: int,
    compared_with: Sequence[str] | None,
    training_seeds: Sequence[int],
    folds: int,
    repeats: int,
    validation_fraction: float,
    splits: Sequence[str],
    leave_one_site_out: bool,
    by: Sequence[str | Mapping],
    outliners_dir: str | Path,
    single_repeats: int,
    measures: Sequence[str] | None,
    walls: Sequence[str],
    baseline: str | None,
    seed: int,
    draws: int,
    cache: str,
    cache_dir: str | Path,
    jobs: int | None,
    backend: str,
    scheduler: str | None,
) -> None:
    """Train every strategy and every baseline on the same folds, and write tables and report.

    Each argument is a key of configs/compare.yaml and described there. Finished jobs are not run again, so the
    same call continues where an earlier one was stopped.

    Raises:
        ValueError: a mistake in the data, the folds, the strategies or the settings; the results folder
            holds another comparison; a job failed (raised after all others are done).
    """
    good = all(isinstance(number, int) and number >= 0 for number in training_seeds)
    if not training_seeds or not good or len(set(training_seeds)) < len(training_seeds):
        raise ValueError(f"training_seeds must be different whole numbers of at least 0, found {training_seeds!r}")
    if draws < 1:
        raise ValueError(f"draws must be a whole number of at least 1, found {draws}")
    check_cache(cache)
    bundle, folder = bundle_folder(bundle_root), Path(output_dir).resolve()
    refuse_bundle(folder, bundle)
    settings = user_settings(running_config(), own_keys(bundle))
    parser = training_parser(bundle, settings)
    dataset_dir, pool = parser.get_parsed_content("dataset_dir"), configured_pool(parser, splits)
    pool = replace(pool, groups=read_groups(open_document(dataset_dir), by, pool.items))
    sites = pool.values("site") if leave_one_site_out else None
    numbers = (folds, repeats, validation_fraction, seed)
    parts = make_folds(pool.values("label"), pool.values("patient"), *numbers, sites)
    outlined = settings.get("outliner") is not None
    if measures and not outlined:
        raise ValueError(
            "`measures` are taken from what networks outline, found no outliner; name configs/regions/outlined.yaml "
            "behind configs/compare.yaml, or let `measuring` measure the masks of the dataset"
        )
    measured = measured_of(pool, settings, walls, baseline, measures) if measures else None
    chosen = contenders(strategies, pool.phases, pool.columns, measured is not None, compared_with)
    columns = [*pool.columns, *([] if measured is None else measured.columns())]
    known = settings | {"clinical": columns, "dataset_dir": dataset_dir}
    among = candidates_of(candidates, strategies, outlined) if AUTO in chosen else []
    real = dict.fromkeys([*(name for name in chosen if name != AUTO), *among])
    check_strategies(bundle, known, list(real), pool.phases)
    alone = {name: phase for name in chosen if outlined and (phase := phase_of(name, pool.phases))}
    record = {
        **settings,
        "dataset.json": pool.sha256,  # cases, labels, files and tables
        "folds": "one site each" if leave_one_site_out else folds,
        "validation_fraction": validation_fraction,
        "seed": seed,
    }
    if measured is not None:
        settings["clinical"] = [column["name"] for column in columns]
        record |= {"measures": [column["name"] for column in columns], "walls": list(walls), "baseline": baseline}
    with run_in(folder, "comparing"):
        check_record(folder, record)
        write_settings(folder, {"missing_phases": False} | settings)  # it would cost time in every job
        named = fold_names(folder, parts)
        for name, part in named.items():
            write_fold(folder / "folds" / name, pool, part)
        if leave_one_site_out:
            print(f"\nEach site is left out {f'in turn, {repeats} times' if repeats > 1 else 'once'}:")
            print("\n".join(f"  {site}, {counts}" for site, counts in site_counts(pool).items()))
        place = Place(bundle, folder, cache, Path(cache_dir).resolve())
        nested = Nested(replace(place, folder=folder / "inner"), pool, among, inner_folds, validation_fraction, seed)
        if among:
            nested.write(named, folder / SETTINGS)
        every = [
            Job(strategy, part.repeat, part.fold, number, name, part.site, alone.get(strategy))
            for (name, part), number, strategy in product(named.items(), training_seeds, chosen)
            if strategy not in alone or part.repeat <= single_repeats
        ]
        auto = [job for job in every if job.strategy == AUTO]
        todo = [job for job in every if job not in auto and not place.row(job).is_file()]
        networks = {(job.fold_name, job.phase) for job in todo if not table_model(job.strategy)}
        run = partial(run_jobs, jobs=jobs, backend=backend, scheduler=scheduler)
        if outlined:
            shared = (Path(outliners_dir).resolve(), pool, parts, parser.get(), validation_fraction, seed, measured)
            outlining = Outlining(place, *shared)
            train_outliners(outlining, every, run, jobs_at_a_time(jobs))
            for name, phase in dict.fromkeys((job.fold_name, job.phase) for job in every):
                outlining.write_fold(folder / "folds" / name, named[name], phase, (name, phase) in networks)
        first = next(iter(named))
        if (first, None) in networks or ((todo or nested.todo(auto)) and not outlined):
            prepare_cases(parser, place, pool, first)
        choices = nested.choose(auto, run)
        taken = [replace(choice.job, strategy=choice.chosen) for choice in choices]
        further = [job for job in taken if job not in every]  # chosen, and not compared by itself
        todo += [job for job in further if not place.row(job).is_file()]
        total = len(every) - len(auto) + len(further)
        failures = run(partial(run_job, place), todo, total)
        if failures:
            raise ValueError(
                f"{len(failures)} of {total} jobs failed, the first: {failures[0]}; remove the cause "
                "and run the same command again, finished jobs are kept"
            )
        for choice in choices:
            take(place, choice)
        rows = read_rows(place, every)
        write_report(folder, pool, rows, write_pooled(place, every, pool.positive), draws, seed, choices)
        report_comparison(folder)
    print(f"\nresults: {folder}")


def fold_names(folder: Path, parts: Sequence[Fold]) -> dict[str, Fold]:
    """Return each fold by the name of its files; a folder of a version without sites in names keeps its names."""
    earlier = any(part.name != part.number and (folder / "folds" / part.number).is_dir() for part in parts)
    return {part.number if earlier else part.name: part for part in parts}


def prepare_cases(parser: ConfigParser, place: Place, pool: Pool, fold: str) -> None:
    """Prepare all cases before the first job, which finds bad images early and fills a disk cache for all jobs."""
    parser["model_file"] = str(place.folder / "folds" / fold / "models" / "model.pt")  # beside what is outlined for it
    names: Mapping[str, Any] = {"phases": pool.phases, "classes": pool.classes, "clinical": pool.columns}
    cases = read_cases(place.folder / "folds" / fold, **names)
    items = [*cases.training, *cases.validation, *cases.test]
    kind = "disk" if place.cache == "disk" else "none"  # a memory cache belongs to its job
    dataset = cached_dataset(items, parser.get_parsed_content("train#preprocessing"), kind, place.cache_dir)
    if isinstance(dataset, NoCache):
        dataset.check()
