"""How the figures came about, so that someone else can get them again."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from scripts.engines.environment import without_person
from scripts.files.plain_text import from_literal
from workbench.report.contents import Contents

Facts = list[tuple[str, str]]


def provenance(contents: Contents, anonymous: bool = False) -> list[tuple[str, Facts]]:
    """Return what is known of the training and, where it was another run, of the evaluation.

    Args:
        contents: of the folder.
        anonymous: without commands, and of the dataset's path its last part alone.
    """
    dataset_dir = without_person(from_literal(str(contents.config.get("dataset_dir"))))
    training = {"dataset_dir": dataset_dir, **contents.training}
    found = [("Training", record_facts(training))] if contents.training else []
    if contents.model != contents.folder or not contents.training:
        evaluation = contents.evaluation or contents.metrics or {}
        found.append(("Evaluation", record_facts(evaluation)))
    if not anonymous:
        return found
    return [
        (
            what,
            [
                (key, Path(value).name if key == "Dataset" else value)
                for key, value in facts
                if key != "Command"
            ],
        )
        for what, facts in found
    ]


def record_facts(record: dict[str, Any]) -> Facts:
    """Lay an environment record out as pairs of name and value; what was not recorded says so."""
    machine, git = record.get("machine", {}), record.get("git") or {}
    revision = git.get("revision") or "not recorded"
    facts = {
        "Command": command(record.get("command")),
        "Date": record.get("date"),
        "Seed": record.get("seed"),
        "Threads": record.get("threads"),
        "Machine": ", ".join(
            str(machine[key]) for key in ("system", "processor", "device") if machine.get(key)
        ),
        "Cores": machine.get("cores"),
        "Versions": ", ".join(f"{name} {number}" for name, number in record.get("versions", {}).items()),
        "Git revision": f"{revision}, with changes that are not in it" if git.get("dirty") else revision,
        "Dataset": record.get("dataset_dir"),
        "SHA-256 of dataset.json": record.get("dataset_sha256"),
    }
    return [(name, str(value)) for name, value in facts.items() if value not in (None, "")]


def command(recorded: list[str] | None) -> str | None:
    """Write a recorded command as it would be typed.

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
    """Return the command that trains the same model again, in the model's folder."""
    threads = contents.training.get("threads")
    limit = f"OMP_NUM_THREADS={threads} " if threads else ""
    return f"{limit}python -m monai.bundle run training --config_file configs/train.yaml"
