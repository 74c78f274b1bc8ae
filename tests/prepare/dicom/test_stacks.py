# SPDX-License-Identifier: Apache-2.0
"""Which images make a volume: made-up series with one trap each."""

from __future__ import annotations

import re
from pathlib import Path

import nibabel
import numpy as np
import pytest
from workbench.prepare.dicom.assign import assign_study
from workbench.prepare.dicom.convert import write_stack
from workbench.prepare.dicom.rules import read_rules
from workbench.prepare.dicom.scan import find_studies
from workbench.prepare.dicom.stacks import stacks_of
from workbench.prepare.dicom.table import remarks_of


def stacks(folder: Path):
    studies, _ = find_studies(folder)
    return [stack for study in studies for series in study.series for stack in stacks_of(series)]


def test_the_affine_of_an_oblique_series_maps_each_pixel_to_its_place(write_dicom, tmp_path):
    angle = np.radians(25)
    row, column = (np.cos(angle), 0.0, -np.sin(angle)), (0.0, 1.0, 0.0)
    write_dicom(tmp_path, heights=[5, 0, 2.5, 7.5], orientation=(*row, *column), spacing=(2.0, 1.5))
    (stack,) = stacks(tmp_path)
    assert stack.refused == ""
    normal = np.cross(row, column)
    i, j, k = 7, 3, 2  # column 7, row 3 of the third slice
    place = np.array([10.0, 20.0, 30.0]) + 1.5 * i * np.array(row) + 2.0 * j * np.array(column) + 5.0 * normal
    np.testing.assert_allclose((stack.affine @ [i, j, k, 1])[:3], place * [-1, -1, 1], atol=1e-5)
    assert [image.file.name for image in stack.slices] == ["image001", "image002", "image000", "image003"]


