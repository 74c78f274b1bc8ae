# SPDX-License-Identifier: Apache-2.0
"""What a header declares is checked before anything of that size is allocated."""

from __future__ import annotations

import gzip
import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scripts.volumes import headers as declared_size
from scripts.volumes import itk as volume_itk
from scripts.volumes import native
from scripts.volumes.open import open_volume
from workbench.prepare.dicom import headers
from workbench.prepare.dicom.scan import find_studies
from workbench.prepare.dicom.stacks import stacks_of

LONG = 2**15
MEMORY = 64e6  # bytes that reading a header may take
NAME = "case p017: phase 'portal'"


def nifti(shape: tuple[int, ...], voxels: bytes = b"\0" * 64, version: type = nibabel.Nifti1Header) -> bytes:
    header = version()
    header.set_data_dtype(np.int16)
    header.set_data_shape([min(size, 32767) if version is nibabel.Nifti1Header else size for size in shape])
    header["pixdim"][1:4] = 1
    header["vox_offset"] = 352 if version is nibabel.Nifti1Header else 544
    header["magic"] = header["magic"] if version is not nibabel.Nifti1Header else b"n+1"
    return header.binaryblock + b"\0\0\0\0" + voxels


def forged_length(content: bytes, shape: tuple[int, ...]) -> bytes:
    """Pack it, and let the last four bytes tell the length that the header declares."""
    return gzip.compress(content)[:-4] + struct.pack("<I", (352 + 2 * int(np.prod(shape, dtype=object))) % 2**32)


def nrrd(shape: tuple[int, ...], voxels: bytes = b"\0" * 64, encoding: str = "raw") -> bytes:
    sizes = " ".join(map(str, shape))
    text = f"NRRD0004\ntype: int16\ndimension: 3\nspace: left-posterior-superior\nsizes: {sizes}\n"
    text += "space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\nendian: little\n"
    return f"{text}encoding: {encoding}\n\n".encode() + voxels


def metaimage(shape: tuple[int, ...], voxels: bytes = b"\0" * 64, packed: bool = False) -> bytes:
    text = "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
    text += f"CompressedData = {packed}\n" + (f"CompressedDataSize = {len(voxels)}\n" if packed else "")
    text += f"DimSize = {' '.join(map(str, shape))}\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    return text.encode() + voxels


CUBE = (LONG, LONG, LONG)
NOISE = np.random.default_rng(0).bytes(1_000_000)
HUGE = {
    "NIfTI of 32767 x 32767 x 32767 voxels in 416 bytes": ("a.nii", nifti(CUBE)),
    "NIfTI-2 of 2^40 x 2^40 x 2^40 voxels": ("a2.nii", nifti((2**40,) * 3, version=nibabel.Nifti2Header)),
    "packed NIfTI of that size": ("a.nii.gz", gzip.compress(nifti(CUBE))),
    "packed NIfTI whose last bytes confirm the size": ("b.nii.gz", forged_length(nifti(CUBE, NOISE), (32767,) * 3)),
    "NRRD of 2^15 x 2^15 x 2^15 voxels": ("a.nrrd", nrrd(CUBE)),
    "packed NRRD of that size": ("b.nrrd", nrrd(CUBE, gzip.compress(b"\0" * 64), "gzip")),
    "MetaImage of that size": ("a.mha", metaimage(CUBE)),
    "packed MetaImage of that size": ("b.mha", metaimage(CUBE, zlib.compress(b"\0" * 64), True)),
}


@pytest.fixture
def watched(monkeypatch):
    """Give the names of the functions that workers were asked for, and measure this process."""
    asked: list[str] = []
    ask = native.read_native

    def read(name, *arguments):
        asked.append(name)
        return ask(name, *arguments)

    monkeypatch.setattr(volume_itk, "read_native", read)
    tracemalloc.start()
    yield asked
    tracemalloc.stop()


def peak_of_workers() -> float:
    """Return the most memory that a living worker has had, in bytes."""
    lines = [Path(f"/proc/{worker.process.pid}/status").read_text() for worker in native._idle]
    return max((1024 * int(text.split("VmHWM:")[1].split()[0]) for text in lines), default=0)


@pytest.mark.parametrize("tried", HUGE)
def test_a_huge_size_is_refused_before_anything_is_allocated(tried, tmp_path, watched, say):
    name, content = HUGE[tried]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"^{NAME}: the volume must .*{name}; ") as caught:
        open_volume(tmp_path / name, NAME)
    say("Sizes in headers", tried, caught.value)
    assert "block" not in watched
    assert tracemalloc.get_traced_memory()[1] < MEMORY
    assert peak_of_workers() < 1e9


