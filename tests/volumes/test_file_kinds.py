# SPDX-License-Identifier: Apache-2.0
"""Kinds of image files beyond .nii and .nrrd, wrong names, several files of one volume, units of length."""

from __future__ import annotations

import bz2
import gzip
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from scripts.volumes.fingerprint import item_fingerprint
from scripts.volumes.open import files_of, image_files, open_volume

AFFINE = np.array([[-1.0, 0, 0, 9], [0, 1.0, 0, -7], [0, 0, 2.0, 3], [0, 0, 0, 1]])
VOXELS = np.random.default_rng(0).integers(-500, 1500, size=(7, 6, 5)).astype(np.int16)


def nifti(path: Path, kind: type = nib.Nifti1Image, affine: np.ndarray = AFFINE, unit: str | None = "mm") -> Path:
    image = kind(VOXELS.astype(np.float32) if kind is nib.MGHImage else VOXELS, affine)
    if unit is not None and kind is not nib.MGHImage:
        image.header.set_xyzt_units(unit)
    nib.save(image, path)
    return path


def itk_image() -> sitk.Image:
    image = sitk.GetImageFromArray(VOXELS.T)
    image.SetSpacing((1.0, 1.0, 2.0))
    image.SetOrigin((-9.0, 7.0, 3.0))
    image.SetDirection((1, 0, 0, 0, -1, 0, 0, 0, 1))
    return image


def renamed(path: Path, name: str, change: Callable[[bytes], bytes] = bytes) -> Path:
    path.with_name(name).write_bytes(change(path.read_bytes()))
    path.unlink()
    return path.with_name(name)


KINDS: dict[str, Callable[[Path], Path]] = {
    "pair": lambda d: nifti(d / "a.img", nib.Nifti1Pair).with_name("a.hdr"),
    "pair by its image": lambda d: nifti(d / "a.img", nib.Nifti1Pair),
    "packed pair": lambda d: nifti(d / "a.img.gz", nib.Nifti1Pair).with_name("a.hdr.gz"),
    "pair in capitals": lambda d: (
        nifti(d / "a.img", nib.Nifti1Pair).rename(d / "A.IMG"), (d / "a.hdr").rename(d / "A.HDR")
    )[1],
    "mgz": lambda d: nifti(d / "a.mgz", nib.MGHImage),
    "mgh": lambda d: nifti(d / "a.mgh", nib.MGHImage),
    "bzip2": lambda d: renamed(nifti(d / "a.nii"), "a.nii.bz2", bz2.compress),
    "packed .nii": lambda d: renamed(nifti(d / "b.nii.gz"), "a.nii"),
    "plain .nii.gz": lambda d: renamed(nifti(d / "b.nii"), "a.nii.gz"),
    "packed twice": lambda d: renamed(nifti(d / "b.nii.gz"), "a.nii.gz", gzip.compress),
    "bzip2 as .gz": lambda d: renamed(nifti(d / "b.nii"), "a.nii.gz", bz2.compress),
    "NIfTI-2, plain .nii.gz": lambda d: renamed(nifti(d / "b.nii", nib.Nifti2Image), "a.nii.gz"),
    "plain .mgz": lambda d: renamed(nifti(d / "b.mgh", nib.MGHImage), "a.mgz"),
    "nhdr": lambda d: (sitk.WriteImage(itk_image(), str(d / "a.nhdr")), d / "a.nhdr")[1],
    "packed mhd": lambda d: (sitk.WriteImage(itk_image(), str(d / "a.mhd"), True), d / "a.mhd")[1],
    "mha in capitals": lambda d: (
        sitk.WriteImage(itk_image(), str(d / "b.mha")), renamed(d / "b.mha", "A.MHA")
    )[1],
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_voxels_and_place_are_the_same_in_every_kind(kind: str, tmp_path: Path) -> None:
    path = KINDS[kind](tmp_path)
    volume = open_volume(path)
    np.testing.assert_array_equal(volume.read(), VOXELS)
    block = (slice(1, 5), slice(2, 6), slice(3, 4))
    np.testing.assert_array_equal(volume.read(block), VOXELS[block])
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-6)
    told = [remark for remark in volume.remarks if "whatever its name says" in remark]
    assert len(told) == (kind in list(KINDS)[7:13])
    images, others = image_files(tmp_path)
    assert (len(images), others) == (1, [])