SPLITS = {
    "b-values": ({"DiffusionBValue": lambda n: float(n // 4 * 400)}, ["b 0", "b 400", "b 800"]),
    "echoes": ({"EchoTime": lambda n: [2.4, 4.8, 7.2][n // 4]}, ["echo 2.4 ms", "echo 4.8 ms", "echo 7.2 ms"]),
    "time points": (
        {"TemporalPositionIdentifier": lambda n: n // 4 + 1},
        ["time point 1", "time point 2", "time point 3"],
    ),
    "acquisitions": ({"AcquisitionNumber": lambda n: n // 4 + 1}, ["acquisition 1", "acquisition 2", "acquisition 3"]),
    "time alone": ({}, ["time point 1", "time point 2", "time point 3"]),
    "kinds": ({"ImageType": lambda n: ["ORIGINAL", "PRIMARY", "MPR"[n // 4]]}, ["M", "P", "R"]),
    "trigger": (
        {"TriggerTime": lambda n: float(n // 4 * 50), "AcquisitionTime": "100000"},
        ["trigger time 1", "trigger time 2", "trigger time 3"],
    ),
}


@pytest.mark.parametrize("name", SPLITS)
def test_volumes_that_share_a_series_are_told_apart(name, write_dicom, tmp_path):
    tags, parts = SPLITS[name]
    files = write_dicom(tmp_path, heights=[0, 3, 6, 9] * 3, **tags)
    found = stacks(tmp_path)
    assert [stack.part for stack in found] == parts
    for number, stack in enumerate(found):
        assert [image.file for image in stack.slices] == files[4 * number : 4 * number + 4]
        assert not stack.refused


def test_times_that_differ_from_slice_to_slice_do_not_split_a_volume(write_dicom, tmp_path):
    write_dicom(
        tmp_path, AcquisitionNumber=lambda n: n, TriggerTime=lambda n: 10.0 * n, ImageType=lambda n: ["A", str(n)]
    )
    (stack,) = stacks(tmp_path)
    assert (len(stack.slices), stack.part, stack.refused) == (6, "", "")


def test_acquisitions_of_different_ranges_that_overlap_are_told(write_dicom, tmp_path):
    write_dicom(tmp_path, heights=[0, 3, 6, 9, 12, 9, 12, 15, 18], AcquisitionNumber=lambda n: n // 5)
    (stack,) = stacks(tmp_path)
    assert stack.refused == (
        "9 images at 7 positions: 2 groups by acquisition that reach differently far; export each as a "
        "series of its own"
    )


def test_halves_of_a_volume_with_a_gap_do_not_pass_as_two_volumes(write_dicom, tmp_path):
    write_dicom(tmp_path, heights=[0, 3, 6, 9, 15, 18, 21, 24], AcquisitionNumber=lambda n: n // 4)
    (stack,) = stacks(tmp_path)
    assert stack.refused == "a slice is missing, 6 mm after image 4 of 8, usually 3 mm"


REFUSED = {
    "mosaic": ({"ImageType": ["ORIGINAL", "PRIMARY", "MOSAIC"]}, "a mosaic, all slices tiled in one image"),
    "localizer": ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "a localizer"),
    "two images": ({"heights": [0, 3]}, "2 images, a volume needs 3 or more"),
    "uneven": ({"heights": [0, 3, 6.5, 9]}, "uneven distances of the slices"),
    "tilt": ({"shear": 0.2}, "gantry tilt of 11.3 degrees"),
    "repeated": (
        {"heights": [0, 3, 6, 0, 3, 6], "AcquisitionTime": "100000"},
        "6 images at 3 positions, which no b-value, echo or time tells apart",
    ),
    "colour": ({"SamplesPerPixel": 3}, "truncated pixels"),
    "no position": ({"ImagePositionPatient": None}, "images without a position and orientation in space"),
    "no spacing": ({"PixelSpacing": None}, "images without a pixel spacing"),
    "skew": ({"ImageOrientationPatient": [1, 0, 0, 0.5, 1, 0]}, "rows and columns not at right angles"),
    "segmentation": ({"Modality": "SEG"}, "a segmentation object"),
    "frames": ({"NumberOfFrames": 2, "PixelData": b"\0" * 320}, "2 frames without a position each"),
    "one of them": (
        {"ImagePositionPatient": lambda n: None if n == 2 else [0, 0, n]},
        r"images without a position and orientation in space \(1 of 6 images, first image002\)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_volume_is_refused_with_the_reason(name, write_dicom, tmp_path, say):
    settings, reason = REFUSED[name]
    write_dicom(tmp_path, **settings)
    (stack,) = stacks(tmp_path)
    assert re.match(reason, stack.refused)
    say("DICOM", name, stack.refused)


def test_frames_of_an_enhanced_file_are_slices_each_with_its_scale(enhanced, tmp_path):
    found = stacks(tmp_path)
    assert [stack.part for stack in found] == ["b 0", "b 800"]
    assert [[image.frame for image in stack.slices] for stack in found] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    np.testing.assert_allclose(np.diag(found[1].affine), [-1.5, -2.0, 3.0, 1.0])

    written = nibabel.load(write_stack(found[1], tmp_path / "out" / "dwi.nii.gz"))
    np.testing.assert_array_equal(written.get_fdata()[0, 0], [4 * 3 - 10, 5 * 3.5 - 10, 6 * 4 - 10, 7 * 4.5 - 10])


JITTER = {
    "direction cosines": {"ImageOrientationPatient": lambda n: [1, [1e-3, -1e-3][n % 2], 0, 0, 1, 0]},
    "echo time": {"EchoTime": lambda n: [2.156, 2.16][n % 2]},
    "rescale": {"RescaleSlope": lambda n: [1.0, 1.02][n % 2]},
}


@pytest.mark.parametrize("name", JITTER)
def test_what_a_tag_means_the_same_by_does_not_split_a_volume(name, write_dicom, tmp_path):
    write_dicom(tmp_path, heights=[0, 3, 6, 9, 12, 15, 18, 21], **JITTER[name])
    (stack,) = stacks(tmp_path)
    assert (len(stack.slices), stack.refused) == (8, "")


def test_rounded_positions_of_a_thin_stack_are_no_gantry_tilt(write_dicom, tmp_path):
    rounded = {0: [10, 20, 30], 1: [10, 20.01, 30.5], 2: [10.01, 20.02, 31]}
    write_dicom(tmp_path, heights=range(3), ImagePositionPatient=lambda n: rounded[n])
    (stack,) = stacks(tmp_path)
    assert stack.refused == ""


@pytest.mark.parametrize(("thickness", "step", "told"), [(3.0, 2, True), (6.0, 2, False), (3.0, 1, False)])
def test_every_second_slice_lost_is_told(thickness, step, told, write_dicom, tmp_path):
    """Slices are apart by more than they are thick, and so are their numbers."""
    write_dicom(tmp_path, heights=[0, 6, 12, 18], SliceThickness=thickness, InstanceNumber=lambda n: 1 + step * n)
    (stack,) = stacks(tmp_path)
    lost = "slices of 3 mm lie 6 mm apart, and only one in 2 instance numbers is there; others may be lost"
    assert remarks_of(stack) == ([lost] if told else [])


def test_a_part_of_a_series_does_not_pass_as_the_volume(write_dicom, tmp_path):
    """Five of eight slices are turned by 5 degrees: neither part explains the series."""
    angle = np.radians(5)
    turned = [float(np.cos(angle)), float(np.sin(angle)), 0, float(-np.sin(angle)), float(np.cos(angle)), 0]
    write_dicom(
        tmp_path,
        heights=[0, 3, 6, 9, 12, 15, 18, 21],
        ImageOrientationPatient=lambda n: [1, 0, 0, 0, 1, 0] if n % 3 == 0 else turned,
    )
    assert all(stack.refused for stack in stacks(tmp_path))


def test_a_file_packed_as_a_whole_is_read_and_one_without_a_decoder_is_named(write_dicom, tmp_path):
    from pydicom import dcmread
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    for file in write_dicom(tmp_path / "a"):
        image = dcmread(file)
        image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        image.save_as(file)
    (stack,) = stacks(tmp_path / "a")
    voxels = nibabel.load(write_stack(stack, tmp_path / "a.nii.gz")).get_fdata()
    np.testing.assert_array_equal(voxels[0, 0], 100 + np.arange(6))
    for file in write_dicom(tmp_path / "b"):
        content = file.read_bytes()
        file.write_bytes(content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0"))
    (stack,) = stacks(tmp_path / "b")
    assert stack.refused.startswith("image000: pixels in a format that is not known here (1.2.840.10008.9.9.9)")


def test_patterns_match_accents_however_they_are_written(write_dicom, tmp_path):
    write_dicom(tmp_path / "s", SpecificCharacterSet="ISO_IR 100", SeriesDescription="Sp\u00e4tphase")
    (tmp_path / "rules.yaml").write_text("phases: {late: {description: 'SPA\u0308T*'}}", encoding="utf-8")
    (study,), _ = find_studies(tmp_path / "s")
    assert [one.phase for one in assign_study(study, read_rules(tmp_path / "rules.yaml"))] == ["late"]
