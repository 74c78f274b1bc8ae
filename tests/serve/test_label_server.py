# SPDX-License-Identifier: Apache-2.0
"""A real MONAI Label server: it opens a trained bundle, answers as the bundle does, learns, and says what is
wrong. Offline; about a minute.
"""

from __future__ import annotations

import json
from pathlib import Path
from urllib.error import HTTPError

import nibabel
import numpy as np
import pandas
import pytest
from scripts.metrics.prediction_sets import evidence_of

from tests.label_server import CLASSIFIER, NEEDS_LABEL

GRADE = "multiphase_fusion_grade"

pytestmark = NEEDS_LABEL


@pytest.fixture
def in_process(bundle, small_phantom, cases, tmp_path):
    """Return P(high) of each case as a bundle's own inference gives it, with the table's values given."""

    def predict(model: Path, values: dict) -> pandas.Series:
        content = json.loads((small_phantom / "dataset.json").read_text())
        for split in ("training", "validation", "test"):
            content[split] = []
        for entry in cases:
            image = {phase: str(small_phantom / path) for phase, path in entry["image"].items()}
            roi = str(small_phantom / entry["roi"])
            content["test"].append({**entry, "image": image, "roi": roi, "clinical": values})
        (tmp_path / "dataset.json").write_text(json.dumps(content))
        bundle(
            "inferring", [str(model / "configs" / "inference.yaml")],
            bundle_root=str(model), dataset_dir=str(tmp_path), output_dir=str(tmp_path / "out"),
        )  # fmt: skip
        return pandas.read_csv(tmp_path / "out" / "predictions.csv").set_index("case")["p_high"]

    return predict


def test_it_lists_the_models_their_options_and_each_case_once(server, cases) -> None:
    info = json.loads(server.ask("/info/"))
    classifier, grade = info["models"][CLASSIFIER], info["models"][GRADE]
    assert classifier["type"] == "classification"
    assert classifier["labels"] == {"low": 0, "high": 1}
    options = {name: classifier["config"][name] for name in ("point", "age", "sex")}
    assert options == {"point": "", "age": "", "sex": ["", "F", "M"]}
    assert (grade["type"], grade["labels"]) == ("segmentation", {"low": 1, "high": 2})
    assert list(info["trainers"]) == [CLASSIFIER]
    listed = json.loads(server.ask("/datastore/?output=all"))["objects"]
    assert set(listed) == {entry["case"] for entry in cases}


def test_it_answers_as_the_bundle_does_and_typed_values_change_the_answer(server, cases, results, in_process) -> None:
    names = [entry["case"] for entry in cases[:3]]
    unknown, known = in_process(results, {}), in_process(results, {"age": 85.0, "sex": "M"})
    for name in names:
        plain = server.scores(name)
        assert plain["high"] == pytest.approx(unknown[name], abs=1e-5)
        assert plain["low"] + plain["high"] == pytest.approx(1, abs=1e-6)
        typed = server.scores(name, age="85", sex="M")
        assert typed["high"] == pytest.approx(known[name], abs=1e-5)
        assert typed["high"] != pytest.approx(plain["high"], abs=1e-4)
    assert server.scores(names[0])["high"] == pytest.approx(unknown[names[0]], abs=1e-5), "nothing stays typed"


def test_its_answers_name_the_positive_class_and_how_it_was_judged(server, cases, results) -> None:
    threshold = json.loads((results / "metrics.json").read_text())["at_threshold"]["threshold"]
    for entry in cases[:2]:
        answer = server.answer(entry["case"])
        painted = json.loads(server.ask(f"/infer/{GRADE}?image={entry['case']}&output=json", "POST"))
        for said in (answer, painted):
            low = said["prediction"][0]
            assert (said["positive_class"], low["label"]) == ("low", "low")
            assert said["threshold"] == pytest.approx(threshold, abs=1e-6)
            assert said["positive"] is (low["score"] >= said["threshold"])
            probability = np.array([[entry["score"] for entry in said["prediction"]]])
            evidence = evidence_of(results / "models" / "model.pt")
            assert evidence is not None
            names = [entry["label"] for entry in said["prediction"]]
            assert said["prediction_sets"] == evidence.described(probability, names)


def centre_of(path: Path) -> list[float]:
    """Return the centre, in mm, of the box around what a mask shows."""
    mask = nibabel.load(path)
    lesion = np.argwhere(mask.get_fdata() > 0)
    corners = np.stack([lesion.min(0) - 0.5, lesion.max(0) + 0.5]) @ mask.affine[:3, :3].T + mask.affine[:3, 3]
    return corners.mean(axis=0).tolist()