def test_a_volume_that_fits_its_file_but_not_into_memory(tmp_path, watched, monkeypatch, say):
    monkeypatch.setattr(declared_size, "memory_bytes", lambda: 2.0**34)
    with (tmp_path / "a.nii").open("wb") as file:
        file.write(nifti((4096, 4096, 1024)))
        file.truncate(352 + 2 * 4096 * 4096 * 1024)  # sparse: it takes no room on the disk
    with pytest.raises(ValueError, match=r"must fit into memory.*64 GiB on a machine of 16 GiB") as caught:
        open_volume(tmp_path / "a.nii", NAME)
    say("Sizes in headers", "a file of 32 GiB whose voxels do not fit into memory", caught.value)
    assert tracemalloc.get_traced_memory()[1] < MEMORY


def test_the_length_that_a_packed_file_claims_is_not_taken_on_trust(tmp_path, watched, say):
    """1 MB of random bytes might unpack to 1 GB, and the last four bytes say so; but it does not."""
    shape = (1000, 1000, 480)
    (tmp_path / "a.nii.gz").write_bytes(forged_length(nifti(shape, NOISE), shape))
    with pytest.raises(ValueError, match=r"truncated, 1000352 of 960000352 bytes|EOFError|BadGzipFile") as caught:
        open_volume(tmp_path / "a.nii.gz", NAME)
    say("Sizes in headers", "packed NIfTI that claims 960 times its length", caught.value)
    assert tracemalloc.get_traced_memory()[1] < MEMORY


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_what_follows_the_voxels_is_not_unpacked(ending, tmp_path, watched):
    """A packed file of 8 x 8 x 8 voxels with 100 MB of zeros behind them."""
    shape, count = (8, 8, 8), 512
    voxels = np.arange(count, dtype=np.int16).tobytes() + bytes(100_000_000)
    content = {
        ".nii.gz": lambda bomb: gzip.compress(nifti(shape, bomb), 1),
        ".nrrd": lambda bomb: nrrd(shape, gzip.compress(bomb, 1), "gzip"),
        ".mha": lambda bomb: metaimage(shape, zlib.compress(bomb, 1), True),
    }[ending](voxels)
    file = tmp_path / f"a{ending}"
    file.write_bytes(content)
    del voxels, content
    tracemalloc.reset_peak()
    start = time.monotonic()
    try:
        read = open_volume(file, NAME).read()
        np.testing.assert_array_equal(read.ravel(order="F"), np.arange(count))
    except ValueError as error:
        if str(file) not in str(error):
            raise
    assert tracemalloc.get_traced_memory()[1] < MEMORY
    assert peak_of_workers() < 1e9
    assert time.monotonic() - start < 30


def test_a_mask_that_is_packed_very_well_is_read(tmp_path):
    mask = np.zeros((256, 256, 128), np.uint8)
    mask[100:120, 100:120, 50:60] = 1
    nibabel.save(nibabel.Nifti1Image(mask, np.eye(4)), tmp_path / "a.nii.gz")
    assert (tmp_path / "a.nii.gz").stat().st_size < mask.nbytes / 200
    assert open_volume(tmp_path / "a.nii.gz").read().sum() == mask.sum()


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"Rows": 65535, "Columns": 65535}, "truncated pixels, 160 of 8589672450 bytes"),
        ({"NumberOfFrames": "2147483647"}, "truncated pixels, 160 of 343597383520 bytes"),
    ],
)
def test_a_dicom_file_that_declares_too_much(tags, reason, write_dicom, tmp_path, watched, say):
    write_dicom(tmp_path / "series", **tags)
    (study,), _ = find_studies(tmp_path / "series")
    stacks = stacks_of(study.series[0])
    assert [stack.refused for stack in stacks] == [reason]
    say("DICOM", ", ".join(f"{key} {value}" for key, value in tags.items()), reason)
    assert tracemalloc.get_traced_memory()[1] < MEMORY


def test_a_deflated_dicom_file_that_could_unpack_to_more_than_memory(write_dicom, tmp_path, monkeypatch, say):
    import pydicom

    files = write_dicom(tmp_path / "series")
    dataset = pydicom.dcmread(files[0])
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    dataset.save_as(files[0])
    (study,), notes = find_studies(tmp_path / "series")
    assert (len(study.series[0]), notes) == (6, [])
    monkeypatch.setattr(headers, "memory_bytes", lambda: 4.0 * files[0].stat().st_size * 1000)
    (study,), notes = find_studies(tmp_path / "series")
    assert len(study.series[0]) == 5
    (note,) = notes
    assert note.startswith("deflated DICOM files that might not fit into memory")
    assert files[0].name in note
    say("DICOM", "a deflated file so large that it might unpack to more than the memory", note)
