# SPDX-License-Identifier: Apache-2.0
"""From whole scans to outlines, and from images alone to a class: trained, evaluated and used by the real command."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import zipfile
from contextlib import redirect_stdout
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
import yaml
from highdicom.seg import segread
from pydicom.uid import generate_uid
from scripts.files.errors import error_chain
from scripts.networks.exported import EXPORTED
from workbench.package.contents import read_file
from workbench.package.packing import package
from workbench.predict import command as predict

from tests.predict.test_predict import RULES, assert_valid, write_series
from tests.predict.test_segmentation_object import on_voxels
from tests.report.page import Page

FILES = ["configs/train.yaml", "configs/segment.yaml"]
TINY = {
    "spacing": [4.0, 4.0, 8.0],
    "grid_size": [16, 16, 8],
    "max_epochs": 1,
    "val_interval": 1,
    "patches": 1,
    "width": 8,
}


@pytest.fixture(scope="module")
def outlining(bundle, quick, tmp_path_factory) -> Path:
    """A results folder of a network that outlines, trained for one epoch and then moved."""
    folder = tmp_path_factory.mktemp("outlining") / "first"
    with redirect_stdout(io.StringIO()) as said:
        bundle("segmenting", FILES, output_dir=str(folder), **(quick | TINY))
    folder.with_name("said.txt").write_text(said.getvalue())
    return Path(shutil.move(folder, folder.with_name("moved")))


def test_every_test_case_is_outlined_on_the_voxels_of_its_reference_phase(outlining, small_phantom):
    document = json.loads((small_phantom / "dataset.json").read_text())
    rows = list(csv.DictReader((outlining / "outlines.csv").open()))
    assert [row["case"] for row in rows] == [entry["case"] for entry in document["test"]]
    for entry, row in zip(document["test"], rows, strict=True):
        outline = nibabel.load(outlining / "outlines" / f"{entry['case']}.nii.gz")
        reference = nibabel.load(small_phantom / entry["image"]["portal"])
        assert outline.shape == reference.shape
        np.testing.assert_allclose(outline.affine, reference.affine, atol=1e-5)
        voxels = np.asarray(outline.dataobj)
        assert voxels.dtype == np.uint8
        truth = np.asarray(nibabel.load(small_phantom / entry["roi"]).dataobj) > 0  # on the voxels of portal
        expected = 2 * (truth & (voxels > 0)).sum() / max(1, truth.sum() + (voxels > 0).sum())
        assert float(row["dice"]) == pytest.approx(expected, abs=1e-3)
    figures = json.loads((outlining / "metrics.json").read_text())
    assert figures["outlines"][0]["dice"] == pytest.approx(np.mean([float(row["dice"]) for row in rows]))
    assert figures["lesions"]["n_lesions"] == len(rows)
    described = json.loads((outlining / "configs" / "metadata.json").read_text())
    assert described["network_data_format"]["outputs"]["pred"]["channel_def"] == {"0": "background", "1": "lesion"}
    assert described["description"].startswith("model that outlines lesion of 3 phases")
    assert described["eval_metrics"]["test_dice"] == figures["outlines"][-1]["dice"]
    pictures = {"outlines.png", "dice.png", "froc.png", "learning_curves.png", "first_batch.png"}
    assert pictures <= {path.name for path in outlining.iterdir()}
    page = Page((outlining / "report.html").read_text(encoding="utf-8"))
    assert len(page.all("img")) == len(pictures)
    assert f"Dice of lesion {figures['outlines'][0]['dice']:.3f} (95% interval" in page.all("header")[0].text
    header, lesion = page.table("Overlap with the drawn outlines")
    assert (header[:3], lesion[0]) == (["structure", "patients", "Dice"], "lesion")
    assert page.table("Lesions")[1] == ["lesions", str(len(rows))]
    assert "run segmenting --config_file configs/train.yaml" in page.all("pre")[0].text


def test_where_nothing_is_classified_no_class_is_the_positive_one(outlining):
    assert "positive class" not in outlining.with_name("said.txt").read_text()
    for name in ("train", "inference", "evaluate"):
        config = yaml.safe_load((outlining / "configs" / f"{name}.yaml").read_text())
        assert (config.get("classes", []), config.get("positive")) == ([], None)
    metadata = json.loads((outlining / "configs" / "metadata.json").read_text())
    assert not metadata["model_configuration"].get("classes")
    assert not metadata["model_configuration"].get("positive")


def test_the_moved_folder_evaluates_and_outlines_images_alone(outlining, bundle, small_phantom, tmp_path):
    bundle(
        "evaluating", [str(outlining / "configs" / name) for name in ("train.yaml", "evaluate.yaml")],
        bundle_root=str(outlining), output_dir=str(tmp_path / "again"),
    )  # fmt: skip
    assert (tmp_path / "again" / "outlines.csv").read_bytes() == (outlining / "outlines.csv").read_bytes()
    case = json.loads((small_phantom / "dataset.json").read_text())["test"][0]
    (tmp_path / "new" / case["case"]).mkdir(parents=True)
    for phase, path in case["image"].items():
        shutil.copy(small_phantom / path, tmp_path / "new" / case["case"] / f"{phase}.nii.gz")
    bundle(
        "inferring", [str(outlining / "configs" / "inference.yaml")], bundle_root=str(outlining),
        dataset_dir=str(tmp_path / "new"), output_dir=str(tmp_path / "out"),
    )  # fmt: skip
    names = sorted(path.name for path in (tmp_path / "out").rglob("*.*") if path.name != ".run")
    assert names == [f"{case['case']}.nii.gz"]
    found, before = (
        np.asarray(nibabel.load(place / "outlines" / names[0]).dataobj) for place in (tmp_path / "out", outlining)
    )
    assert (found == before).all()


def test_a_dicom_study_becomes_label_maps_and_dicom_segmentations(outlining, small_phantom, tmp_path, capsys):
    case = json.loads((small_phantom / "dataset.json").read_text())["test"][0]["case"]
    write_series(small_phantom / case / "portal.nii.gz", tmp_path / "in", "portal", generate_uid(), 1, "P1")
    (tmp_path / "rules.yaml").write_text(RULES)
    arguments = [f"--run={outlining}", f"--input={tmp_path / 'in'}", f"--output={tmp_path / 'out'}"]
    predict.main([*arguments, f"--rules={tmp_path / 'rules.yaml'}", "--trust"])
    (outline,) = (tmp_path / "out" / "outlines").glob("*.nii.gz")
    image = nibabel.load(outline)
    labels = np.asarray(image.dataobj)
    assert labels.any()
    size = abs(np.linalg.det(image.affine[:3, :3])) * (labels > 0).sum() / 1000
    assert f"outlined on portal: lesion {size:.3g} ml\n" in capsys.readouterr().out
    segmentation = segread(outline.with_name(outline.name.replace(".nii.gz", ".dcm")))
    volume = segmentation.get_volume(combine_segments=True, allow_missing_positions=True)
    found = np.zeros_like(labels)
    on_voxels(volume.array, volume.affine, image.affine, found)
    np.testing.assert_array_equal(found, labels)
    with pytest.raises(ValueError, match="--point is read by models that classify, found one that outlines"):
        predict.main([*arguments, "--point", "0", "0", "0", "--trust"])
    assert_valid(outline.with_name(outline.name.replace(".nii.gz", ".dcm")), "Segmentation")


@pytest.mark.slow
def test_outlines_in_bf16_have_the_dice_of_fp32(bundle, quick, tmp_path):
    finer = {"spacing": [2.0, 2.0, 4.0], "grid_size": [32, 32, 16], "width": 8, "max_epochs": 24, "val_interval": 8}
    bundle("segmenting", FILES, output_dir=str(tmp_path / "fp32"), **(quick | finer))
    files = [str(tmp_path / "fp32" / "configs" / name) for name in ("train.yaml", "evaluate.yaml")]
    more = {"test#inferer#precision": "bf16"}
    bundle("evaluating", files, bundle_root=str(tmp_path / "fp32"), output_dir=str(tmp_path / "bf16"), **more)
    dice = [
        [float(row["dice"]) for row in csv.DictReader((tmp_path / name / "outlines.csv").open())]
        for name in ("fp32", "bf16")
    ]
    assert np.mean(dice[0]) > 0.15
    assert dice[0] != dice[1]  # it was another arithmetic
    assert np.mean(dice[1]) == pytest.approx(np.mean(dice[0]), abs=0.002)


@pytest.mark.slow
def test_exported_files_outline_the_same(outlining, bundle, small_phantom, tmp_path):
    """Compared with the network on patches with each phase missing (NaN); here on a whole scan without a phase."""
    folder = tmp_path / "exported"
    shutil.copytree(outlining, folder)
    bundle("exporting", [str(folder / "configs" / "inference.yaml"), "configs/export.yaml"], bundle_root=str(folder),
           rounds=1)  # fmt: skip
    rows = {row["file"]: row for row in csv.DictReader((folder / "exports.csv").open())}
    assert list(rows) == ["model.pt", "model.ts", "model.onnx"]
    assert all(float(row["largest_difference"]) <= 1e-4 and float(row["ms_per_case"]) > 0 for row in rows.values())
    case = json.loads((small_phantom / "dataset.json").read_text())["test"][0]["case"]
    (tmp_path / "new" / case).mkdir(parents=True)
    for phase in ("arterial", "portal"):
        shutil.copy(small_phantom / case / f"{phase}.nii.gz", tmp_path / "new" / case)
    found = {}
    for runtime in ("pytorch", "torchscript", "onnx"):
        bundle("inferring", [str(folder / "configs" / "inference.yaml")], bundle_root=str(folder), runtime=runtime,
               dataset_dir=str(tmp_path / "new"), output_dir=str(tmp_path / runtime))  # fmt: skip
        found[runtime] = np.asarray(nibabel.load(tmp_path / runtime / "outlines" / f"{case}.nii.gz").dataobj)
    assert found["pytorch"].any()
    assert (found["torchscript"] != found["pytorch"]).mean() < 1e-5
    assert (found["onnx"] != found["pytorch"]).mean() < 1e-5


def test_its_package_describes_outlines_and_shows_none(outlining, tmp_path):
    shutil.copytree(outlining, tmp_path / "copy", symlinks=True)
    (tmp_path / "copy" / "models" / "outline.pt").write_bytes(b"of an outlined classifier")
    file = package(tmp_path / "copy", tmp_path)
    card = read_file(file, "docs/README.md").decode()
    assert "- Structures: lesion; one outline per case" in card
    assert "Logits [B, 2, D, H, W] for background, lesion;" in card
    assert "| lesion | 8 |" in card
    assert read_file(file, "models/outline.pt") == b"of an outlined classifier"
    with zipfile.ZipFile(file) as archive:
        assert not [name for name in archive.namelist() if "outlines" in name and "scripts" not in name]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"structures": ["a", "a"]}, r"structures must be .*each once"),
        ({"decoder": "unnet"}, r"decoder must be .*unet"),
    ],
)
def test_a_wrong_setting_is_one_line_and_leaves_nothing(bundle, quick, tmp_path, more, words):
    with pytest.raises(Exception) as caught:  # noqa: PT011
        bundle("segmenting", FILES, output_dir=str(tmp_path / "out"), **(quick | TINY | more))
    assert re.search(words, " ".join(map(str, error_chain(caught.value))))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_classifier_looks_where_a_network_outlines_and_needs_images_alone(bundle, quick, small_phantom, tmp_path):
    folder = tmp_path / "outlined"
    tiny = {f"outline_{key}": value for key, value in TINY.items()}
    files = ["configs/train.yaml", "configs/regions/outlined.yaml"]
    bundle("training", files, output_dir=str(folder), where_nothing="whole", **quick, **tiny)
    document = json.loads((small_phantom / "dataset.json").read_text())
    origin = json.loads((folder / "outlines" / "origin.json").read_text())
    assert set(origin) == {entry["case"] for entry in document["training"]}
    for case, entry in origin.items():
        data = json.loads((folder / "outliner" / "data" / entry["fold"] / "dataset.json").read_text())
        assert case not in {one["case"] for one in data["training"] + data["validation"]}
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    (section,) = [one for one in page.all("section") if one.attributes["aria-labelledby"] == "outlined"]
    assert f"{len(origin)} cases that the training learned from" in section.text
    assert [image.attributes["alt"].split(",")[0] for image in section.all("img")] == ["From the scan to the class"]
    assert page.table("Overlap with the drawn outlines")[1][0] == "lesion"
    new = tmp_path / "new"
    for entry in document["test"]:
        (new / entry["case"]).mkdir(parents=True)
        for phase, path in entry["image"].items():
            shutil.copy(small_phantom / path, new / entry["case"] / f"{phase}.nii.gz")
    moved = shutil.move(folder, tmp_path / "moved")
    bundle("inferring", [str(moved / "configs" / "inference.yaml")], bundle_root=str(moved), dataset_dir=str(new),
           output_dir=str(tmp_path / "out"))  # fmt: skip
    before, after = (
        {row["case"]: float(row["p_high"]) for row in csv.DictReader((place / "predictions.csv").open())}
        for place in (moved, tmp_path / "out")
    )
    assert before == pytest.approx(after, abs=1e-5)

    bundle("exporting", [str(moved / "configs" / "inference.yaml"), "configs/export.yaml"], bundle_root=str(moved),
           rounds=1)  # fmt: skip
    rows = [row["file"] for row in csv.DictReader((moved / "exports.csv").open())]
    assert rows == [f"{name}.{ending}" for name in ("model", "outline") for ending in ("pt", "ts", "onnx")]
    file = EXPORTED["onnx"]()
    file.load(moved / "models" / "outline.onnx")
    image = torch.rand(1, 3, *TINY["grid_size"])
    image[0, 1] = torch.nan
    assert file(image, present=torch.tensor([[True, False, True]])).isfinite().all()

    case = document["test"][0]["case"]
    write_series(small_phantom / case / "portal.nii.gz", tmp_path / "in", "portal", generate_uid(), 1, "P1")
    (tmp_path / "rules.yaml").write_text(RULES)
    arguments = [f"--run={moved}", f"--input={tmp_path / 'in'}", f"--rules={tmp_path / 'rules.yaml'}"]
    predict.main([*arguments, f"--output={tmp_path / 'one'}", "--trust"])
    outline = json.loads((tmp_path / "one" / "prediction.json").read_text())["outline"]
    assert outline["phase"] == "portal"
    image = nibabel.load(tmp_path / "one" / outline["file"])
    labels = np.asarray(image.dataobj)
    (file,) = (tmp_path / "one" / "outlines").glob("*.dcm")
    volume = segread(file).get_volume(combine_segments=True, allow_missing_positions=True)
    found = np.zeros_like(labels)
    on_voxels(volume.array, volume.affine, image.affine, found)
    np.testing.assert_array_equal(found, labels)
    assert labels.any()
