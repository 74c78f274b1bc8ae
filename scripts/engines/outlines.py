# SPDX-License-Identifier: Apache-2.0
"""What outlining leaves: a label map per case on the voxels of its file, and how far it is from what was drawn."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scripts.cases.masks import drawn_labels, open_mask
from scripts.cases.structures import mask_count, named_values
from scripts.engines.case_handler import Case, CaseHandler
from scripts.engines.environment import describe_machine
from scripts.figures.outline_tables import lesion_table, outline_table
from scripts.files.atomic import write_table, write_text
from scripts.files.plain_text import file_name
from scripts.metrics.lesions import LesionsFound, find_lesions, lesion_summary
from scripts.metrics.outlines import OUTLINE_TITLES, outline_scores, outline_summary
from scripts.volumes.grid import sample_volume
from scripts.volumes.label_map import on_original_voxels
from scripts.volumes.open import open_volume
from scripts.volumes.original_grid import GridVolume, save_nifti
from scripts.volumes.volume import Volume

FOLDER = "outlines"
"""Folder of the label maps, in a results folder."""
LESIONS = ("lesions", "lesions_found", "false_positives")
COLUMNS = ("case", "patient", "mask", "structure", "volume_ml", "predicted_volume_ml", *OUTLINE_TITLES, *LESIONS)


@dataclass(frozen=True)
class Outlined:
    """What was found about one case."""

    case: str
    patient: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    lesions: dict[str, LesionsFound] = field(default_factory=dict)
    """By phase of the mask, "" where one serves all phases; with one structure alone."""


def outline_path(folder: Path, case: str, phase: str = "") -> Path:
    """Return where the outline of a case is written; with one per phase, that of a phase."""
    return folder / FOLDER / f"{file_name(f'{case}_{phase}' if phase else case)}.nii.gz"


def drawn_path(item: Case, phase: str, masks: str, reference: str) -> str | None:
    """Return the file of the mask that belongs to an outline, None where the case has none.

    Args:
        item: with the paths of its files.
        phase: of the outline.
        masks: ``case`` or ``phase``.
        reference: the phase to which a mask of the whole case belongs.
    """
    roi = item.get("roi")
    if isinstance(roi, Mapping):
        first = next((roi[name] for name in item["image"] if name in roi), None)
        return roi.get(phase) if masks == "phase" else roi.get(reference, first)
    return roi if masks == "case" or phase == reference else None


class OutlineReport(CaseHandler):
    """Writes what a reader needs of an evaluation of outlines.

    When an evaluation ends it has written into `output_dir`

        outlines/<case>.nii.gz     a label map on the voxels of the reference phase; with one mask per phase
                                   outlines/<case>_<phase>.nii.gz on those of each phase that is there
        outlines.csv               where there are masks: one row per case, mask and structure, compared on the
                                   voxels of the mask
        metrics.json               their means by patient with 95% intervals; with one structure also `lesions`,
                                   those found and false positives per case, and with one mask per phase
                                   `lesions_by_phase`, the same of each phase by itself
    and printed these. Where no case has a mask it writes label maps alone.

    Args:
        output_dir: folder of the results, made if missing.
        data: the items of the dataset that is evaluated, with the paths of their files.
        structures: S names of the values 1, 2, ...
        phases: names of all phases, in order.
        reference: name of the reference phase; a case without it has its first phase.
        masks: ``case`` or ``phase``, see `ResampleMasksd`.
        name: what is evaluated, e.g. "test"; heads the tables.
        seed: of the run that is evaluated; recorded, and seed of the bootstrap.
        tolerance: of the surface Dice, mm.
        draws: bootstrap resamples.

    Raises:
        ValueError: as for `CaseHandler`.
    """

    def __init__(
        self,
        output_dir: str | Path,
        data: Sequence[Case],
        structures: Sequence[str],
        phases: Sequence[str],
        reference: str,
        masks: str = "case",
        name: str = "test",
        seed: int = 0,
        tolerance: float = 2.0,
        draws: int = 1000,
    ) -> None:
        super().__init__(output_dir, structures, name)
        self.items = {str(item["case"]): item for item in data}
        self.phases = list(phases)
        self.reference = reference
        self.masks = masks
        self.seed = seed
        self.tolerance = tolerance
        self.draws = draws

    def read(self, item: Case, result: Mapping[str, Any]) -> Outlined:
        """Write the label maps of one case, and compare them with its masks."""
        case = str(item["case"])
        entry = self.items[case]
        logits = torch.as_tensor(result[self.prediction_key]).detach().float().cpu()
        count = mask_count(self.masks, len(self.phases))
        probabilities = logits.unflatten(0, (count, -1)).softmax(dim=1).numpy()
        grid = np.asarray(item["grid_affine"], dtype=np.float64)
        present = [phase for phase in self.phases if entry["image"].get(phase)]
        reference = self.reference if self.reference in present else present[0]
        found = Outlined(case, str(entry.get("patient", case)))
        for slot in range(count):
            phase = self.phases[slot] if self.masks == "phase" else reference
            if phase not in present:
                continue
            volume = open_volume(entry["image"][phase], f"case {case}: phase {phase!r}")
            path = outline_path(self.output_dir, case, phase if self.masks == "phase" else "")
            path.parent.mkdir(parents=True, exist_ok=True)
            labels = on_original_voxels(probabilities[slot], grid, volume)
            save_nifti(path, labels, volume.affine)
            drawn = drawn_path(entry, phase, self.masks, reference)
            if drawn is not None:
                mask = open_mask(drawn, case)
                if mask.shape != volume.shape or not np.array_equal(mask.affine, volume.affine):
                    labels = on_original_voxels(probabilities[slot], grid, mask)
                found = self._compared(found, phase, labels, mask, GridVolume(1 - probabilities[slot][0], grid))
        return found

    def _compared(
        self, found: Outlined, phase: str, outlined: np.ndarray, mask: Volume, lesion: GridVolume
    ) -> Outlined:
        """Compare an outline with a mask, both on its voxels; `lesion` is the probability of any structure."""
        truth = drawn_labels(mask, named_values(self.classes))
        spacing = np.linalg.norm(mask.affine[:3, :3], axis=0).tolist()
        rows = outline_scores(outlined, truth, spacing, self.classes, self.tolerance)
        names = {"case": found.case, "patient": found.patient, "mask": phase if self.masks == "phase" else ""}
        lesions = {}
        if len(self.classes) == 1:
            sure = sample_volume(lesion, mask.affine, mask.shape)[0]
            one = find_lesions(found.case, found.patient, outlined, truth, np.clip(sure, 0, 1))
            hits = sum(number is not None for number in one.lesions)
            rows[0] |= dict(zip(LESIONS, (one.n_lesions, hits, len(one.lesions) - hits), strict=True))
            lesions[names["mask"]] = one
        rows = [*found.rows, *(names | row for row in rows)]
        return Outlined(found.case, found.patient, rows, found.lesions | lesions)

    def write(self, device: str) -> None:
        """Write and print what was found about all cases."""
        found: list[Outlined] = list(self.predictions)
        rows = [row for one in found for row in one.rows]
        if rows:
            cells = ([row.get(name) for name in COLUMNS] for row in rows)
            write_table(self.output_dir / "outlines.csv", list(COLUMNS), cells)
            summary = outline_summary(rows, self.draws, self.seed)
            record: dict[str, Any] = {"name": self.name, "seed": self.seed, "n": len(found), "outlines": summary}
            print(f"\n{outline_table(summary, self.tolerance, self.name).text()}")
            for mask in dict.fromkeys(mask for one in found for mask in one.lesions):
                counted = [one.lesions[mask] for one in found if mask in one.lesions]
                summary_of = lesion_summary(counted, draws=self.draws, seed=self.seed)
                table = lesion_table(summary_of, f"Lesions, {mask}" if mask else "Lesions")
                print(f"\n{table.text()}")
                if mask:
                    record.setdefault("lesions_by_phase", {})[mask] = summary_of
                else:
                    record["lesions"] = summary_of
            write_text(self.output_dir / "metrics.json", json.dumps(record | describe_machine(device), indent=2) + "\n")
        print(f"{self.name}: outlines of {len(found)} cases in {self.output_dir / FOLDER}", flush=True)