def test_a_name_that_says_another_kind_is_told_with_the_kind(tmp_path: Path) -> None:
    sitk.WriteImage(itk_image(), str(tmp_path / "a.nrrd"))
    with pytest.raises(ValueError, match=r"^case p: the volume must be what its name says .*found NRRD"):
        open_volume(renamed(tmp_path / "a.nrrd", "a.nii.gz"), "case p")
    (tmp_path / "b.nii.gz").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(ValueError, match="git lfs pull"):
        open_volume(tmp_path / "b.nii.gz")
    nib.save(nib.AnalyzeImage(VOXELS, np.diag([-1, 1, 2, 1.0])), tmp_path / "c.img")
    with pytest.raises(ValueError, match=r"must say which side is left, found the format Analyze"):
        open_volume(tmp_path / "c.hdr")


META = (
    "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nDimSize = 7 6 5\n"
    "{}ElementType = MET_SHORT\nElementDataFile = {}\n"
)
NRRD = "NRRD0004\ntype: short\ndimension: 3\nsizes: 7 6 5\nendian: little\nencoding: raw\n{}"
LPS = "space: left-posterior-superior\nspace directions: (1,0,0) (0,1,0) (0,0,2)\n"
SPACING = "ElementSpacing = 1 1 2\n"
MANY_FILES = {
    "mhd, one": ("a.mhd", META.format(SPACING, "all.raw")),
    "mhd, list": ("a.mhd", META.format(SPACING, "LIST\ns00.raw\ns01.raw\ns02.raw\ns03.raw\ns04.raw\n")),
    "mhd, list of 2D": ("a.mhd", META.format(SPACING, "LIST 2\r\ns00.raw\r\ns01.raw\r\ns02.raw\r\ns03.raw\r\ns04.raw")),
    "mhd, pattern": ("a.mhd", META.format(SPACING, "s%02d.raw 0 4 1")),
    "mhd, pattern with steps": ("a.mhd", META.format(SPACING, "t%d.raw 1 9 2")),
    "mhd, name with a blank": ("a.mhd", META.format(SPACING, "all of it.raw")),
    "mhd, below": ("a.mhd", META.format(SPACING, "below/all.raw")),
    "nhdr, one": ("a.nhdr", NRRD.format(LPS + "data file: all.raw\n")),
    "nrrd, detached": ("a.nrrd", NRRD.format(LPS + "datafile: ./below/all.raw\n")),
    "nhdr, list": ("a.nhdr", NRRD.format(LPS + "data file: LIST\ns00.raw\ns01.raw\ns02.raw\ns03.raw\ns04.raw\n")),
    "nhdr, pattern": ("a.nhdr", NRRD.format(LPS + "data file: s%02d.raw 0 4 1\n")),
    "nhdr, pattern with steps": ("a.nhdr", NRRD.format(LPS + "data file: t%d.raw 1 9 2 2\n")),
}


@pytest.fixture
def scattered(tmp_path: Path) -> Path:
    """The voxels in one file, in one per slice, and in a folder below."""
    (tmp_path / "below").mkdir()
    for name in ("all.raw", "all of it.raw", "below/all.raw"):
        (tmp_path / name).write_bytes(VOXELS.T.tobytes())
    for index, plane in enumerate(VOXELS.T):
        for name in (f"s{index:02d}.raw", f"t{2 * index + 1}.raw"):
            (tmp_path / name).write_bytes(plane.tobytes())
    return tmp_path


@pytest.mark.parametrize("kind", MANY_FILES)
def test_every_file_of_a_volume_counts(kind: str, scattered: Path) -> None:
    name, text = MANY_FILES[kind]
    header = scattered / name
    header.write_bytes(text.encode())
    np.testing.assert_array_equal(open_volume(header).read(), VOXELS)
    files = files_of(header)
    assert sum(file.stat().st_size for file in files[1:]) == VOXELS.nbytes
    item = {"case": "p", "image": {"pre": str(header)}}
    before = item_fingerprint(item)
    for file in files:
        content = file.read_bytes()
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert item_fingerprint(item) != before, file.name
        file.write_bytes(content)
    assert item_fingerprint(item) == before


