# SPDX-License-Identifier: Apache-2.0
"""The text of a report: how good the model is, what it is, and how the results were obtained."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from scripts.cases.positive import config_positive
from scripts.engines.environment import without_person
from scripts.engines.running import network_parts
from scripts.figures.table import counted, number
from scripts.files.plain_text import from_literal
from workbench.report.contents import Contents

Facts = list[tuple[str, str]]
MACHINE = ("system", "processor", "device")
MEANING = {
    "auc": "AUC: chance that the model ranks a case of a class above a case of another one; 0.5 is guessing, "
    "1 is perfect.",
    "accuracy": "Accuracy: share of cases whose most probable class is the right one.",
}


def strategy(config: dict[str, Any]) -> str:
    """Return in words how the phases are fused and encoded, by the class names of the configuration.

    >>> strategy({"network_def": {"_target_": "a.SinglePhaseNetwork", "encoder": "@encoder"},
    ...           "fusion": {"_target_": "a.Concat"}, "encoder": {"_target_": "a.ResidualEncoder"}})
    'SinglePhaseNetwork, encoder ResidualEncoder'
    """
    used = network_parts(config, ("fusion", "conditioning", "encoder", "plane_encoder"))
    parts = [f"{key.replace('_', ' ')} {_name(config[key])}" for key in used if "_target_" in config[key]]
    views = [f"views {', '.join(config['views'])}"] if config.get("views") else []
    return ", ".join([_name(config["network_def"]), *parts, *views])


def facts(contents: Contents) -> list[tuple[str, str]]:
    """Return pairs of name and value that say what was trained on which data."""
    config, found = contents.config, reported_on(contents)
    if config:
        columns = [column if isinstance(column, str) else column["name"] for column in config["clinical"]]
        found += [
            ("Strategy", strategy(config)),
            ("Phases", ", ".join(config["phases"])),
            ("Classes", ", ".join(map(str, config["classes"]))),
            *([("Positive class", positive)] if (positive := positive_of(contents)) else []),
            ("Clinical table", ", ".join(columns) or "none"),
        ]
    return found + trained_on(contents)


def reported_on(contents: Contents) -> Facts:
    """Return how many cases are reported."""
    return [("Reported", f"{counted(contents.n, 'case')} of {patients_of(contents)}, {contents.split} split")]


def trained_on(contents: Contents) -> Facts:
    """Return which data were used, when, and by how many models."""
    date = contents.evaluation.get("date") or contents.training.get("date") or "not recorded"
    found = []
    if contents.models > 1:
        found.append(("Models", f"{contents.models} that predict together, the mean of their probabilities"))
    trained = contents.trained_on.get("name", "not known")
    found.append(("Trained on", trained))
    if not contents.same_data:
        found.append(("Reported on", contents.reported.get("name", "not known")))
    found.append(("Date", date.replace("T", " ").replace("+00:00", " UTC")))
    return found


def positive_of(contents: Contents) -> str | None:
    """Return the positive one of two classes, as evaluated, else as configured; None with more classes."""
    metrics = contents.metrics or {}
    named = metrics.get("positive") or contents.config.get("positive")
    return config_positive({"classes": metrics.get("classes") or contents.config.get("classes"), "positive": named})


def headline(contents: Contents) -> str:
    """Return one sentence on how good the model is, with intervals and n."""
    n = f"n = {counted(contents.n, 'case')} of {patients_of(contents)}, {contents.split} split"
    if contents.metrics is None:
        return f"Nothing could be measured, as no case of the {contents.split} split has a known class; {n}."
    macro = contents.metrics["macro"]
    classes = len(contents.metrics["classes"])
    auc = "AUC" if classes == 2 else f"Mean AUC over the {classes} classes"
    return f"{auc} {value(macro, 'auc')} and accuracy {value(macro, 'accuracy')}; {n}."


def value(macro: dict[str, Any], metric: str) -> str:
    """Return a metric with its interval as text; an interval of zero width is not informative.

    >>> value({"accuracy": 1.0, "accuracy_interval": [1.0, 1.0]}, "accuracy")
    '1.000 (no interval, as all resamples agree, which does not make it certain)'
    """
    if macro[metric] is None:
        return "undefined"
    bounds = macro.get(f"{metric}_interval")
    interval = f"95% interval {number(bounds[0])} to {number(bounds[1])}" if bounds else "no interval"
    if bounds and bounds[0] == bounds[1]:
        interval = "no interval, as all resamples agree, which does not make it certain"
    return f"{number(macro[metric])} ({interval})"


def patients_of(contents: Contents) -> str:
    """Return the number of patients in words."""
    return counted(contents.patients, "patient") if contents.patients else "an unknown number of patients"


def _name(component: dict[str, Any]) -> str:
    return str(component["_target_"]).rpartition(".")[2]


def provenance(contents: Contents, anonymous: bool = False) -> list[tuple[str, Facts]]:
    """Return the records of the training and, if it was a separate run, of the evaluation.

    `anonymous` leaves out commands, and all but the last part of the dataset's path.
    """
    dataset_dir = without_person(from_literal(str(contents.config.get("dataset_dir"))))
    training = {"dataset_dir": dataset_dir, **contents.training}
    found = [("Training", record_facts(training))] if contents.training else []
    if contents.model != contents.folder or not contents.training:
        evaluation = contents.evaluation or contents.metrics or {}
        found.append(("Evaluation", record_facts(evaluation)))
    if not anonymous:
        return found
    for _, facts in found:
        facts[:] = [(key, Path(value).name if key == "Dataset" else value) for key, value in facts if key != "Command"]
    return found


def record_facts(record: dict[str, Any]) -> Facts:
    """Return an environment record as pairs of name and value, without values that were not recorded."""
    machine, git = record.get("machine", {}), record.get("git") or {}
    revision = git.get("revision") or "not recorded"
    facts = {
        "Command": command(record.get("command")),
        "Date": record.get("date"),
        "Seed": record.get("seed"),
        "Threads": record.get("threads"),
        "Machine": ", ".join(str(machine[key]) for key in MACHINE if machine.get(key)),
        "Cores": machine.get("cores"),
        "Versions": ", ".join(f"{name} {number}" for name, number in record.get("versions", {}).items()),
        "Git revision": f"{revision}, with changes that are not in it" if git.get("dirty") else revision,
        "Dataset": record.get("dataset_dir"),
        "SHA-256 of dataset.json": record.get("dataset_sha256"),
    }
    return [(name, str(value)) for name, value in facts.items() if value not in (None, "")]


def command(recorded: list[str] | None) -> str | None:
    """Return a recorded command as it would be typed.

    >>> command(["__main__.py", "run", "training", "--config_file", "['a.yaml', 'b.yaml']"])
    'python -m monai.bundle run training --config_file "[\\'a.yaml\\', \\'b.yaml\\']"'
    """
    if not recorded:
        return None
    program, *arguments = recorded
    start = "python -m monai.bundle" if (program, *arguments[:1]) == ("__main__.py", "run") else program
    return " ".join([start, *map(_quoted, arguments)])


def _quoted(argument: str) -> str:
    """Quote an argument for a shell, with double quotes where it holds single ones."""
    plain = '"' not in argument and not set(argument) & set("$`\\!")
    return f'"{argument}"' if "'" in argument and plain else shlex.quote(argument)


def again(contents: Contents) -> str:
    """Return the command that trains the same model again, to be run in the model's folder."""
    threads = contents.training.get("threads")
    limit = f"OMP_NUM_THREADS={threads} " if threads else ""
    run = "segmenting" if contents.outlines else "training"
    return f"{limit}python -m monai.bundle run {run} --config_file configs/train.yaml"
