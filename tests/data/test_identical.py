"""The same voxels under two names are found, however the files are packed; over two splits they are refused."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from scripts.data import prepare
from scripts.data.identical import check_identical, identical_volumes


def voxels(seed: int) -> np.ndarray:
    """Return an image whose first slice is dark, as of a skull-stripped head: it tells nothing apart."""
    image = np.random.default_rng(seed).integers(0, 900, (12, 10, 6)).astype(np.int16)
    image[:, :, 0] = 0
    return image


def save(path: Path, image: np.ndarray, spacing: float = 1.0) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".mha":
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(image.T), str(path), useCompression=True)
    else:
        nibabel.save(nibabel.Nifti1Image(image, np.diag([spacing, spacing, 2.0, 1.0])), path)
    return str(path)


def entry(case: str, patient: str = "", **image: str) -> dict:
    return {"case": case, "image": image, "label": "low"} | ({"patient": patient} if patient else {})


def scaled(path: Path, image: np.ndarray) -> str:
    """Write voxels as halves of what they are, with a slope of 2 in the header."""
    save(path, image)
    file = nibabel.Nifti1Image(image // 2, np.eye(4))
    file.header.set_slope_inter(2, 0)
    nibabel.save(file, path)
    return str(path)


def test_copies_are_found_however_they_are_packed(tmp_path):
    one = voxels(1) // 2 * 2
    splits = {
        "training": [entry("a", pre=save(tmp_path / "a.nii.gz", one)), entry("b", pre=save(tmp_path / "b.nii", one, 3))],
        "validation": [entry("c", pre=save(tmp_path / "c.mha", one)), entry("d", pre=save(tmp_path / "d.nii.gz", voxels(2)))],
        "test": [
            entry("e", pre=save(tmp_path / "e.nii.gz", one.astype(np.float64))),
            entry("f", pre=scaled(tmp_path / "f.nii.gz", one)),
            entry("g", pre=save(tmp_path / "g.nii.gz", one[:, :, ::-1])),
            entry("h", pre=save(tmp_path / "h.nii.gz", np.where(voxels(3) == voxels(3).max(), 0, one))),
        ],
    }
    pairs = identical_volumes(splits)
    assert [(pair.first.case, pair.second.case) for pair in pairs] == [("a", name) for name in "bcef"]
    assert [pair.across for pair in pairs] == [False, True, True, True]
    assert str(pairs[0]) == (
        "case a, phase 'pre' (training) and case b, phase 'pre' (training) hold the same voxels; remove one, or "
        "give both cases the same patient if it is one person"
    )


def test_a_patient_may_show_an_image_twice_but_is_told(tmp_path):
    file = save(tmp_path / "a.nii.gz", voxels(1))
    pairs = identical_volumes({"training": [entry("a", "P", pre=file, late=file), entry("b", "P", pre=file)]})
    assert ["copy under a wrong name" in str(pair) for pair in pairs] == [True, False]
    check_identical(pairs, allowed=False)


def cohort(folder: Path) -> Path:
    """Write 12 cases; the images of c00 and c11 are the same, one of them compressed."""
    rows = ["case,label"]
    for number in range(12):
        ending = "nii" if number == 11 else "nii.gz"
        save(folder / "in" / f"c{number:02d}" / f"pre.{ending}", voxels(number % 11))
        rows.append(f"c{number:02d},{['low', 'high'][number % 2]}")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder


def test_preparing_refuses_copies_over_splits_unless_allowed(tmp_path, capsys):
    folder = cohort(tmp_path)
    settings = {"source": folder / "in", "layout": "folders", "labels": folder / "labels.csv"}
    seed = next(seed for seed in range(20) if _apart(folder, settings, seed))
    capsys.readouterr()
    with pytest.raises(ValueError, match=r"case c(00|11), .* and case c(00|11), .*--allow_identical True") as error:
        prepare(**settings, output=folder / "out", seed=seed)
    assert "\n" not in str(error.value)
    assert not (folder / "out" / "dataset.json").exists()
    assert capsys.readouterr().out.count("hold the same voxels") == 1
    prepare(**settings, output=folder / "out", seed=seed, allow_identical=True)
    assert capsys.readouterr().out.count("\nwarning: case c") == 1


def _apart(folder: Path, settings: dict, seed: int) -> bool:
    """Tell whether this seed puts c00 and c11 into different splits."""
    file = prepare(**settings, output=folder / f"seed{seed}", seed=seed, allow_identical=True)
    content = json.loads(file.read_text())
    return len({s for s in ("training", "validation", "test") for e in content[s] if e["case"] in ("c00", "c11")}) == 2
