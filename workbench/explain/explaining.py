# SPDX-License-Identifier: Apache-2.0
"""Explain cases one by one, each in a folder that is either complete or absent."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from monai.transforms import Compose
from scripts.cases.cache import preprocessed, refuse_bad
from scripts.engines.evaluation import clinical_lines
from scripts.engines.network import load_trained
from scripts.engines.removal import images_without
from scripts.files.atomic import PARTIAL, check_writable
from scripts.files.plain_text import file_name
from scripts.files.processes import lines_of
from scripts.volumes.original_grid import save_nifti, to_original_grid
from torch import nn
from workbench.explain.case_explanation import DEFAULT, CaseExplainer, CaseExplanation
from workbench.explain.contribution_figure import Waterfall, contribution_figure
from workbench.explain.contributions import Contributions, reads_table
from workbench.explain.heat_figure import heat_figure
from workbench.explain.occlusion import Occlusion
from workbench.explain.tables import (
    choose_cases,
    lesion_labels,
    located,
    mean_contributions,
    write_contributions,
    write_localisation,
    write_mean_contributions,
)


@contextmanager
def folder_atomically(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill, and move it to `folder` when that is done.

    If filling fails, an old folder stays as it was and the temporary one is removed.

    Raises:
        ValueError: the parent folder cannot be written.
    """
    check_writable(folder.parent)
    temporary = folder.with_name(f"{PARTIAL}{uuid.uuid4().hex}")
    old = folder.with_name(f"{PARTIAL}{uuid.uuid4().hex}")
    temporary.mkdir()
    try:
        yield temporary
        if folder.exists():
            folder.rename(old)
        temporary.rename(folder)
    finally:
        for rest in (temporary, old):
            shutil.rmtree(rest, ignore_errors=True)


TABLE = "clinical table"


def explain_cases(
    network: nn.Module,
    model_file: str | Path,
    items: Sequence[Mapping[str, Any]],
    case: str | Sequence[str],
    preprocessing: Compose,
    phases: Sequence[str],
    classes: Sequence[str],
    occlusion: Occlusion,
    output_dir: str | Path,
    explanations: Sequence[str] = DEFAULT,
    explained_class: str | None = None,
    batch_size: int = 16,
) -> list[CaseExplanation]:
    """Explain cases one by one and write, for each case as soon as it is done:

        <case>/contributions.csv, contributions.png     what each phase added to the probability
        <case>/heat.png, <phase>_<method>.nii.gz        where, over the original scan
        contributions.csv                               all cases
        mean_contributions.csv, mean_contributions.png  means per predicted class
        localisation.csv                                heat in the lesion and around it, with masks

    The last four are written for more than one case only.

    Args:
        case: which to explain (see `choose_cases`).
        preprocessing: as for inference.
        explained_class: class whose probability is explained; None: the class predicted for each case.

    Raises:
        FileNotFoundError: no weights.
        ValueError: no such case, explanation or class; a folder that cannot be written.
        BadCases: cases that cannot be read, after all others have been explained.
    """
    from tqdm import tqdm

    chosen = choose_cases(items, case)
    folder = check_writable(output_dir, keep=False)
    load_trained(network, model_file)
    labels = lesion_labels(preprocessing)
    explain = CaseExplainer(
        network.eval(), phases, classes, occlusion, explanations, explained_class, batch_size, labels
    )
    players = [*phases, TABLE] if reads_table(network) else list(phases)
    steps = located(preprocessing)
    found: list[CaseExplanation] = []
    bad: list[list[str]] = []
    tables: dict[str, list[float]] = {}
    for item in tqdm(chosen, desc="explaining", disable=len(chosen) == 1):
        try:
            ready, _ = preprocessed(steps, dict(item))
        except (ValueError, OSError) as error:
            bad.append(lines_of(error))
            continue
        tables[str(ready["case"])] = torch.as_tensor(ready.get("clinical", ())).tolist()
        explanation = explain(ready, images_without(item, preprocessing))
        write_case(folder, explanation, phases, players, classes)
        found.append(replace(explanation, heat={}, volumes={}, lesion=None))  # what the summary needs
    if len(found) > 1:
        write_summary(folder, found, phases, players, classes)
    for line in [*clinical_lines(tables, network), *summary_lines(found, players, classes)]:
        print(line)
    refuse_bad(bad, len(chosen))
    return found


