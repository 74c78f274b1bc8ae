# SPDX-License-Identifier: Apache-2.0
"""Outlines as DICOM Segmentations: every voxel where the label map has it, read by highdicom and by pydicom."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from highdicom.seg import segread
from scripts.volumes.original_grid import save_nifti
from workbench.predict.segmentation_object import write_segmentation
from workbench.prepare.dicom.convert import write_stack
from workbench.prepare.dicom.scan import find_studies
from workbench.prepare.dicom.stacks import Stack, stacks_of

ANGLE = np.radians(25)
OBLIQUE = (np.cos(ANGLE), 0.0, -np.sin(ANGLE), 0.0, 1.0, 0.0)
SERIES = {
    "plain": {"heights": range(6)},
    "oblique, in any order": {"heights": [5, 0, 2.5, 10, 7.5], "orientation": OBLIQUE},
    "from head to foot, coronal": {"heights": [9, 6, 3, 0], "orientation": (1, 0, 0, 0, 0, -1)},
}
MODEL = {"name": "mine", "version": "1.0"}
NAMES = ["wall", "lumen"]


def stack_of(folder: Path) -> Stack:
    ((stack,),) = (stacks_of(series) for study in find_studies(folder)[0] for series in study.series)
    return stack


def outlined(stack: Stack, folder: Path) -> tuple[Path, np.ndarray, np.ndarray]:
    """A label map on the voxels of the volume that the series becomes; nothing in its first slice."""
    scan = nibabel.load(write_stack(stack, folder / "scan.nii.gz"))
    labels = np.random.default_rng(0).integers(0, 3, scan.shape).astype(np.uint8)
    labels[:, :, 0] = 0
    save_nifti(folder / "outline.nii.gz", labels, scan.affine)
    return folder / "outline.nii.gz", labels, scan.affine


def on_voxels(values: np.ndarray, to_mm: np.ndarray, affine: np.ndarray, found: np.ndarray) -> None:
    """Put values, which lie at places in mm (LPS), at the voxels of a NIfTI file."""
    index = np.indices(values.shape).reshape(values.ndim, -1).T
    places = np.c_[(index @ to_mm[:3, :-1].T + to_mm[:3, -1]) * [-1, -1, 1], np.ones(len(index))]
    voxels = places @ np.linalg.inv(affine).T[:, :3]
    np.testing.assert_allclose(voxels, np.rint(voxels), atol=1e-3)
    found[tuple(np.rint(voxels).astype(int).T)] = values.ravel()


@pytest.mark.parametrize("kind", SERIES)
def test_every_voxel_lies_where_the_label_map_has_it(kind, write_dicom, tmp_path):
    files = write_dicom(tmp_path / "in", FrameOfReferenceUID="1.2.9", **SERIES[kind])
    stack = stack_of(tmp_path / "in")
    outline, labels, affine = outlined(stack, tmp_path)
    target = write_segmentation(outline, stack, NAMES, MODEL, tmp_path / "outline.dcm")

    segmentation = segread(target)
    assert [item.SegmentLabel for item in segmentation.SegmentSequence] == NAMES
    volume = segmentation.get_volume(combine_segments=True, allow_missing_positions=True)
    found = np.zeros_like(labels)
    on_voxels(volume.array, volume.affine, affine, found)
    np.testing.assert_array_equal(found, labels)

    read = pydicom.dcmread(target)  # frame by frame, as a viewer does
    found, used = np.zeros_like(labels), {}
    (row, column) = np.reshape(
        read.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient, (2, 3)
    )
    down, across = read.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
    for pixels, frame in zip(read.pixel_array, read.PerFrameFunctionalGroupsSequence, strict=True):
        position = frame.PlanePositionSequence[0].ImagePositionPatient
        to_mm = np.stack([column * down, row * across, np.array(position, float)], axis=1)
        one = np.zeros_like(labels)
        on_voxels(pixels, to_mm, affine, one)
        found += one * np.uint8(frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        (source,) = frame.DerivationImageSequence[0].SourceImageSequence
        used[source.ReferencedSOPInstanceUID] = position
    np.testing.assert_array_equal(found, labels)
    sources = {image.SOPInstanceUID: image.ImagePositionPatient for image in map(pydicom.dcmread, files)}
    assert used.items() <= sources.items()
    assert len(used) == len(files) - 1
    assert (read.StudyInstanceUID, read.PatientID, read.FrameOfReferenceUID) == ("1.2.3", "P1", "1.2.9")


def test_frames_of_a_file_of_several_volumes_refer_to_those_that_were_outlined(enhanced, tmp_path):
    ((_, late),) = (stacks_of(series) for study in find_studies(tmp_path)[0] for series in study.series)
    outline, labels, affine = outlined(late, tmp_path)
    read = segread(write_segmentation(outline, late, NAMES, MODEL, tmp_path / "outline.dcm"))
    volume = read.get_volume(combine_segments=True, allow_missing_positions=True)
    found = np.zeros_like(labels)
    on_voxels(volume.array, volume.affine, affine, found)
    np.testing.assert_array_equal(found, labels)
    sources = [frame.DerivationImageSequence[0].SourceImageSequence for frame in read.PerFrameFunctionalGroupsSequence]
    assert {int(one.ReferencedFrameNumber) for items in sources for one in items} == {6, 7, 8}
    assert all(len(items) == 1 for items in sources)


def test_a_label_map_in_which_nothing_is_outlined_is_written_too(write_dicom, tmp_path):
    write_dicom(tmp_path / "in", FrameOfReferenceUID="1.2.9")
    stack = stack_of(tmp_path / "in")
    outline, labels, affine = outlined(stack, tmp_path)
    save_nifti(outline, labels * 0, affine)
    assert not segread(write_segmentation(outline, stack, NAMES, MODEL, tmp_path / "outline.dcm")).pixel_array.any()


@pytest.mark.parametrize(
    ("mistake", "frame", "shift", "cut", "words"),
    [
        ("an outline off its series", "1.2.9", 0.5, 10, "voxels of its series, .* mm off; resample"),
        ("an outline smaller than its series", "1.2.9", 0, 5, r"series 1, found \(5, 8, 6\), other voxels"),
        ("no frame of reference for a segmentation", None, 0, 10, "frame of reference, found none in image0"),
    ],
)
def test_what_no_segmentation_can_show_is_one_line(mistake, frame, shift, cut, words, write_dicom, tmp_path, say):
    write_dicom(tmp_path / "in", **({"FrameOfReferenceUID": frame} if frame else {}))
    stack = stack_of(tmp_path / "in")
    outline, labels, affine = outlined(stack, tmp_path)
    affine[0, 3] += shift
    save_nifti(outline, labels[:cut], affine)
    with pytest.raises(ValueError, match=words) as caught:
        write_segmentation(outline, stack, NAMES, MODEL, tmp_path / "outline.dcm")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "outline.dcm").exists()
    say("DICOM", mistake, caught.value)
