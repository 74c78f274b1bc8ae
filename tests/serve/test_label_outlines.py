# SPDX-License-Identifier: Apache-2.0
"""A real MONAI Label server outlines from images alone, and learns from outlines that a viewer saved."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from workbench.predict import command as predict
from workbench.serve.app import GRADE_NAME as GRADE
from workbench.serve.outlines import OUTLINE_NAME

from tests.label_server import CLASSIFIER, NEEDS_LABEL, Server, serving

pytestmark = NEEDS_LABEL

TINY = {"spacing": [4.0, 4.0, 8.0], "grid_size": [16, 16, 8], "max_epochs": 4, "val_interval": 2, "width": 8}


@pytest.fixture(scope="module")
def outlining(bundle, quick, tmp_path_factory) -> Path:
    """A results folder of a network that outlines."""
    folder = tmp_path_factory.mktemp("outlining") / "first"
    files = ["configs/train.yaml", "configs/segment.yaml"]
    bundle("segmenting", files, output_dir=str(folder), learning_rate=0.01, **(quick | TINY))
    return folder


@pytest.fixture(scope="module")
def images(studies, tmp_path_factory) -> Path:
    """The cases without any mask."""
    folder = tmp_path_factory.mktemp("outlines") / "studies"
    return Path(shutil.copytree(studies, folder, ignore=shutil.ignore_patterns("*_lesion*", "labels", "*.json")))


@pytest.fixture(scope="module")
def outlines(outlining, images):
    with serving(outlining, images, images.parent / "app") as speaker:
        yield speaker


def label_map(server: Server, model: str, case: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the voxels and the affine of an answer, as a viewer gets it."""
    content = server.ask(f"/infer/{model}?image={case}&output=image", "POST")
    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(content))
    return np.asarray(image.dataobj), image.affine


def test_it_outlines_and_learns_from_saved_outlines(outlines, outlining, images, small_phantom, cases) -> None:
    info = json.loads(outlines.ask("/info/"))
    assert list(info["models"]) == [OUTLINE_NAME]
    model = info["models"][OUTLINE_NAME]
    assert (model["type"], model["labels"]) == ("segmentation", {"lesion": 1})
    assert "point" not in model["config"]

    names = [entry["case"] for entry in cases]
    before = {name: label_map(outlines, OUTLINE_NAME, name) for name in names}
    for name, (voxels, affine) in before.items():
        shown = nibabel.load(images / f"{name}_portal.nii.gz")
        np.testing.assert_allclose(affine, shown.affine, atol=1e-3)
        of_bundle = nibabel.load(outlining / "outlines" / f"{name}.nii.gz")
        np.testing.assert_array_equal(voxels, np.asarray(of_bundle.dataobj))
    told = json.loads(outlines.ask(f"/infer/{OUTLINE_NAME}?image={names[0]}&output=json", "POST"))
    voxels, affine = before[names[0]]
    volume = abs(np.linalg.det(affine[:3, :3])) * (voxels == 1).sum() / 1000
    assert volume > 0
    assert told["volume_ml"]["lesion"] == pytest.approx(volume, rel=1e-3)

    for entry in cases[:3]:  # a viewer saves what an expert drew
        drawn = (small_phantom / entry["roi"]).read_bytes()
        outlines.form(f"/datastore/label?image={entry['case']}&tag=final", "PUT", "label", drawn, "label.nii.gz")
    options = info["trainers"][OUTLINE_NAME]["config"] | {"max_epochs": 4, "val_split": 0.34, "device": "cpu"}
    outlines.ask(f"/train/{OUTLINE_NAME}?run_sync=true", "POST", json.dumps(options).encode())
    served = images.parent / "app" / "model" / OUTLINE_NAME
    (trained,) = (served / "results").iterdir()
    assert len(json.loads((trained / "server_cases.json").read_text())["training"]) == 2
    assert (served / "models" / "model.pt").read_bytes() == (trained / "models" / "model.pt").read_bytes()
    assert (served / "models" / "model_before_labels.pt").read_bytes() == (outlining / "models/model.pt").read_bytes()
    assert any((label_map(outlines, OUTLINE_NAME, name)[0] != before[name][0]).any() for name in names)


@pytest.fixture(scope="module")
def outlined(bundle, quick, tmp_path_factory) -> Path:
    """A results folder of a classifier that looks where a second network outlines."""
    folder = tmp_path_factory.mktemp("outlined") / "first"
    tiny = {f"outline_{key}": value for key, value in (TINY | {"max_epochs": 2}).items()}
    files = ["configs/train.yaml", "configs/regions/outlined.yaml"]
    bundle("training", files, output_dir=str(folder), learning_rate=0.01, where_nothing="whole", **quick, **tiny)
    return folder


def test_a_classifier_paints_its_class_where_a_network_outlines(outlined, images, cases, tmp_path) -> None:
    studies, app = tmp_path / "studies", tmp_path / "app"
    shutil.copytree(images, studies, ignore=shutil.ignore_patterns("labels", "*.json"))
    known = {row["case"]: float(row["p_high"]) for row in csv.DictReader((outlined / "predictions.csv").open())}
    with serving(outlined, studies, app) as server:
        for name, label in zip([entry["case"] for entry in cases[:4]], (1, 2, 1, 2), strict=True):
            told = json.loads(server.ask(f"/infer/{GRADE}?image={name}&output=json", "POST"))
            scores = {entry["label"]: entry["score"] for entry in told["prediction"]}
            assert scores["high"] == pytest.approx(known[name], abs=1e-5)
            voxels, affine = label_map(server, GRADE, name)
            assert set(np.unique(voxels)) == {0, 1 + (scores["high"] > scores["low"])}
            folder = tmp_path / "one" / name
            folder.mkdir(parents=True)
            for file in studies.glob(f"{name}_*.nii.gz"):
                shutil.copy(file, folder / file.name.removeprefix(f"{name}_"))
            predict.main(
                [f"--run={outlined}", f"--input={folder}", f"--output={folder / 'out'}", "--keep_name", "--trust"]
            )
            outline = nibabel.load(folder / "out" / "outlines" / f"{name}.nii.gz")
            np.testing.assert_array_equal(np.asarray(outline.dataobj) > 0, voxels > 0)
            saved = nibabel.Nifti1Image((label * (voxels > 0)).astype(np.uint8), affine).to_bytes()
            server.form(f"/datastore/label?image={name}&tag=final", "PUT", "label", saved, "label.nii")
        options = json.loads(server.ask("/info/"))["trainers"][CLASSIFIER]["config"]
        options |= {"max_epochs": 1, "val_split": 0.34, "device": "cpu"}
        server.ask(f"/train/{CLASSIFIER}?run_sync=true", "POST", json.dumps(options).encode())
        assert server.scores(name)["high"] != pytest.approx(known[name], abs=1e-4)
        assert "must be one of 'model.pt', 'model_before_labels.pt'" in server.refusal(
            name, model_filename="outline.pt"
        )
    (trained,) = (app / "model" / CLASSIFIER / "results").iterdir()
    assert (trained / "models" / "outline.pt").read_bytes() == (outlined / "models" / "outline.pt").read_bytes()
