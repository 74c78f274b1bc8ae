# SPDX-License-Identifier: Apache-2.0
"""A small dataset.json with empty image files, for tests of its reader."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Document = dict[str, Any]


def dataset_entry(case: str, label: str = "low", phases: tuple[str, ...] = ("pre", "portal")) -> Document:
    return {"case": case, "image": {phase: f"{case}/{phase}.nii.gz" for phase in phases}, "label": label}


@pytest.fixture
def document(tmp_path: Path) -> Document:
    content: Document = {
        "name": "toy",
        "phases": ["pre", "portal", "late"],
        "classes": ["low", "high"],
        "clinical": [
            {"name": "age", "unit": "years", "kind": "number"},
            {"name": "sex", "kind": "category", "values": ["F", "M"]},
        ],
        "training": [dataset_entry("a"), dataset_entry("b", "high")],
        "validation": [dataset_entry("c"), dataset_entry("d", "high")],
        "test": [dataset_entry("e")],
    }
    for case in "abcde":
        (tmp_path / case).mkdir()
        for phase in ("pre", "portal", "late"):
            (tmp_path / case / f"{phase}.nii.gz").touch()
    return content


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Any], Path]:
    def write_document(content: Any) -> Path:
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / "dataset.json").write_text(text, encoding="utf-8")
        return tmp_path

    return write_document


@pytest.fixture
def save_volume() -> Callable[..., Path]:
    """Write a volume of noise of its own, or given voxels, at 1 mm or an affine; .nii.gz or .mha by name."""
    import nibabel
    import numpy as np
    import SimpleITK

    def save(path: Path, voxels=None, affine=None) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        if voxels is None:
            seed = zlib.crc32(str(path).encode())  # no two files hold the same image
            voxels = np.random.default_rng(seed).integers(0, 200, (16, 16, 12)).astype(np.int16)
        if path.suffix == ".mha":
            SimpleITK.WriteImage(SimpleITK.GetImageFromArray(voxels.T), str(path))
        else:
            nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4) if affine is None else affine), path)
        return path

    return save


@pytest.fixture
def write_dicom() -> Callable[..., list[Path]]:
    """Write a series of single images: pixels of image k rise from `value + k`, unless given."""
    pydicom = pytest.importorskip("pydicom", reason="pip install -r requirements-dicom.txt")
    import numpy as np
    from pydicom.dataset import FileDataset, FileMetaDataset

    def write(
        folder: Path,
        heights: Any = range(6),
        patient: str = "P1",
        study: str = "1.2.3",
        series: str = "1.2.3.4",
        value: int = 100,
        spacing: tuple[float, float] = (2.0, 1.5),
        orientation: tuple[float, ...] = (1, 0, 0, 0, 1, 0),
        shear: float = 0.0,
        pixels: Any = None,
        prefix: str = "image",
        **tags: Any,
    ) -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        normal = np.cross(orientation[:3], orientation[3:])
        files = []
        for number, height in enumerate(heights):
            meta = FileMetaDataset()
            meta.MediaStorageSOPClassUID = pydicom.uid.MRImageStorage
            meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
            meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
            path = folder / f"{prefix}{number:03d}"
            image = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
            image.SOPClassUID, image.SOPInstanceUID = (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID)
            image.PatientName, image.PatientID = "Surname^Given", patient
            image.PatientBirthDate, image.StudyDate = "19500101", "20200102"
            image.StudyInstanceUID, image.SeriesInstanceUID, image.SeriesNumber = study, series, 1
            image.Modality, image.SeriesDescription = "MR", "t2_tse_tra"
            image.ImageType = ["ORIGINAL", "PRIMARY"]
            image.PixelSpacing, image.ImageOrientationPatient = list(spacing), list(orientation)
            position = np.array([10.0, 20.0, 30.0]) + height * normal + [0.0, shear * height, 0.0]
            image.ImagePositionPatient = [float(round(value, 6)) for value in position]
            image.AcquisitionTime = f"1000{number:02d}"
            image.Rows, image.Columns, image.SamplesPerPixel = 8, 10, 1
            image.PhotometricInterpretation = "MONOCHROME2"
            image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 1
            grey = np.full((8, 10), value + number) + np.arange(80).reshape(8, 10) if pixels is None else pixels
            if pixels is None:
                grey[-1, -1] = zlib.crc32(f"{patient} {study} {series}".encode()) % 1000  # no two alike
            image.PixelData = np.asarray(grey, np.int16).tobytes()
            for name, setting in tags.items():
                setattr(image, name, setting(number) if callable(setting) else setting)
            image.save_as(path, enforce_file_format=True)
            files.append(path)
        return files

    return write


@pytest.fixture
def enhanced(write_dicom, tmp_path) -> Path:
    """An enhanced MR file of two b-values with four slices each; frame k holds k, with a scale of its own."""
    import numpy as np
    from pydicom import dcmread
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence
    from pydicom.uid import EnhancedMRImageStorage

    (file,) = write_dicom(tmp_path, heights=[0])
    image = dcmread(file)
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    image.FrameOfReferenceUID = "1.2.9"

    def group(**tags) -> Sequence:
        item = Dataset()
        for name, value in tags.items():
            setattr(item, name, value)
        return Sequence([item])

    shared = Dataset()
    shared.PixelMeasuresSequence = group(PixelSpacing=[2.0, 1.5], SliceThickness=3.0)
    shared.PlaneOrientationSequence = group(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    frames = []
    for number in range(8):
        frame = Dataset()
        frame.PlanePositionSequence = group(ImagePositionPatient=[0, 0, 3.0 * (number % 4)])
        frame.MRDiffusionSequence = group(DiffusionBValue=float(number // 4 * 800))
        frame.PixelValueTransformationSequence = group(
            RescaleSlope=1 + number / 2, RescaleIntercept=-10, RescaleType="US"
        )
        frames.append(frame)
    del image.PixelSpacing, image.ImageOrientationPatient, image.ImagePositionPatient
    image.SharedFunctionalGroupsSequence = Sequence([shared])
    image.PerFrameFunctionalGroupsSequence = Sequence(frames)
    image.NumberOfFrames = 8
    image.PixelData = np.repeat(np.arange(8, dtype=np.int16), 80).tobytes()
    image.save_as(file, enforce_file_format=True)
    return file
