# SPDX-License-Identifier: Apache-2.0
"""Which keys a command has, each with its type, range and meaning: the one place that declares them.

What is checked before a run, the comments of the configurations, `--help` and docs/keys.md come from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from scripts import from_workbench
from scripts.keys.kinds import Keys
from scripts.keys.model import Evaluation, Fitting, Inference, Single, Training
from scripts.keys.segmentation import Outlined, Segmentation

FILES: dict[str, type[Keys]] = {
    "train.yaml": Training,
    "inference.yaml": Inference,
    "evaluate.yaml": Evaluation,
    "fusion/single.yaml": Single,
    "segment.yaml": Segmentation,
    "regions/outlined.yaml": Outlined,
}
"""Configuration file -> its keys."""

COMMANDS: dict[str, tuple[str, ...]] = {
    "training": ("train.yaml",),
    "segmenting": ("train.yaml", "segment.yaml"),
    "evaluating": ("train.yaml", "evaluate.yaml"),
    "inferring": ("inference.yaml",),
}
"""Command -> the files that have its keys, the last one first in rank."""

OF_CLASSES = frozenset(
    ["selection_rule", "calibrate", "missing_phases", "test_time_augmentation", "class_weights", "focal_gamma"]
    + ["label_smoothing", "dropout", "clinical", "clinical_dropout", "phase_dropout_hides", "views", "positive"]
)
"""Keys of a network that classifies, and not of one that outlines."""

UNREAD = {"evaluating": frozenset(Fitting.model_fields), "segmenting": OF_CLASSES}
"""Keys in a command's files that it does not read."""

TOOLS: frozenset[str] = frozenset()
"""Commands that need no model."""

if workbench := from_workbench("keys"):
    FILES |= workbench.FILES
    COMMANDS |= workbench.COMMANDS
    UNREAD |= workbench.UNREAD
    TOOLS |= workbench.TOOLS


@dataclass(frozen=True)
class Key:
    """A key: what it may hold (a type annotation with its range), and what it is."""

    kind: Any
    meaning: str


def command_of(config: Mapping[str, Any], run_id: str | None) -> str | None:
    """Return the command whose configuration is run, also by `run` or a name of a user's own.

    >>> command_of({"training": "@run", "evaluating": "@run"}, "run")
    'evaluating'
    """
    found = [name for name in COMMANDS if name in config]
    return run_id if run_id in COMMANDS else max(found, key=lambda name: len(COMMANDS[name]), default=run_id)


def keys_of(file: str) -> dict[str, Key]:
    """Return the keys of a configuration file below configs."""
    found = {}
    for name, field in FILES[file].model_fields.items():
        kind = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        found[name] = Key(kind, " ".join((field.description or "").split()))
    return found


def declared_keys(command: str | None) -> dict[str, Key]:
    """Return the keys of a command; of a run of a user's own, those of every command that has a model."""
    files = COMMANDS.get(command or "") or [
        file for name, files in COMMANDS.items() if name not in TOOLS for file in reversed(files)
    ]
    found: dict[str, Key] = {}
    for file in ("fusion/single.yaml", *files) if command not in TOOLS else files:
        found |= keys_of(file)
    return found