def write_case(
    output_dir: Path, found: CaseExplanation, phases: Sequence[str], players: Sequence[str], classes: Sequence[str]
) -> None:
    """Write the folder of one case."""
    with folder_atomically(output_dir / file_name(found.case)) as folder:
        if found.contributions is not None:
            write_contributions(folder / "contributions.csv", [found], players, classes)
            panel = case_waterfall(found, found.contributions, classes)
            contribution_figure([panel], players, folder / "contributions.png", classes)
        for method, maps in found.heat.items():
            for phase, heat in maps.items():
                volume = found.volumes[phase]
                values = to_original_grid(heat, found.grid_affine, volume)
                save_nifti(folder / f"{file_name(phase)}_{method}.nii.gz", values, volume.affine)
        if found.heat:
            heat_figure(found, phases, classes, folder / "heat.png")


def case_waterfall(found: CaseExplanation, part: Contributions, classes: Sequence[str]) -> Waterfall:
    """Return the contributions of one case to the explained class as a panel of the figure."""
    k, truth = found.explained, "" if found.label is None else classes[found.label]
    start, steps, prediction = float(part.start[k]), part.values[:, k].tolist(), float(part.prediction[k])
    missing = (~part.present).int().tolist()
    return Waterfall(classes[k], start, steps, prediction, missing, case=found.case, truth=truth)


def write_summary(
    folder: Path,
    found: Sequence[CaseExplanation],
    phases: Sequence[str],
    players: Sequence[str],
    classes: Sequence[str],
) -> None:
    """Write the tables and figures over several cases."""
    panels = mean_contributions(found, classes)
    if panels:
        write_contributions(folder / "contributions.csv", found, players, classes)
        write_mean_contributions(folder / "mean_contributions.csv", panels, players)
        contribution_figure(panels, players, folder / "mean_contributions.png", classes)
    write_localisation(folder / "localisation.csv", found, phases, classes)


def summary_lines(found: Sequence[CaseExplanation], players: Sequence[str], classes: Sequence[str]) -> list[str]:
    """Return what is printed at the end."""
    lines = []
    if len(found) == 1:
        one = found[0]
        probability = 100 * float(one.probabilities[one.explained])
        lines.append(f"{one.case}: probability of '{classes[one.explained]}' {probability:.1f}%")
        if one.contributions is not None:
            part, k = one.contributions, one.explained
            steps = [
                f"{name} {100 * value:+.1f}" if there else f"{name} missing"
                for name, value, there in zip(players, part.values[:, k].tolist(), part.present, strict=True)
            ]
            start = f"  from {100 * float(part.start[k]):.1f}% without any phase, in points: "
            lines.append(start + ", ".join(steps))
    for method in dict.fromkeys(method for e in found for method in e.localisation):
        lines.append(f"{method}: {_count(found, method)}")
        right = [e for e in found if e.correct]
        if len(found) > 1 and right:
            lines.append(f"  of the {len(right)} predicted correctly: {_count(right, method)}")
    return lines


def _count(found: Sequence[CaseExplanation], method: str) -> str:
    """Say in how many cases the lesion is hot."""
    places = [e.localisation[method] for e in found if method in e.localisation]
    hotter = sum(place.lesion > place.background for place in places)
    within = sum(place.distance == 0 for place in places)
    return (
        f"hotter in the lesion than around it in {hotter} of {len(places)} cases, hottest point in the "
        f"lesion in {within}"
    )
