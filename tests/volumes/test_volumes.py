# SPDX-License-Identifier: Apache-2.0
"""Lazy volumes: geometry, blocks, and one clear line for every bad file."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from scripts.volumes import volume as volume_base
from scripts.volumes.open import files_of, open_volume
from scripts.volumes.volume import Frame

DATA = Path(os.environ.get("PHASE_FUSION_TEST_DATA", "../shared/data"))
TORTURE = DATA / "dicom_nifti_torture" / "nibabel"
BLOCK = (slice(2, 5), slice(0, 7), slice(3, 4))


def oblique_affine() -> np.ndarray:
    cos, sin = np.cos(0.3), np.sin(0.3)
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, :3] = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) * [-0.7, 0.8, 2.5]
    affine[:3, 3] = [11.0, -7.0, 3.5]
    return affine


@pytest.fixture
def voxels() -> np.ndarray:
    return np.random.default_rng(0).integers(-900, 1200, size=(9, 8, 7)).astype(np.int16)


def save_nifti(path: Path, voxels: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nib.save(nib.Nifti1Image(voxels, oblique_affine() if affine is None else affine), path)
    return path


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha", ".mhd"])
def test_all_types_have_the_same_grid_and_voxels(tmp_path: Path, voxels: np.ndarray, ending: str) -> None:
    nifti = save_nifti(tmp_path / "a.nii.gz", voxels)
    path = tmp_path / f"volume{ending}"
    sitk.WriteImage(sitk.ReadImage(str(nifti)), str(path))
    volume = open_volume(path)
    np.testing.assert_allclose(volume.affine, oblique_affine(), atol=1e-5)
    np.testing.assert_array_equal(volume.read(), voxels)
    np.testing.assert_array_equal(volume.read(BLOCK), voxels[BLOCK])
    assert volume.read(BLOCK).dtype == np.float32
    assert volume.statistics().mean == pytest.approx(voxels.mean())
    assert volume.statistics().std == pytest.approx(voxels.std())


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".gipl", "4D"])
def test_blocks_in_order_are_the_volume_and_of_bounded_size(
    tmp_path: Path, voxels: np.ndarray, ending: str, packed: bool, monkeypatch
) -> None:
    monkeypatch.setattr(volume_base, "BLOCK", 150)
    path: Path | Frame = tmp_path / f"volume{ending}"
    if ending == "4D":
        file = save_nifti(tmp_path / ("a.nii.gz" if packed else "a.nii"), np.stack([voxels + 1, voxels], 3))
        path = Frame(file, 1)
    else:
        sitk.WriteImage(sitk.ReadImage(str(save_nifti(tmp_path / "a.nii", voxels))), str(path), packed)
    blocks = list(open_volume(path).blocks())
    assert [block.shape[2] for block in blocks] == [2, 2, 2, 1]
    np.testing.assert_array_equal(np.concatenate(blocks, axis=2), voxels)
    np.testing.assert_array_equal(open_volume(path).read(), voxels)


@pytest.mark.parametrize("kept", [0.5, 0.9])
@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_a_packed_file_that_is_cut_is_told_by_its_blocks_too(
    tmp_path: Path, voxels: np.ndarray, ending: str, kept: float, monkeypatch
) -> None:
    monkeypatch.setattr(volume_base, "BLOCK", 150)
    path = tmp_path / f"volume{ending}"
    sitk.WriteImage(sitk.GetImageFromArray(voxels.T), str(path), True)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"must be readable") as caught:
        list(open_volume(path, "case a: phase 'pre'").blocks())
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_scaled_voxels_are_scaled_in_a_block_too(tmp_path: Path, voxels: np.ndarray) -> None:
    image = nib.Nifti1Image(voxels, oblique_affine())
    image.header.set_slope_inter(0.5, -1000.0)
    nib.save(image, tmp_path / "a.nii.gz")
    expected = nib.load(tmp_path / "a.nii.gz").get_fdata(dtype=np.float32)
    np.testing.assert_allclose(open_volume(tmp_path / "a.nii.gz").read(BLOCK), expected[BLOCK])


def test_a_header_without_sform_and_qform_is_read_as_nibabel_does(tmp_path: Path, voxels: np.ndarray) -> None:
    image = nib.Nifti1Image(voxels, None)
    image.header.set_zooms((0.7, 0.8, 2.5))
    image.header["sform_code"] = image.header["qform_code"] = 0
    nib.save(image, tmp_path / "a.nii")
    np.testing.assert_array_equal(open_volume(tmp_path / "a.nii").affine, nib.load(tmp_path / "a.nii").affine)


def test_axes_of_length_one_are_dropped(tmp_path: Path, voxels: np.ndarray) -> None:
    volume = open_volume(save_nifti(tmp_path / "a.nii.gz", voxels[..., None, None]))
    assert volume.shape == voxels.shape
    np.testing.assert_array_equal(volume.read(BLOCK), voxels[BLOCK])
    image = sitk.JoinSeries([sitk.GetImageFromArray(voxels.T)])
    sitk.WriteImage(image, str(tmp_path / "b.mha"))
    volume = open_volume(tmp_path / "b.mha")
    assert volume.shape == voxels.shape
    np.testing.assert_array_equal(volume.read(BLOCK), voxels[BLOCK])


def test_a_gzip_file_of_several_members_is_not_taken_for_truncated(tmp_path: Path, voxels: np.ndarray) -> None:
    import gzip

    save_nifti(tmp_path / "a.nii", voxels)
    content = (tmp_path / "a.nii").read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(content[:500]) + gzip.compress(content[500:]))
    np.testing.assert_array_equal(open_volume(tmp_path / "b.nii.gz").read(BLOCK), voxels[BLOCK])


def message_of(path: Path, kind: type[Exception] = ValueError) -> str:
    """Return the message of opening and reading a bad file, which must be one line that names it."""
    name = "case p017: phase 'portal'"
    with pytest.raises(kind) as caught:
        open_volume(path, name).statistics()
    text = str(caught.value)
    assert text.startswith(name)
    assert str(path) in text
    assert "\n" not in text
    assert "; " in text.rsplit(str(path), 1)[1], "the message must say what to do"

    return text


def test_missing_file(tmp_path: Path, say) -> None:
    text = message_of(tmp_path / "none.nii.gz", FileNotFoundError)
    assert "must exist" in text
    say("Images", "a file that does not exist", text)


def test_unsupported_ending_names_the_nearest(tmp_path: Path, say) -> None:
    (tmp_path / "a.nrd").write_bytes(b"x")
    text = message_of(tmp_path / "a.nrd")
    assert "(nearest: '.nrrd')" in text
    say("Images", "a file of an unknown kind", text)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha", ".mhd"])
@pytest.mark.parametrize("content", [b"", b"no volume at all" * 50])
def test_unreadable_file(tmp_path: Path, ending: str, content: bytes, say) -> None:
    (tmp_path / f"a{ending}").write_bytes(content)
    text = message_of(tmp_path / f"a{ending}")
    assert "must be readable" in text
    say("Images", "text in an image file" if content else "an empty file", text)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".mha", ".nrrd"])
@pytest.mark.parametrize("kept", [0.5, 0.97])
def test_truncated_file(tmp_path: Path, voxels: np.ndarray, ending: str, kept: float, say) -> None:
    nifti = save_nifti(tmp_path / "whole.nii.gz", np.tile(voxels, (4, 4, 4)))
    path = tmp_path / f"a{ending}"
    sitk.WriteImage(sitk.ReadImage(str(nifti)), str(path))
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    text = message_of(path)
    assert "must be readable" in text
    say("Images", "a file that ends too early", text)


def test_a_truncated_gzip_file_is_refused_before_its_intact_part_is_read(tmp_path: Path, voxels: np.ndarray) -> None:
    path = save_nifti(tmp_path / "a.nii.gz", np.tile(voxels, (4, 4, 4)))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match="EOFError"):
        open_volume(path)


@pytest.mark.parametrize("shape", [(6, 5, 4, 3), (6, 5)])
def test_not_3d(tmp_path: Path, shape: tuple[int, ...], say) -> None:
    path = save_nifti(tmp_path / "a.nii.gz", np.ones(shape, dtype=np.int16))
    text = message_of(path)
    assert f"must be 3D, found shape {shape}" in text
    say("Images", f"{len(shape)} axes", text)


def test_several_values_per_voxel(tmp_path: Path, voxels: np.ndarray, say) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.stack([voxels] * 3, axis=-1), isVector=True), str(tmp_path / "a.mha"))
    text = message_of(tmp_path / "a.mha")
    assert "must be 3D" in text
    say("Images", "several values per voxel", text)


@pytest.mark.parametrize("bad", [0.0, -2.0, np.nan])
def test_spacing_of_a_nifti_file(tmp_path: Path, voxels: np.ndarray, bad: float) -> None:
    path = save_nifti(tmp_path / "a.nii", voxels)
    with open(path, "r+b") as file:
        file.seek(76 + 4 * 3)  # pixdim[3]
        file.write(np.float32(bad).tobytes())
    assert "must have spacings above 0 mm" in message_of(path)


@pytest.mark.parametrize("bad", ["0", "-2.5"])
def test_spacing_of_a_metaimage_file(tmp_path: Path, voxels: np.ndarray, bad: str) -> None:
    image = sitk.GetImageFromArray(voxels.T)
    image.SetSpacing((1.0, 1.0, 7.75))
    sitk.WriteImage(image, str(tmp_path / "a.mhd"))
    text = (tmp_path / "a.mhd").read_text().replace("7.75", bad)
    (tmp_path / "a.mhd").write_text(text)
    message_of(tmp_path / "a.mhd")


def test_singular_affine(tmp_path: Path, voxels: np.ndarray, say) -> None:
    affine = np.eye(4)
    affine[:3, 2] = affine[:3, 1]
    image = nib.Nifti1Image(voxels, np.eye(4))
    image.set_sform(affine, code=1)
    nib.save(image, tmp_path / "a.nii")
    text = message_of(tmp_path / "a.nii")
    assert "independent axes" in text
    say("Images", "axes in one plane", text)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_voxels_that_are_not_finite(tmp_path: Path, voxels: np.ndarray, bad: float) -> None:
    values = voxels.astype(np.float32)
    values[8, 7, 6] = bad
    path = save_nifti(tmp_path / "a.nii.gz", values)
    assert "1 NaN or infinite voxels in [0:9, 0:8, 0:7]" in message_of(path)
    assert np.isfinite(open_volume(path).read(BLOCK)).all()  # elsewhere


def test_constant_volume(tmp_path: Path) -> None:
    path = save_nifti(tmp_path / "a.nii.gz", np.full((4, 4, 4), 7, dtype=np.int16))
    assert "found 7 everywhere" in message_of(path)
    assert (open_volume(path).read() == 7).all()  # a mask may be constant


def test_the_voxel_file_of_a_header_is_found(tmp_path: Path, voxels: np.ndarray) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(voxels.T), str(tmp_path / "a.mhd"))
    assert files_of(tmp_path / "a.mhd") == [tmp_path / "a.mhd", tmp_path / "a.raw"]
    assert files_of(save_nifti(tmp_path / "a.nii", voxels)) == [tmp_path / "a.nii"]
    sitk.WriteImage(sitk.GetImageFromArray(voxels.T), str(tmp_path / "a.nrrd"))
    assert files_of(tmp_path / "a.nrrd") == [tmp_path / "a.nrrd"]


@pytest.mark.skipif(not TORTURE.is_dir(), reason=f"no real files at {TORTURE}; set PHASE_FUSION_TEST_DATA")
class TestRealNifti:
    @pytest.mark.parametrize("name", ["anatomical.nii", "reoriented_anat_moved.nii"])  # both big-endian
    def test_byte_order(self, name: str) -> None:
        image = nib.load(TORTURE / name)
        volume = open_volume(TORTURE / name)
        np.testing.assert_allclose(volume.read(BLOCK), image.get_fdata()[BLOCK], rtol=1e-6)
        np.testing.assert_allclose(volume.affine, image.affine)

    @pytest.mark.parametrize("name", ["example4d.nii.gz", "example_nifti2.nii.gz", "functional.nii"])
    def test_4d(self, name: str) -> None:
        assert "must be 3D" in message_of(TORTURE / name)

    def test_nifti2(self, tmp_path: Path) -> None:
        image = nib.load(TORTURE / "example_nifti2.nii.gz").slicer[..., 0]
        assert isinstance(image, nib.Nifti2Image)
        nib.save(image, tmp_path / "a.nii.gz")
        volume = open_volume(tmp_path / "a.nii.gz")
        np.testing.assert_allclose(volume.read(BLOCK), image.get_fdata()[BLOCK])

    def test_voxels_that_are_not_finite(self) -> None:
        assert "NaN" in message_of(TORTURE / "resampled_anat_moved.nii")