def test_without_a_region_it_refuses_and_with_a_point_it_answers(server, cases, small_phantom) -> None:
    name = cases[-1]["case"]
    assert "needs 'roi', found none, nor a 'box' or 'point' in mm" in server.refusal(name)
    centre = np.array(centre_of(small_phantom / cases[-1]["roi"]))
    cube = server.scores(name, box=[(centre - 8).tolist(), (centre + 8).tolist()])
    assert server.scores(name, point=[*centre, 16.0])["high"] == pytest.approx(cube["high"], abs=1e-5)
    assert server.scores(name, point=" ".join(map(str, centre)))["high"] != pytest.approx(cube["high"], abs=1e-4)
    assert "'point' must be [x, y, z] in mm, and the side" in server.refusal(name, point="left of the liver")
    assert "'age' must be a number, or empty where it is not known, found 'old'" in server.refusal(
        cases[0]["case"], age="old"
    )


def test_the_grade_is_a_labelled_region_with_the_same_probabilities(server, studies, cases, tmp_path) -> None:
    name = cases[0]["case"]
    scores = server.scores(name)
    (tmp_path / "grade.nii.gz").write_bytes(server.ask(f"/infer/{GRADE}?image={name}&output=image", "POST"))
    told = json.loads(server.ask(f"/infer/{GRADE}?image={name}&output=json", "POST"))
    assert {entry["label"]: entry["score"] for entry in told["prediction"]} == pytest.approx(scores, abs=1e-6)
    painted = nibabel.load(tmp_path / "grade.nii.gz")
    shown = nibabel.load(studies / f"{name}_portal.nii.gz")
    lesion = nibabel.load(studies / f"{name}_lesion.nii.gz")
    np.testing.assert_allclose(painted.affine, shown.affine, atol=1e-3)
    value = 1 + (scores["high"] > scores["low"])
    np.testing.assert_array_equal(painted.get_fdata(), value * (lesion.get_fdata() > 0))


def test_labels_teach_it_once_and_the_next_answer_shows_it(server, cases, small_phantom, app, in_process) -> None:
    name, served = cases[0]["case"], app / "model" / CLASSIFIER
    before = server.scores(name)["high"]
    options = json.loads(server.ask("/info/"))["trainers"][CLASSIFIER]["config"]
    options |= {"max_epochs": 1, "val_split": 0.34, "device": "cpu"}
    assert options["run_id"] == ""
    train, weights = f"/train/{CLASSIFIER}?run_sync=true", (served / "models" / "model.pt").read_bytes()
    graded = server.scores(cases[2]["case"])  # four labels, two of each class: one of each is always trained on
    rest = min(graded, key=graded.__getitem__)
    others, centre = [cases[0], cases[1], cases[3]], centre_of(small_phantom / cases[3]["roi"])
    for labels in (["low"] * 3, ["low", "high", rest]):
        for entry, label in zip(others, labels, strict=True):
            known = {name: entry["clinical"][name] for name in ("age", "sex") if name in entry["clinical"]}
            content = json.dumps({"label": label, "clinical": known, "point": centre if entry is cases[3] else None})
            server.form(f"/datastore/label?image={entry['case']}&tag=final", "PUT", "label", content, "label.json")
        if "high" not in labels:
            with pytest.raises(HTTPError) as refused:
                server.ask(train, "POST", json.dumps(options).encode())
            assert "needs cases of every class to train on, found 2 low, 0 high" in refused.value.read().decode()
            assert (served / "models" / "model.pt").read_bytes() == weights, "one class teaches nothing"
            assert not [path for path in served.glob("results/*/**/*") if path.name != ".run"]
    painted = server.ask(f"/infer/{GRADE}?image={cases[2]['case']}&output=image", "POST")  # its value is a class
    server.form(f"/datastore/label?image={cases[2]['case']}&tag=final", "PUT", "label", painted, "label.nii.gz")
    server.ask(train, "POST", json.dumps(options).encode())
    trained = [folder.parent for folder in served.glob("results/*/models")]
    assert len(trained) == 1, "training ran once"
    assert len(json.loads((trained[0] / "server_cases.json").read_text())["training"]) == 3
    curves = pandas.read_csv(trained[0] / "learning_curves.csv")
    assert curves["epoch"].tolist() == [1]
    assert not (served / "data").exists(), "no phantom is made on a server"
    assert (served / "models" / "model.pt").read_bytes() == (trained[0] / "models" / "model.pt").read_bytes()
    evidence = [(folder / "models" / "evidence.npz").read_bytes() for folder in (served, trained[0])]
    assert evidence[0] == evidence[1]
    after = server.scores(name)["high"]
    assert after != pytest.approx(before, abs=1e-4)
    assert after == pytest.approx(in_process(trained[0], {})[name], abs=1e-5)
    first = server.scores(name, model_filename="model_before_labels.pt")["high"]
    assert first == pytest.approx(before, abs=1e-5)
    painted = json.loads(server.ask(f"/infer/{GRADE}?image={name}&output=json", "POST"))
    assert painted["prediction"][1]["score"] == pytest.approx(after, abs=1e-5), "the painted grade learns too"
