# SPDX-License-Identifier: Apache-2.0
"""The keys of each command with their types, ranges and meanings: the one place that declares them.

The checks before a run, the comments of the configurations, `--help` and docs/keys.md are derived from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from scripts import from_workbench
from scripts.keys.kinds import Keys
from scripts.keys.model import Evaluation, Fitting, Inference, Single, Training
from scripts.keys.segmentation import Masked, Outlined, Segmentation

FILES: dict[str, type[Keys]] = {
    "train.yaml": Training,
    "inference.yaml": Inference,
    "evaluate.yaml": Evaluation,
    "fusion/single.yaml": Single,
    "segment.yaml": Segmentation,
    "regions/outlined.yaml": Outlined,
    "training/with_masks.yaml": Masked,
}
"""Configuration file -> model of its keys."""

COMMANDS: dict[str, tuple[str, ...]] = {
    "training": ("train.yaml",),
    "segmenting": ("train.yaml", "segment.yaml"),
    "evaluating": ("train.yaml", "evaluate.yaml"),
    "evidencing": ("train.yaml", "evaluate.yaml"),
    "inferring": ("inference.yaml",),
}
"""Command -> the files with its keys; the last one takes precedence."""

OF_CLASSES = frozenset(
    ["selection_rule", "calibrate", "missing_phases", "test_time_augmentation", "class_weights", "focal_gamma"]
    + ["label_smoothing", "dropout", "clinical", "clinical_dropout", "phase_dropout_hides", "views", "positive", "by"]
)
"""Keys of a network that classifies, and not of one that outlines."""

OF_CLASSIFIERS = frozenset(["explaining"])
"""Commands for networks that classify alone."""

UNREAD = dict.fromkeys(("evaluating", "evidencing"), frozenset(Fitting.model_fields)) | {"segmenting": OF_CLASSES}
"""Keys in a command's files that it does not read."""

TOOLS: frozenset[str] = frozenset()
"""Commands that need no model."""

if workbench := from_workbench("keys"):
    FILES |= workbench.FILES
    COMMANDS |= workbench.COMMANDS
    UNREAD |= workbench.UNREAD
    TOOLS |= workbench.TOOLS


OVERLAYS = ("fusion/single.yaml", "regions/outlined.yaml", "training/with_masks.yaml")
"""Files with keys of their own that go with any command that has a model."""


@dataclass(frozen=True)
class Key:
    """A key: the values it may hold (a type annotation with its range), and its meaning."""

    kind: Any
    meaning: str


def command_of(config: Mapping[str, Any], run_id: str | None) -> str | None:
    """Return the command whose configuration is run, even if it is run by `run` or a name of the user's own.

    >>> command_of({"training": "@run", "evaluating": "@run"}, "run")
    'evaluating'
    """
    found = [name for name in COMMANDS if name in config]
    return run_id if run_id in COMMANDS else max(found, key=lambda name: len(COMMANDS[name]), default=run_id)


def keys_of(file: str) -> dict[str, Key]:
    """Return the keys of a configuration file, given relative to configs."""
    found = {}
    for name, field in FILES[file].model_fields.items():
        kind = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        found[name] = Key(kind, " ".join((field.description or "").split()))
    return found


def declared_keys(command: str | None) -> dict[str, Key]:
    """Return the keys of a command; for a user's own run, those of every command that needs a model."""
    files = COMMANDS.get(command or "") or [
        file for name, files in COMMANDS.items() if name not in TOOLS for file in reversed(files)
    ]
    found: dict[str, Key] = {}
    for file in (*OVERLAYS, *files) if command not in TOOLS else files:
        found |= keys_of(file)
    return found
