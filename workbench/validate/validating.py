# SPDX-License-Identifier: Apache-2.0
"""A trained model at another hospital: `python -m monai.bundle run validating`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scripts.cases.checks import class_index
from scripts.cases.clinical import select_columns
from scripts.cases.document import Item, check_phases, open_document, read_items
from scripts.cases.splits import LABELLED, split_by_patient
from scripts.engines.environment import environment
from scripts.figures.table import counted
from scripts.files import errors
from scripts.files.atomic import write_text
from scripts.files.plain_text import from_literal
from scripts.files.run_folder import run_in
from scripts.files.yaml_files import read_yaml
from scripts.metrics.prediction_sets import Evidence, evidence_of, one_per_patient
from scripts.metrics.predictions import read_predictions
from workbench.compare.folds import Fold
from workbench.compare.pool import Pool, write_fold
from workbench.compare.training import run_workflow
from workbench.report.headline import record_facts
from workbench.validate.figures import draw_model, draw_shift
from workbench.validate.hospital import Group, group_of, record, scores
from workbench.validate.page import cautions, cell, score_table, write_validation_page
from workbench.validate.recalibration import fit_recalibration, recalibrated
from workbench.validate.shift import features, shift_table


def validate(
    bundle_root: str | Path,
    dataset_dir: str | Path | None,
    output_dir: str | Path,
    recalibration: float | None,
    draws: int,
    seed: int,
) -> None:
    """Evaluate a trained model on every labelled case of another dataset, and set both hospitals side by side.

    `output_dir` receives report.html, validation.json, hospitals.png, shift.png, and in evaluation/ what `evaluating`
    writes. Each argument is a key of configs/validate.yaml and described there.

    Raises:
        FileNotFoundError: no trained model in `bundle_root`, or no dataset.
        ValueError: a dataset without the model's phases, with other classes, or without classes; too few cases for a
            recalibration.
    """
    errors.on_interrupt(lambda: "stopped; give the same command again")
    model, folder = Path(bundle_root).resolve(), Path(output_dir).resolve()
    needed = [model / "configs" / name for name in ("train.yaml", "evaluate.yaml")] + [model / "models" / "model.pt"]
    if lacking := [str(file.relative_to(model)) for file in needed if not file.is_file()]:
        raise FileNotFoundError(
            f"{model} must hold a trained model, found no {', no '.join(lacking)}; give a results folder as "
            "--bundle_root"
        )
    if dataset_dir is None:
        raise ValueError("validating needs the data of another hospital; give its folder by --dataset_dir")
    config = read_yaml(model / "configs" / "train.yaml")
    pool = _labelled(dataset_dir, config)
    with run_in(folder, "validating"):
        file = write_fold(folder / "data", pool, Fold(1, 1, [], [], list(range(len(pool.items)))))
        place = folder / "evaluation"
        settings = {"dataset_dir": str(file.parent), "output_dir": str(place), "split": "test", "missing_phases": False}
        run_workflow(model, needed[:2], "evaluating", seed=seed, cache="none", **settings)
        known = _trained_on(config)
        home = known if isinstance(known, list) else []
        names = [f"{config.get('name', model.name)}, own test", pool.name]
        evidence = evidence_of(model / "models" / "model.pt")
        groups, here, shares = _groups(model, place, names, evidence, recalibration, seed)
        positive = config.get("positive")
        found = [scores(group, pool.classes, positive, draws, seed) for group in groups]
        drawn = [*groups[: here + 1], *([groups[-1]] if shares else [])]
        draw_model(drawn, here + 1, pool.classes, positive, folder / "hospitals.png")
        properties = features(home, pool.items, pool.phases, pool.classes, pool.columns)
        titles = [f"{config.get('name', model.name)}, training", pool.name]
        n = f"n = {counted(len(pool.items), 'case')} of {pool.name}"
        shift = shift_table(properties, titles, f"{counted(len(home), 'case')} that trained the model, {n}")
        draw_shift(properties, titles, folder / "shift.png")
        trained = {item["patient"] for item in home}
        shared = len({item["patient"] for item in pool.items} & trained) if isinstance(known, list) else None
        told = list(cautions(groups, found, here, shared, "" if isinstance(known, list) else known, _lacking(pool)))
        table = score_table(groups, found)
        own = found[here]
        sentence = f"At {pool.name} the AUC is {cell(own['AUC'])} of {counted(len(groups[here].label), 'case')}"
        sentence += f"; on the model's own test it is {cell(found[0]['AUC'])}." if here else "."
        content: dict[str, Any] = {"dataset": pool.name, "recalibration": shares, "patients_that_trained": shared}
        content |= {"groups": {group.name: record(one) for group, one in zip(groups, found, strict=True)}}
        content |= {"shift": {one.name: _finite(one.difference) for one in properties}}
        content |= {"warnings": [one.found for one in told]}
        write_text(folder / "validation.json", json.dumps(content, indent=1) + "\n")
        print(f"\n{table.title}\n{table.text()}\n\n{shift.title}\n{shift.text()}\n")
        for one in told:
            print(f"warning: {one.found} {one.advice}")
        facts = [("Model", str(config.get("name", model.name))), ("Classes", ", ".join(pool.classes))]
        facts += [("Recalibration", shares or "none: the model is as it was trained")]
        ran = [("This validation", record_facts(environment(config.get("device", "cpu")) | {"seed": seed}))]
        title = f"{config.get('name', model.name)} at {pool.name}"
        write_validation_page(folder, title, sentence, facts, told, [table], [shift], ran, n)
    print(f"results: {folder}")


def _labelled(dataset_dir: str | Path, config: Mapping[str, Any]) -> Pool:
    """Return the cases of the other hospital whose class is known, whatever split they are in."""
    document = open_document(dataset_dir)
    phases, classes = list(config["phases"]), list(config["classes"])
    check_phases(document, phases)
    columns = select_columns(document.columns, config.get("clinical") or [], str(document.file), required=False)
    items = read_items(document, phases, columns)
    known = [item for item in items if item["split"] in LABELLED and item.get("label") is not None]
    if not known:
        raise ValueError(
            f"validating needs the class of each case, found none of {counted(len(items), 'case')} with one in "
            f"{document.file}; add 'label' to them, or predict them by `run inferring`"
        )
    for item in known:
        class_index(document, item, classes)
    if len(known) < len(items):
        print(f"{len(items) - len(known)} of {counted(len(items), 'case')} have no class and are left out")
    declared = document.content.get("classes")
    if isinstance(declared, list) and declared != classes and sorted(map(str, declared)) == sorted(classes):
        print(f"the classes are matched by name: {document.file} lists {declared}, the model {classes}")
    listed = {column["name"] for column in document.columns}
    absent = [column["name"] for column in columns if column["name"] not in listed]
    if absent:
        print(f"clinical columns that {document.file} lacks count as missing: {', '.join(absent)}")
    return Pool(document.name, phases, classes, columns, known, config.get("positive"), document.structures)


def _trained_on(config: Mapping[str, Any]) -> list[Item] | str:
    """Return the cases that trained or tuned the model, or why they are not at hand."""
    place = from_literal(str(config.get("dataset_dir", "$")))
    if place.startswith("$"):
        return "the model's folder does not say which data it was trained on"
    try:
        document = open_document(place)
        columns = select_columns(document.columns, config.get("clinical") or [], str(document.file), required=False)
        items = read_items(document, list(config["phases"]), columns)
    except (OSError, ValueError) as error:
        return " ".join(str(error).split())
    return [item for item in items if item["split"] in LABELLED and item["split"] != "test"]


def _lacking(pool: Pool) -> list[str]:
    """Say which classes, phases and clinical columns no case has."""
    found = []
    labels = {item["label"] for item in pool.items}
    found += [f"No case there is of class {name}." for name in pool.classes if name not in labels]
    found += [
        f"No case there has phase {p}." for p in pool.phases if not any(p in item["image"] for item in pool.items)
    ]
    for column in pool.columns:
        if not any(item["clinical"].get(column["name"]) is not None for item in pool.items):
            found.append(f"No case there has a value of {column['name']}.")
    return found


def _groups(
    model: Path, place: Path, names: Sequence[str], evidence: Evidence | None, share: float | None, seed: int
) -> tuple[list[Group], int, str]:
    """Return the groups to compare, the index of all cases of the other hospital, and what was recalibrated on."""
    groups = []
    if (model / "predictions.csv").is_file():
        groups.append(group_of(names[0], read_predictions(model / "predictions.csv"), evidence))
    predictions = read_predictions(place / "predictions.csv")
    there = group_of(names[1], predictions, evidence)
    groups.append(there)
    if share is None:
        return groups, len(groups) - 1, ""
    labels = [predictions.classes[k] for k in there.label]
    parts = split_by_patient(labels, there.patients, {"recalibration": share, "test": 1 - share}, seed)
    taken = np.array([part == "recalibration" for part in parts])
    values = fit_recalibration(there.probability[taken], there.label[taken])
    rest = there.of(~taken, f"{names[1]}, the rest as it is")
    cases = [case for case, one in zip(predictions.cases, taken, strict=True) if one]
    patients = [patient for patient, one in zip(there.patients, taken, strict=True) if one]
    once = one_per_patient(cases, patients)
    own = Evidence([(there.probability[taken][once], there.label[taken][once])], "calibration")
    after = Group(
        f"{names[1]}, the rest recalibrated",
        recalibrated(rest.probability, values), rest.label, rest.patients, own, rest.probability,
    )  # fmt: skip
    number = counted(len(set(patients)), "patient")
    told = f"slope {values[0]:.2f}, intercepts {', '.join(f'{one:+.2f}' for one in values[1:])}"
    told = f"{int(taken.sum())} cases of {number} of {names[1]}, drawn by seed {seed}: {told}; the rest is evaluated"
    return [*groups, rest, after], len(groups) - 1, told


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
