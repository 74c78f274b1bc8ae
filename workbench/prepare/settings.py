# SPDX-License-Identifier: Apache-2.0
"""The user's settings for `preparing`, checked before any data is read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.cases.document import name_list
from scripts.cases.folder import check_names
from scripts.cases.masks import structure_names
from scripts.cases.positive import named_class
from scripts.files.atomic import check_writable
from scripts.files.plain_text import check_names_are_text
from scripts.files.run_folder import Check, record_of, refuse_bundle
from workbench.prepare.bias_field import BiasCorrection
from workbench.prepare.deciding import Deciding
from workbench.prepare.layouts import Source, check_options, find_layout
from workbench.prepare.registration.pair import Registration

File = str | Path | None


@dataclass(frozen=True)
class Settings:
    """The user's settings, named as the keys of configs/prepare.yaml, which explains them."""

    source: File
    layout: str | None
    output: File
    labels: File = None
    phases: Sequence[str] | None = None
    phase_names: Mapping[str, Sequence[str]] | None = None
    reference_phase: str | None = None
    classes: Sequence[str] | None = None
    positive: str | None = None
    clinical: Sequence[str] | None = None
    clinical_table: File = None
    keep_suspicious: bool = False
    fractions: Sequence[float] = (0.6, 0.2, 0.2)
    calibration: float | None = None
    seed: int = 0
    decide_on: str = "all"
    folds: int | None = None
    allow_identical: bool = False
    overwrite: bool = False
    rules: File = None
    dry_run: bool = False
    keep_ids: bool = False
    mapping: File = None
    without_mask: str | None = None
    structures: Sequence[str] | None = None
    workers: int | None = None
    quality: bool = True
    correcting: BiasCorrection = field(default_factory=BiasCorrection)
    registering: Registration = field(default_factory=Registration)

    def for_layout(self) -> Source:
        """Check the settings and return those that the layout needs."""
        for name in ("source", "layout", "output"):
            value = getattr(self, name)
            if value in (None, ""):
                raise ValueError(f"{name} must be given, found nothing; pass --{name}")
        find_layout(str(self.layout))
        folder = absolute(str(self.output))
        check_names_are_text([str(folder)], "the output folder and those above it")
        refuse_bundle(folder)
        Deciding(self.decide_on)
        phases = None if self.phases is None else name_list(self.phases, "`phases`")
        if self.classes and self.positive is not None:
            named_class(self.positive, name_list(self.classes, "`classes`"))
        structures = structure_names(self.structures, "`structures`")
        source = Source(
            path=absolute(str(self.source)),
            output=folder,
            labels=_optional(self.labels),
            phases=phases,
            clinical=self.clinical if self.clinical_table is None else None,
            phase_names=check_names(self.phase_names),
            rules=_optional(self.rules),
            mapping=_optional(self.mapping),
            keep_ids=self.keep_ids,
            dry_run=self.dry_run,
            structures=structures or None,
        )
        check_options(str(self.layout), source)
        return source


def absolute(path: str | Path) -> Path:
    """Return an absolute path with ~ replaced by the home folder; links are not resolved."""
    return Path(os.path.abspath(os.path.expanduser(path)))


def _optional(path: File) -> Path | None:
    return None if path is None else absolute(path)


def refuse_earlier(folder: Path, overwrite: bool, record: Mapping[str, Any]) -> None:
    """Refuse to replace a finished dataset.json; an unfinished run may continue."""
    unfinished = record.get("command") == "preparing"
    if (folder / "dataset.json").exists() and not (overwrite or unfinished):
        raise ValueError(
            f"{folder / 'dataset.json'} exists already and would be replaced; pass --overwrite True, or "
            "another --output"
        )


def output_folder(folder: Path, check: Check) -> Path:
    """Return the output folder if it may be written."""
    check(record_of(folder))
    try:
        return check_writable(folder)
    except ValueError as error:
        raise ValueError(
            f"output folder {folder} cannot be written ({error.__context__}); choose another --output"
        ) from None
