# SPDX-License-Identifier: Apache-2.0
"""How datasets lie on disk: one module per layout, with `find(source: Source) -> Found` and perhaps `OPTIONS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from scripts.cases.clinical import Column
from scripts.cases.splits import Case
from scripts.files.plain_text import listing


@dataclass(frozen=True)
class Source:
    """Where a layout looks, and what the user said about it."""

    # the folder or file given as `source`; may not exist where a layout can fetch its data by name
    path: Path
    # absolute folder of the future dataset.json; a layout that converts volumes writes them below it
    output: Path
    labels: Path | None = None
    phases: Sequence[str] | None = None  # the phases to use, in order, or None for all that are found
    clinical: Sequence[str] | None = None  # columns of `labels` to take as clinical values, or None for all
    # phase -> patterns of the names that stand for it in the source; None takes the names as they are
    phase_names: Mapping[str, Sequence[str]] | None = None
    rules: Path | None = None  # layout dicom: file that says which series is which phase
    # layout dicom: file that keeps which case is which patient; None: beside `output`
    mapping: Path | None = None
    keep_ids: bool = False  # layout dicom: whether cases are named after the patients' identifiers
    dry_run: bool = False  # layout dicom: whether the assignment of phases is only shown
    # names of the values 1, 2, ... of the masks that the user gave, or None for those that the layout knows
    structures: Sequence[str] | None = None


@dataclass(frozen=True)
class Found:
    """The cases of a source, before they are split."""

    name: str  # name of the dataset
    phases: list[str]  # phases in order
    # entries as in dataset.json, with `image`, `roi` as absolute paths; `roi` is one mask or {phase: mask};
    # `split` where the source fixes it; without `label` where it is unknown
    cases: list[Case]
    classes: list[str] | None = None  # class names in order; None takes those of the cases, sorted
    clinical: list[Column] = field(default_factory=list)
    overlay: str | None = None  # configuration that the bundle ships for this dataset, or None
    notes: list[str] = field(default_factory=list)  # lines for the user about what was left out
    # sentences about what could have been used; they appear in dataset.json and on pages, and name no patient
    left_out: list[str] = field(default_factory=list)
    # names of the views where the images are 2D: each phase is then named <phase>_<view>, phases first, views
    # inside. Empty for volumes.
    views: list[str] = field(default_factory=list)
    structures: list[str] = field(default_factory=list)  # names of the values 1, 2, ... of the masks
    # whether no case has a class, and the masks are all there is to learn: then `label` is in no case
    outlines: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "notes", [note for note in self.notes if note])


def check_folder(path: Path) -> None:
    """Refuse a source that is no folder."""
    if not path.exists():
        raise FileNotFoundError(f"source folder {path} does not exist; correct --source")
    if not path.is_dir():
        raise NotADirectoryError(
            f"source must be the folder of the images, found the file {path}; correct --source (a table that "
            "names the images is --layout table, one of labels is --labels, one of clinical values is "
            "--clinical_table)"
        )


def chosen_phases(found: Found, phases: Sequence[str] | None) -> Sequence[str]:
    """Return the phases to use: those wanted, each present in some case, or all that were found."""
    for phase in phases or ():
        if phase not in found.phases or not any(phase in case["image"] for case in found.cases):
            known = sorted({phase for case in found.cases for phase in case["image"]})
            raise ValueError(
                f"phase {phase!r} is not among the phases {listing(phase, known)} of the source; correct --phases"
            )
    return phases or found.phases


def with_phases(cases: Sequence[Case], phases: Sequence[str]) -> tuple[list[Case], list[str]]:
    """Keep the chosen phases with their masks, and the cases that have one; also return the others' names."""
    kept, dropped = [], []
    for case in cases:
        image = {phase: case["image"][phase] for phase in phases if phase in case["image"]}
        if image:
            entry = case | {"image": image}
            if isinstance(case.get("roi"), Mapping):
                entry["roi"] = {phase: mask for phase, mask in case["roi"].items() if phase in image} or None
            kept.append(entry)
        else:
            dropped.append(case["case"])
    return kept, dropped


def layout_names() -> list[str]:
    """Return the names of the layouts: the files of this package."""
    return sorted(module.name for module in iter_modules(__path__))


def options_of(name: str) -> set[str]:
    """Return the options of this layout that not all layouts have."""
    return getattr(import_module(f"{__name__}.{name}"), "OPTIONS", set())


def check_options(name: str, source: Source) -> None:
    """Refuse an option that the layout does not use, rather than ignore it."""
    used = {layout: options_of(layout) for layout in layout_names()}
    for option in sorted(set().union(*used.values()) - used[name]):
        if getattr(source, option):
            takers = [layout for layout, options in used.items() if option in options]
            raise ValueError(
                f"--{option} is an option of the layouts [{', '.join(takers)}], found with layout {name!r}; "
                "leave it out"
            )


def find_layout(name: str) -> Callable[[Source], Found]:
    """Return the `find` function of a layout."""
    if name not in layout_names():
        raise ValueError(f"layout {name!r} is not among {listing(str(name), layout_names())}; correct --layout")
    return import_module(f"{__name__}.{name}").find
