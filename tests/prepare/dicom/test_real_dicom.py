# SPDX-License-Identifier: Apache-2.0
"""Real DICOM: three ProstateX patients beside the same volumes as .mha, and a collection of broken files."""

from __future__ import annotations

import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from scripts.volumes.open import open_volume
from workbench.prepare.dicom.assign import assign_study
from workbench.prepare.dicom.convert import write_stack
from workbench.prepare.dicom.rules import read_rules
from workbench.prepare.dicom.scan import find_studies
from workbench.prepare.dicom.stacks import stacks_of
from workbench.prepare.preparing import prepare
from workbench.prepare.settings import Settings

pytest.importorskip("pydicom", reason="pip install -r requirements-dicom.txt")
RULES = Path("configs/dicom/prostate_mr.yaml")


def unpack(test_data, name: str, folder: Path) -> Path:
    with zipfile.ZipFile(test_data("prostatex_dicom") / f"{name}.zip") as archive:
        archive.extractall(folder)
    return folder


def test_volumes_are_those_that_the_dataset_gives_as_mha(test_data, tmp_path):
    """Same voxels and the same place in mm for each of the five sequences."""
    (study,), _ = find_studies(unpack(test_data, "ProstateX-0000", tmp_path / "source"))
    found = {volume.phase: volume.stack for volume in assign_study(study, read_rules(RULES)) if volume.phase}
    assert sorted(found) == ["adc", "cor", "hbv", "sag", "t2w"]
    for phase, stack in found.items():
        file = test_data("prostatex_dicom") / f"mha_ProstateX-0000/ProstateX-0000_07-07-2011_{phase}.mha"
        written = open_volume(write_stack(stack, tmp_path / f"{phase}.nii.gz"))
        given = open_volume(file)
        assert written.shape == given.shape
        corners = np.array([[i, j, k, 1] for i in (0, 383) for j in (0, 383) for k in (0, 18)]).T
        np.testing.assert_allclose(written.affine @ corners, given.affine @ corners, atol=1e-4)
        voxels = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(file))).T
        np.testing.assert_array_equal(written.read(), voxels)
        assert nibabel.load(tmp_path / f"{phase}.nii.gz").get_data_dtype() == np.int16


def test_b_values_and_echoes_that_share_a_series(test_data, tmp_path):
    (study,), _ = find_studies(unpack(test_data, "ProstateX-0218_subset", tmp_path / "source"))
    found = {series[0].number: stacks_of(series) for series in study.series}
    assert [stack.part for stack in found["8"]] == ["b 0", "b 100", "b 400", "b 800"]
    assert [len(stack.slices) for stack in found["8"]] == [20] * 4
    assert [stack.part for stack in found["7"]] == ["echo 2.4 ms", "echo 4.8 ms"]
    assert [len(stack.slices) for stack in found["7"]] == [36] * 2
    assert found["11"][0].refused.startswith("a mosaic")
    affines = [stack.affine for stack in found["8"]]
    for affine in affines:
        np.testing.assert_allclose(affine, affines[0], atol=1e-6)
    low, high = (write_stack(found["8"][index], tmp_path / f"{index}.nii.gz") for index in (0, 3))
    assert nibabel.load(low).get_fdata().mean() > 1.5 * nibabel.load(high).get_fdata().mean()
    dynamic = [stack for number, stacks in found.items() for stack in stacks if int(number) >= 27]
    times = [stack.seconds for stack in dynamic]
    assert times == sorted(times)
    assert len(dynamic) == 10


def test_the_repeated_sequence_is_taken_and_the_missing_slice_refused(test_data, tmp_path):
    (study,), _ = find_studies(unpack(test_data, "ProstateX-0001", tmp_path / "one"))
    found = {volume.phase: volume.stack for volume in assign_study(study, read_rules(RULES)) if volume.phase}
    assert found["t2w"].first.number == "10"  # series 6 is the same before a repetition
    (broken,), _ = find_studies(unpack(test_data, "ProstateX-0000_missing_slice", tmp_path / "gap"))
    (volume,) = assign_study(broken, read_rules(RULES))
    assert volume.reason == "a slice is missing, 6 mm after image 13 of 18, usually 3 mm"


def test_broken_and_mixed_files_give_one_line_each(test_data, tmp_path, capsys):
    rules = tmp_path / "rules.yaml"
    rules.write_text("phases: {first: {take: 1}}")
    prepare(Settings(test_data("dicom_nifti_torture"), "dicom", tmp_path / "out", rules=rules, dry_run=True))
    printed = capsys.readouterr().out
    rows = [line for line in printed.splitlines() if line.startswith("case_") and ":" not in line.split()[0]]
    reasons = {line.split("  ")[-1].strip() for line in rows}
    assert {
        "10 frames without a position each",
        "no pixels",
        "a slice is missing, 202.5 mm after image 1 of 4, usually 1.25 mm",
        "images without a position and orientation in space",
        "a localizer",
        "a segmentation object; export it as a NIfTI mask",
        "2 images, a volume needs 3 or more",
        "-> first",
    } <= reasons
    assert sum(line.endswith("-> first") for line in rows) == 1
    assert "lists of contents (DICOMDIR), not needed: " in printed
    assert "packed files, unpack them first: " in printed
    assert not (tmp_path / "out").exists()


def test_every_file_is_decoded_or_refused_in_one_line(test_data):
    """RLE, JPEG, JPEG-LS, JPEG 2000, big-endian, truncated: the same pixels, or one line."""
    from workbench.prepare.dicom.convert import _decode
    from workbench.prepare.dicom.geometry import Refused

    decoded, refused = {}, {}
    for file in sorted((test_data("dicom_nifti_torture") / "pydicom_data").glob("*.dcm")):
        try:
            decoded[file.name] = _decode(file)
        except Refused as error:
            refused[file.name] = str(error)
    assert list(refused) == ["emri_small_jpeg_2k_lossless_too_short.dcm"]
    assert "\n" not in refused["emri_small_jpeg_2k_lossless_too_short.dcm"]
    plain = decoded["emri_small.dcm"]
    assert plain.shape == (10, 64, 64)
    for name in ("RLE", "big_endian", "jpeg_2k_lossless", "jpeg_ls_lossless"):
        np.testing.assert_array_equal(decoded[f"emri_small_{name}.dcm"], plain)
    np.testing.assert_array_equal(decoded["693_J2KR.dcm"], decoded["693_UNCR.dcm"])
