# SPDX-License-Identifier: Apache-2.0
"""One model by choice: `python -m monai.bundle run choosing` chooses a strategy, then trains it as `training` does."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from scripts.engines.running import bundle_folder, running_config
from scripts.files.atomic import write_text
from scripts.files.run_folder import refuse_bundle, run_in
from workbench.compare.auto import Nested, candidates_of, told
from workbench.compare.comparing import prepare_cases
from workbench.compare.folds import Fold
from workbench.compare.jobs import Job, Place, run_jobs
from workbench.compare.pool import configured_pool
from workbench.compare.report import write_csv
from workbench.compare.strategies import (
    AUTO,
    check_record,
    check_strategies,
    overlay_of,
    overrides_of,
    own_keys,
    training_parser,
    user_settings,
    write_settings,
)
from workbench.compare.training import run_workflow

CHOSEN = "chosen"  # Folder of the model, within that of the choice


def choose(
    bundle_root: str | Path,
    output_dir: str | Path,
    name: str,
    strategies: Sequence[str],
    candidates: Sequence[str] | None,
    inner_folds: int,
    training_seeds: Sequence[int],
    validation_fraction: float,
    seed: int,
    cache: str,
    cache_dir: str | Path,
    jobs: int | None,
    backend: str,
    scheduler: str | None,
) -> None:
    """Choose a strategy by inner folds of training and validation cases, then train it on the training split.

    Test and calibration cases have no part in the choice. `output_dir` receives choices.csv, the inner jobs, and the
    model as the results folder ``chosen``. The same call continues where an earlier one was stopped. Each argument is
    a key of configs/compare.yaml and described there.

    Raises:
        ValueError: a mistake in the data, the candidates or the settings; the folder holds another choice; an inner
            job failed (raised after all others are done).
    """
    if len(training_seeds) != 1:
        raise ValueError(f"choosing trains one model, so training_seeds must hold one seed, found {training_seeds!r}")
    bundle, folder = bundle_folder(bundle_root), Path(output_dir).resolve()
    refuse_bundle(folder, bundle)
    settings = user_settings(running_config(), own_keys(bundle))
    parser = training_parser(bundle, settings)
    dataset_dir, pool = parser.get_parsed_content("dataset_dir"), configured_pool(parser, ("training", "validation"))
    among = candidates_of(candidates, strategies, outlined=settings.get("outliner") is not None)
    check_strategies(bundle, settings | {"clinical": pool.columns, "dataset_dir": dataset_dir}, among, pool.phases)
    record = settings | {"dataset.json": pool.sha256, "seed": seed}
    record |= {"validation_fraction": validation_fraction, "candidates": among}
    place = Place(bundle, folder / "inner", cache, Path(cache_dir).resolve())
    splits = [item["split"] for item in pool.items]
    here = {split: [i for i, one in enumerate(splits) if one == split] for split in ("training", "validation")}
    whole = Fold(1, 1, here["training"], here["validation"], [])
    with run_in(folder, "choosing"):
        check_record(folder, record, "choice.json")
        settings_file = write_settings(folder, {"missing_phases": False} | settings)
        nested = Nested(place, pool, among, inner_folds, validation_fraction, seed)
        nested.write({"all": whole}, settings_file)
        auto = Job(AUTO, 1, 1, training_seeds[0], "all")
        if nested.todo([auto]):
            prepare_cases(parser, place, pool, "all_i1")  # whose parts together are all cases
        (choice,) = nested.choose([auto], partial(run_jobs, jobs=jobs, backend=backend, scheduler=scheduler))
        write_csv(folder / "choices.csv", choice.rows())
        print(f"\nchosen: {told(choice)}", flush=True)
        write_settings(folder, settings)
        model = folder / CHOSEN
        if not (model / "choices.csv").is_file():
            run_workflow(
                bundle,
                [bundle / "configs" / "train.yaml", folder / "settings.yaml", overlay_of(bundle, choice.chosen)],
                "training",
                name=name,
                output_dir=str(model),
                seed=training_seeds[0],
                cache=cache,
                cache_dir=str(cache_dir),
                resume=True,
                **overrides_of(choice.chosen),
            )
            write_text(model / "choices.csv", (folder / "choices.csv").read_text(encoding="utf-8"))
    print(f"\nmodel: {model}, strategy {choice.chosen}")
