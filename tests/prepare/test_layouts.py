# SPDX-License-Identifier: Apache-2.0
"""Layouts of known datasets, on real copies and on small faithful ones."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import yaml
from scripts.cases.read import read_cases
from workbench.prepare.layouts import find_layout
from workbench.prepare.layouts.acdc import CLASSES, PHASES, heart_box
from workbench.prepare.preparing import prepare
from workbench.prepare.settings import Settings

TEST_DATA = Path(os.environ.get("PHASE_FUSION_TEST_DATA", "../shared/data")).resolve()


def real(name: str) -> Path:
    if not (TEST_DATA / name).is_dir():
        pytest.skip(f"{TEST_DATA / name} is not there; set PHASE_FUSION_TEST_DATA")
    return TEST_DATA / name


def save(path: Path, voxels: np.ndarray, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([*spacing, 1.0])), path)


def overlay(folder: Path) -> dict:
    return yaml.safe_load((folder / "data.yaml").read_text(encoding="utf-8"))


def make_acdc_patient(root: Path, number: int, group: str, centre: tuple[int, int] = (20, 30)) -> Path:
    """Write one patient as the official archive does: Info.cfg, a 4D cine and two frames with their masks."""
    folder = root / f"patient{number:03d}"
    rng = np.random.default_rng(number)
    for frame in (1, 12):
        stem = f"{folder.name}_frame{frame:02d}"
        save(folder / f"{stem}.nii.gz", rng.integers(1, 200, (40, 60, 8)).astype(np.int16), (5.0, 5.0, 10.0))
        mask = np.zeros((40, 60, 8), np.uint8)
        mask[centre[0] - 2 : centre[0] + 3, centre[1] - 2 : centre[1] + 3, 2:6] = 3
        save(folder / f"{stem}_gt.nii.gz", mask, (5.0, 5.0, 10.0))
    save(folder / f"{folder.name}_4d.nii.gz", np.zeros((4, 4, 2, 3), np.int16))
    (folder / "Info.cfg").write_text(
        f"ED: 1\nES: 12\nGroup: {group}\nHeight: 184.0\nNbFrame: 30\nWeight: 95.0\n", encoding="utf-8"
    )
    return folder


class TestAcdc:
    def test_official_layout_with_its_test_patients(self, tmp_path, capsys):
        for number in range(20):
            make_acdc_patient(tmp_path / "ACDC/training", number + 1, CLASSES[number // 4])
        for number in range(5):
            make_acdc_patient(tmp_path / "ACDC/testing", number + 101, CLASSES[number])
        prepare(Settings(tmp_path / "ACDC", "acdc", tmp_path / "out"))
        cases = read_cases(tmp_path / "out", PHASES, CLASSES, ["height", "weight"])

        assert [len(split) for split in (cases.training, cases.validation, cases.test)] == [15, 5, 5]
        assert cases.class_counts == [3, 3, 3, 3, 3]
        assert {item["case"] for item in cases.test} == {f"patient{n}" for n in range(101, 106)}
        item = cases.test[0]
        assert item["image"]["es"].endswith("ACDC/testing/patient101/patient101_frame12.nii.gz")
        assert {phase: Path(mask).name for phase, mask in item["roi"].items()} == {
            "ed": "patient101_frame01_gt.nii.gz", "es": "patient101_frame12_gt.nii.gz"
        }  # fmt: skip
        assert cases.structures == ["right ventricle", "myocardium", "left ventricle"]
        printed = capsys.readouterr().out
        assert "masks: 25 of 25 cases have them: ed 25, es 25\n" in printed
        assert (
            "structures, by the value of the masks: 1 right ventricle (0 cases), 2 myocardium (0 cases), 3 left "
            "ventricle (25 cases)" in printed
        )
        assert "warning: structure 'myocardium' (value 2) is in no mask of a training case" in printed
        assert item["clinical"] == {"height": 184.0, "weight": 95.0}

    def test_the_box_is_centred_on_the_heart_and_tells_nothing_of_its_size(self, tmp_path):
        folder = make_acdc_patient(tmp_path, 1, "NOR", centre=(12, 40))
        image, mask = (str(folder / f"patient001_frame01{part}.nii.gz") for part in ("", "_gt"))
        assert heart_box("patient001", image, mask) == [[-20.0, 120.0, -5.0], [140.0, 280.0, 75.0]]
        assert heart_box("patient001", image, None) == [[17.5, 67.5, -5.0], [177.5, 227.5, 75.0]]

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda folder: (folder / "Info.cfg").unlink(), r"case patient003: .*Info.cfg does not exist"),
            (
                lambda folder: (folder / "patient003_frame12.nii.gz").unlink(),
                r"case patient003: phase 'es' must be the file .*_frame12.nii.gz, which does not exist",
            ),
            (
                lambda folder: (folder / "Info.cfg").write_text("ED: 1\nES: 12\nGroup: DMC\n"),
                r"case patient003: group 'DMC' is not among .*\(nearest: 'DCM'\)",
            ),
            (
                lambda folder: (folder / "Info.cfg").write_text("ED: one\nGroup: DCM\n"),
                r"case patient003: .* a line 'ED: frame number', found 'one'",
            ),
            (
                lambda folder: save(folder / "patient003_frame01_gt.nii.gz", np.zeros((40, 60, 8), np.uint8)),
                r"case patient003: the region mask must have a voxel above 0",
            ),
        ],
    )
    def test_a_broken_patient_is_named_and_nothing_is_written(self, spoil, message, tmp_path):
        for number in range(1, 5):
            make_acdc_patient(tmp_path / "training", number, "DCM")
        spoil(tmp_path / "training/patient003")
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            prepare(Settings(tmp_path / "training", "acdc", tmp_path / "out"))
        assert not (tmp_path / "out").exists()

    @pytest.mark.slow
    def test_the_copy_with_named_frames(self, tmp_path):
        prepare(Settings(real("acdc_ed_es"), "acdc", tmp_path / "first"))
        cases = read_cases(tmp_path / "first", PHASES, CLASSES)
        assert cases.class_counts == [12] * 5
        for split in (cases.validation, cases.test):
            assert [sum(item["label"] == index for item in split) for index in range(5)] == [4] * 5
        assert cases.structures == ["right ventricle", "myocardium", "left ventricle"]
        for item in cases.training:
            assert list(item["roi"]) == ["ed", "es"]
            width = np.subtract(*item["box"][::-1])
            assert width[:2] == pytest.approx([160.0, 160.0])
        text = (tmp_path / "first/dataset.json").read_text()
        assert "EF" not in text  # none of the features that come from expert masks
        settings = overlay(tmp_path / "first")
        assert settings["region"]["_target_"].endswith("BoxRegiond")
        assert settings["spacing"] == [1.5, 1.5, 10.0]

        prepare(Settings(real("acdc_ed_es"), "acdc", tmp_path / "second", quality=False))
        assert (tmp_path / "second/dataset.json").read_text() == text
        prepare(Settings(real("acdc_ed_es"), "acdc", tmp_path / "third", seed=1, quality=False))
        assert (tmp_path / "third/dataset.json").read_text() != text


class TestMedMnist:
    @pytest.fixture
    def arrays(self) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(0)
        content = {}
        for part, number in (("train", 6), ("val", 4), ("test", 2)):
            content[f"{part}_images"] = rng.integers(0, 2, (number, 28, 28, 28), dtype=np.uint8) * 255
            content[f"{part}_labels"] = np.arange(number, dtype=np.uint8)[:, None] % 2
        return content

    def test_the_official_split_and_the_voxels_as_they_are(self, arrays, tmp_path):
        np.savez(tmp_path / "adrenalmnist3d.npz", **arrays)
        prepare(Settings(tmp_path / "adrenalmnist3d.npz", "medmnist3d", tmp_path / "out"))
        cases = read_cases(tmp_path / "out", ["mask"], ["normal", "hyperplasia"])
        assert [len(split) for split in (cases.training, cases.validation, cases.test)] == [6, 4, 2]
        for number, item in enumerate(cases.validation):
            image = nibabel.load(item["image"]["mask"])
            assert item["label"] == arrays["val_labels"][number, 0]
            assert image.get_data_dtype() == np.uint8
            np.testing.assert_array_equal(image.dataobj, arrays["val_images"][number])
            np.testing.assert_array_equal(image.affine, np.eye(4))
        assert '"images/val_0001.nii.gz"' in (tmp_path / "out/dataset.json").read_text()
        assert overlay(tmp_path / "out")["grid_size"] == [28, 28, 28]

    def test_the_real_file(self):
        from workbench.prepare.layouts.medmnist3d import _arrays

        file = real("medmnist3d") / "adrenalmnist3d.npz"
        counts = {part: np.bincount(_arrays(file, part, 2)[1]).tolist() for part in ("train", "val", "test")}
        assert counts == {"train": [929, 259], "val": [76, 22], "test": [229, 69]}

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda content: content.pop("val_labels"), r"must be a MedMNIST npz file with val_images"),
            (
                lambda content: content.update(train_images=content["train_images"][..., 0]),
                r"train_images must have the shape \[cases, depth, height, width\].*take the 3D set",
            ),
            (lambda content: content["test_labels"].fill(7), r"test_labels must be one number from 0 to 1"),
        ],
    )
    def test_a_wrong_file(self, spoil, message, arrays, tmp_path):
        spoil(arrays)
        np.savez(tmp_path / "adrenalmnist3d.npz", **arrays)
        with pytest.raises(ValueError, match=message):
            prepare(Settings(tmp_path / "adrenalmnist3d.npz", "medmnist3d", tmp_path / "out"))
        assert not (tmp_path / "out/dataset.json").exists()

    def test_a_truncated_file_and_an_unknown_name(self, tmp_path):
        (tmp_path / "adrenalmnist3d.npz").write_bytes(b"PK\x03\x04 and no more")
        with pytest.raises(ValueError, match=r"must be a MedMNIST npz file"):
            prepare(Settings(tmp_path / "adrenalmnist3d.npz", "medmnist3d", tmp_path / "out"))
        with pytest.raises(FileNotFoundError, match=r"no name of a MedMNIST3D set .*'nodulemnist3d'"):
            prepare(Settings("nodulmnist3d", "medmnist3d", tmp_path / "out"))

    def test_a_name_is_downloaded_by_the_package(self, arrays, tmp_path, monkeypatch):
        def download(split: str, download: bool, root: str, size: int | None) -> None:
            np.savez(Path(root) / "vesselmnist3d.npz", **arrays)

        info = {"vesselmnist3d": {"python_class": "VesselMNIST3D"}}
        monkeypatch.setitem(sys.modules, "medmnist", SimpleNamespace(INFO=info, VesselMNIST3D=download))
        prepare(Settings("vesselmnist3d", "medmnist3d", tmp_path / "out"))
        assert read_cases(tmp_path / "out", ["mask"], ["vessel", "aneurysm"]).class_counts == [3, 3]

    def test_without_the_package_the_message_says_what_to_do(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "medmnist", None)
        with pytest.raises(ValueError, match=r"needs the packages medmnist .*pip install medmnist.*or download"):
            prepare(Settings("adrenalmnist3d", "medmnist3d", tmp_path / "out"))


def test_an_unknown_layout_names_the_nearest():
    with pytest.raises(ValueError, match=r"layout 'folder' is not among \[acdc, bids, .*\(nearest: 'folders'\)"):
        find_layout("folder")