def test_a_pattern_that_the_library_counts_otherwise_is_refused(scattered: Path) -> None:
    (scattered / "a.mhd").write_text(META.format(SPACING, "s%02d.raw 4 0 -1"))
    with pytest.raises(ValueError, match=r"must have the files of its voxels, found no s%02d.raw 4 0 -1 in"):
        open_volume(scattered / "a.mhd")


PACKED = zlib.compress(VOXELS.T.tobytes())


@pytest.mark.parametrize("size", [None, 0, -5, len(PACKED) - 50, len(PACKED), len(PACKED) + 50, 10**11])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_packed_metaimage_is_read_whatever_size_its_header_says(size: int | None, order: str, tmp_path: Path) -> None:
    said = "CompressedData = True\n" + ("" if size is None else f"CompressedDataSize = {size}\n")
    head = META.format(said + SPACING, "LOCAL").replace("MSB = False", f"MSB = {order == '>'}")
    content = zlib.compress(VOXELS.T.astype(f"{order}i2").tobytes())
    (tmp_path / "a.mha").write_bytes(head.encode() + content)
    volume = open_volume(tmp_path / "a.mha")
    np.testing.assert_array_equal(volume.read(), VOXELS)
    block = (slice(1, 5), slice(2, 6), slice(3, 4))
    np.testing.assert_array_equal(volume.read(block), VOXELS[block])


DAMAGED = {
    "voxels are missing": (zlib.compress(VOXELS.T.tobytes()[:-60]), "truncated, 360 of 420 bytes"),
    "too many voxels": (zlib.compress(VOXELS.T.tobytes() * 2), "more than the 420 bytes of its voxels"),
    "cut": (PACKED[:-40], "truncated"),
    "noise": (bytes(range(200)), "incorrect header check"),
    "not packed": (VOXELS.T.tobytes(), "incorrect header check"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_packed_metaimage_with_other_content_is_one_line(kind: str, tmp_path: Path) -> None:
    """The library leaves such voxels as they were in memory, or takes them from elsewhere in the file."""
    content, said = DAMAGED[kind]
    head = META.format(f"CompressedData = True\nCompressedDataSize = {len(content)}\n" + SPACING, "LOCAL")
    (tmp_path / "a.mha").write_bytes(head.encode() + content)
    with pytest.raises(ValueError, match=said) as raised:
        open_volume(tmp_path / "a.mha").read()
    assert "\n" not in str(raised.value)


def test_a_truncated_metaimage_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "a.mha").write_bytes(META.format(SPACING, "LOCAL").encode() + VOXELS.T.tobytes()[:-20])
    with pytest.raises(ValueError, match=r"7 x 6 x 5 voxels of 2 bytes declared, more than .*truncated"):
        open_volume(tmp_path / "a.mha")


@pytest.mark.parametrize(
    ("space", "signs"), [("left-posterior-superior", (-1, -1)), ("RAST", (1, 1)), ("left-anterior-superior", (-1, 1))]
)
def test_spaces_of_nrrd_with_time_are_those_without(space: str, signs: tuple[int, int], tmp_path: Path) -> None:
    name = space if space.isupper() else f"{space}-time"
    axes = "space directions: (1,0,0,0) (0,1,0,0) (0,0,2,0) (0,0,0,1)\nspace origin: (9,-7,3,0)\n"
    head = NRRD.replace("dimension: 3\nsizes: 7 6 5", "dimension: 4\nsizes: 7 6 5 1").format(f"space: {name}\n{axes}\n")
    (tmp_path / "a.nrrd").write_bytes(head.encode() + VOXELS.T.tobytes())
    volume = open_volume(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(volume.read(), VOXELS)
    x, y = signs
    np.testing.assert_allclose(volume.affine[:3], [[x, 0, 0, 9 * x], [0, y, 0, -7 * y], [0, 0, 2, 3]])
    assert volume.remarks == ()


@pytest.mark.parametrize("key", ["image", "roi"])
@pytest.mark.parametrize("ending", [".img", ".img.gz"])
def test_both_files_of_a_pair_count(key: str, ending: str, tmp_path: Path) -> None:
    nifti(tmp_path / f"a{ending}", nib.Nifti1Pair)
    header, image = (str(tmp_path / f"a{end}") for end in (ending.replace("img", "hdr"), ending))
    for named in (header, image):
        item = {"case": "p", key: named}
        before = item_fingerprint(item)
        for file in (header, image):
            content = Path(file).read_bytes()
            Path(file).write_bytes(content + b"\0")
            assert item_fingerprint(item) != before, (named, file)
            Path(file).write_bytes(content)


def test_a_missing_file_of_many_is_named(scattered: Path) -> None:
    (scattered / "a.mhd").write_text(MANY_FILES["mhd, list"][1])
    (scattered / "s03.raw").unlink()
    with pytest.raises(ValueError, match=r"^case p: the volume must have the files of its voxels, found no s03.raw in"):
        open_volume(scattered / "a.mhd", "case p")


def test_a_header_that_names_rubbish_is_told_in_printable_letters(tmp_path):
    header = "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_SHORT\nElementDataFile = "
    file = tmp_path / "damaged.mha"
    file.write_bytes(header.encode() + b"\x80\x1b[2J\xff" + b"a" * 150 + b"\n")
    with pytest.raises(ValueError, match=r"found no \\x80\\x1b\[2J\\xffa{150} in") as error:
        open_volume(file, "case p")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 900


@pytest.mark.parametrize(
    ("unit", "factor", "said"),
    [
        ("mm", 1.0, None),
        ("unknown", 1.0, None),
        ("meter", 1e-3, "it is in metres, and was brought to mm"),
        ("micron", 1e3, "it is in micrometres, and was brought to mm"),
        ("meter", 1.0, "its header says metres, which its spacing cannot be; it is taken to be in mm"),
    ],
)
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti1Pair, nib.Nifti2Image])
def test_units_of_nifti(unit, factor, said, kind, tmp_path: Path) -> None:
    affine = AFFINE.copy()
    affine[:3] *= factor
    name = "a.img" if kind is nib.Nifti1Pair else "a.nii.gz"
    volume = open_volume(nifti(tmp_path / name, kind, affine, unit))
    np.testing.assert_allclose(volume.affine, AFFINE, rtol=1e-5)
    np.testing.assert_allclose(volume.spacing, [1, 1, 2], rtol=1e-5)
    assert volume.remarks == ((said,) if said else ())


