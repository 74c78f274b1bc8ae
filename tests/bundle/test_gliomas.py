# SPDX-License-Identifier: Apache-2.0
"""Real scans whose four sequences lie on grids of their own, from the files to outline and class."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import dice as dissimilarity
from scripts.transforms.masks import ResampleMasksd
from scripts.transforms.phases import LoadImagePhasesd
from scripts.transforms.region import WholeVolumeRegiond
from scripts.transforms.resample import ResamplePhasesd
from scripts.volumes.label_map import on_original_voxels
from scripts.volumes.open import open_volume

from tests.conftest import ROOT

PATIENTS, SEQUENCES = ("TCGA-DU-7294", "TCGA-FG-6692"), ("fla", "t1", "t1c", "t2")


def write_gliomas(source: Path, folder: Path, splits: list[str]) -> dict:
    """Write a dataset of copies of two patients; what is drawn is what is bright in FLAIR, a stand-in for an expert."""
    entries: dict[str, list] = {"training": [], "validation": [], "test": []}
    for number, split in enumerate(splits):
        for label, patient in zip(("a", "b"), PATIENTS, strict=True):
            case = f"{patient}-{number}"
            (folder / case).mkdir(parents=True)
            entry = {"case": case, "patient": case, "image": {}, "roi": f"{case}/roi.nii.gz", "label": label}
            for name in SEQUENCES:
                scan = nibabel.load(source / f"{patient}_bet_native_{name}.nii.gz")
                voxels = np.asarray(scan.dataobj, np.float32) * (1 + number / 10)  # other files, as of other patients
                nibabel.save(nibabel.Nifti1Image(voxels, scan.affine), folder / case / f"{name}.nii.gz")
                entry["image"][name] = f"{case}/{name}.nii.gz"
                if name == "fla":
                    smooth = gaussian_filter(voxels, (3, 3, 1))
                    drawn = (smooth > np.percentile(smooth[voxels > 0], 95)).astype(np.uint8)
                    nibabel.save(nibabel.Nifti1Image(drawn, scan.affine), folder / case / "roi.nii.gz")
            entries[split].append(entry)
    content = {"name": "gliomas", "phases": list(SEQUENCES), "classes": ["a", "b"], "structures": ["bright"], **entries}
    (folder / "dataset.json").write_text(json.dumps(content))
    return content


@pytest.mark.slow
def test_what_is_outlined_on_the_grid_lies_on_the_voxels_of_the_scan(test_data, tmp_path):
    """A network that outlined the drawn mask on the grid would have a Dice near 1 on the file, and less if moved."""
    for entry in write_gliomas(test_data("tcia_glioma_4seq"), tmp_path, ["test"])["test"]:
        item = {**entry, "image": {name: str(tmp_path / path) for name, path in entry["image"].items()}}
        item["roi"] = str(tmp_path / entry["roi"])
        for step in (
            LoadImagePhasesd(phases=SEQUENCES, reference="fla"),
            WholeVolumeRegiond(),
            ResamplePhasesd(spacing=(1.5, 1.5, 3.0), size=None),
            ResampleMasksd(phases=SEQUENCES, structures=["bright"], masks="case"),
        ):
            item = step(item)
        mask = np.asarray(item["mask"])[0]
        sure = np.stack([mask == 0, mask == 1]).astype(np.float32)
        scan = open_volume(str(tmp_path / entry["image"]["fla"]), entry["case"])
        found = on_original_voxels(sure, np.asarray(item["grid_affine"]), scan)
        drawn = np.asarray(nibabel.load(tmp_path / entry["roi"]).dataobj) > 0
        moved = [(0, 0, 0), *((n, 0, 0) for n in (-2, 2)), *((0, n, 0) for n in (-2, 2)), *((0, 0, n) for n in (-1, 1))]
        dice = [dissimilarity(drawn.ravel(), np.roll(found > 0, by, (0, 1, 2)).ravel()) for by in moved]
        assert dice[0] < 0.1
        assert min(dice) == dice[0], f"{entry['case']} lies beside its scan: {dice}"


@pytest.mark.slow
def test_four_sequences_on_grids_of_their_own_from_the_scan_to_the_grade(test_data, bundle, tmp_path):
    splits = [*["training"] * 3, "validation", "test"]
    content, place = write_gliomas(test_data("tcia_glioma_4seq"), tmp_path / "data", splits), tmp_path / "results"
    settings: dict = {"bundle_root": str(ROOT), "dataset_dir": str(tmp_path / "data"), "output_dir": str(place)}
    settings |= {"phases": list(SEQUENCES), "classes": ["a", "b"], "clinical": [], "reference_phase": "fla"}
    settings |= {"spacing": [4.0, 4.0, 6.0], "grid_size": [24, 24, 16], "outline_spacing": [4.0, 4.0, 6.0]}
    settings |= {
        "outline_grid_size": [24, 24, 16],
        "outline_max_epochs": 2,
        "outline_val_interval": 1,
        "outline_width": 8,
        "max_epochs": 1,
    }
    bundle("training", ["configs/train.yaml", "configs/regions/outlined.yaml"], **settings)
    rows = list(csv.DictReader((place / "outliner" / "all" / "outlines.csv").open()))
    assert [row["case"] for row in rows] == [entry["case"] for entry in content["test"]]
    new = tmp_path / "new" / content["test"][0]["case"]
    new.mkdir(parents=True)
    for name in SEQUENCES:
        shutil.copy(tmp_path / "data" / new.name / f"{name}.nii.gz", new)
    files = [str(place / "configs" / "inference.yaml")]
    bundle("inferring", files, bundle_root=str(place), dataset_dir=str(new.parent), output_dir=str(tmp_path / "out"))
    assert [row["case"] for row in csv.DictReader((tmp_path / "out" / "predictions.csv").open())] == [new.name]
    outline, scan = (
        nibabel.load(path)
        for path in (place / "outliner" / "all" / "outlines" / f"{new.name}.nii.gz", new / "fla.nii.gz")
    )
    assert outline.shape == scan.shape
    np.testing.assert_allclose(outline.affine, scan.affine, atol=1e-4)