def test_a_spacing_that_no_patient_has_is_told(tmp_path: Path) -> None:
    affine = np.diag([0.001, 0.001, 0.002, 1.0])
    (remark,) = open_volume(nifti(tmp_path / "a.nii", affine=affine, unit=None)).remarks
    assert remark == "its spacing is below 0.01 or above 100 mm, and the header states no unit; check its header"


@pytest.mark.parametrize(
    ("text", "spacing", "said"),
    [
        (LPS + "space units: \"mm\" \"mm\" \"mm\"\n", 1.0, None),
        (LPS + "space units: \"cm\" \"cm\" \"cm\"\n", 10.0, "it is in cm, and was brought to mm"),
        (LPS + "space units: \"µm\" \"µm\" \"µm\"\n", 1e-3, "it is in µm, and was brought to mm"),
        (LPS + "space units: \"mm\" \"millimeter\" \"mm\"\n", 1.0, None),
        (LPS + "space units: \"pixels\" \"pixels\" \"pixels\"\n", 1.0, "its unit 'pixels' is not known"),
        ("spacings: 1 1 2\nunits: \"cm\" \"cm\" \"cm\"\n", 10.0, "it is in cm, and was brought to mm"),
        ("spacings: 1 1 2\n", 1.0, "its header does not say how it lies in the patient"),
        (LPS.replace("left-posterior-superior", "scanner-xyz"), 1.0, "does not say how it lies"),
    ],
)  # fmt: skip
def test_units_and_space_of_nrrd(text: str, spacing: float, said: str | None, scattered: Path) -> None:
    (scattered / "a.nhdr").write_text(NRRD.format(text + "data file: all.raw\n"), encoding="utf-8")
    volume = open_volume(scattered / "a.nhdr")
    np.testing.assert_allclose(volume.spacing, np.array([1, 1, 2]) * spacing)
    assert bool(volume.remarks) == (said is not None)
    assert said is None or any(said in remark for remark in volume.remarks)


@pytest.mark.parametrize(
    ("text", "spacing", "said"),
    [
        (SPACING + "DistanceUnits = um\n", 1e-3, "it is in um, and was brought to mm"),
        (SPACING + "DistanceUnits = cm\n", 10.0, "it is in cm, and was brought to mm"),
        (SPACING + "DistanceUnits = mm\n", 1.0, None),
        (SPACING + "ElementSize = 1 1 3\n", 1.0, "its ElementSpacing and ElementSize differ"),
        ("ElementSize = 1 1 2\n", 1.0, None),
    ],
)
def test_units_of_metaimage(text: str, spacing: float, said: str | None, scattered: Path) -> None:
    (scattered / "a.mhd").write_text(META.format(text, "all.raw"))
    volume = open_volume(scattered / "a.mhd")
    np.testing.assert_allclose(volume.spacing, np.array([1, 1, 2]) * spacing)
    assert bool(volume.remarks) == (said is not None)
    assert said is None or any(said in remark for remark in volume.remarks)


def test_a_header_without_spacing_or_axes_is_told(scattered: Path) -> None:
    (scattered / "a.mhd").write_text(META.format("", "all.raw"))
    assert open_volume(scattered / "a.mhd").remarks == ("its header has no spacing; it is taken to be 1 mm",)
    image = nib.Nifti1Image(VOXELS, AFFINE)
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    nib.save(image, scattered / "a.nii")
    assert "does not say how it lies in the patient" in open_volume(scattered / "a.nii").remarks[0]


@pytest.mark.parametrize("codes", [(0, 7), (-1, -1), (0, 0)])
def test_codes_that_say_no_place_are_told(codes: tuple[int, int], tmp_path: Path) -> None:
    content = bytearray(nifti(tmp_path / "a.nii").read_bytes())
    content[252:256] = struct.pack("<hh", *codes)
    (tmp_path / "a.nii").write_bytes(content)
    (remark,) = open_volume(tmp_path / "a.nii").remarks
    assert "does not say how it lies in the patient" in remark


@pytest.mark.parametrize("face", [0.0, 5.0])
def test_a_qform_that_leaves_the_way_of_the_slices_open_is_told(face: float, tmp_path: Path, caplog) -> None:
    content = bytearray(nifti(tmp_path / "a.nii").read_bytes())
    content[76:80], content[252:256] = struct.pack("<f", face), struct.pack("<hh", 1, 0)
    (tmp_path / "a.nii").write_bytes(content)
    (remark,) = open_volume(tmp_path / "a.nii").remarks
    assert remark.startswith(f"its pixdim[0] is {face:g}, neither 1 nor -1; 1 is used")
    assert not caplog.records  # the library's own line names no file


def test_voxels_that_would_begin_inside_the_header_are_refused(tmp_path: Path) -> None:
    content = bytearray(nifti(tmp_path / "a.nii").read_bytes())
    content[108:112] = struct.pack("<f", 0.0)
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(ValueError, match=r"must say where its voxels begin, found vox_offset 0, inside the header, in"):
        open_volume(tmp_path / "a.nii")


@pytest.mark.parametrize(("moved", "told"), [(0.0, False), (0.4, False), (5.0, True)])
def test_sform_and_qform_that_disagree_are_told(moved: float, told: bool, tmp_path: Path) -> None:
    image = nib.Nifti1Image(VOXELS, AFFINE)
    image.set_sform(AFFINE, 1)
    other = AFFINE.copy()
    other[0, 3] += moved
    image.set_qform(other, 1)
    nib.save(image, tmp_path / "a.nii")
    volume = open_volume(tmp_path / "a.nii")
    np.testing.assert_allclose(volume.affine, AFFINE)
    assert (volume.remarks == ("its sform and qform place it differently; the sform is used",)) == told
    assert bool(volume.remarks) == told
