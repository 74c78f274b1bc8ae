"""A real MONAI Label server: it opens a trained bundle, answers as the bundle does, learns, and says what is
wrong. Offline; about a minute.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import nibabel
import numpy as np
import pandas
import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-label" / "bin" / "python"
CLASSIFIER, GRADE = "multiphase_fusion_classification", "multiphase_fusion_grade"
PHASES = ["pre", "arterial", "portal"]

pytestmark = [
    pytest.mark.label,
    pytest.mark.skipif(not PYTHON.exists(), reason="no MONAI Label in .venv-label: `make test-label`"),
]


class Server:
    """Speaks to the server as its clients do."""

    def __init__(self, port: int) -> None:
        self.root = f"http://127.0.0.1:{port}"

    def ask(self, path: str, method: str = "GET", body: bytes = b"", kind: str = "application/json") -> bytes:
        request = urllib.request.Request(self.root + path, data=body or None, method=method)
        request.add_header("Content-Type", kind)
        with urllib.request.urlopen(request, timeout=170) as answer:
            return answer.read()

    def form(self, path: str, method: str, name: str, content: str, file: str | None = None) -> bytes:
        """Send one field, or one file, as a browser's form does."""
        mark = uuid.uuid4().hex
        head = f'form-data; name="{name}"' + (f'; filename="{file}"' if file else "")
        lines = [f"--{mark}", f"Content-Disposition: {head}", "", content, f"--{mark}--", ""]
        return self.ask(path, method, "\r\n".join(lines).encode(), f"multipart/form-data; boundary={mark}")

    def answer(self, image: str, **params) -> dict:
        path = f"/infer/{CLASSIFIER}?image={image}"
        return json.loads(self.form(path, "POST", "params", json.dumps(params)))

    def scores(self, image: str, **params) -> dict[str, float]:
        return {entry["label"]: entry["score"] for entry in self.answer(image, **params)["prediction"]}

    def refusal(self, image: str, **params) -> str:
        with pytest.raises(urllib.error.HTTPError) as error:
            self.scores(image, **params)
        assert error.value.code == 400
        return json.loads(error.value.read())["detail"]


@pytest.fixture(scope="module")
def results(bundle, quick, tmp_path_factory) -> Path:
    """A model of the phantom that reads two columns of its table; its first class is the positive one."""
    folder = tmp_path_factory.mktemp("results") / "with_table"
    settings = quick | {"clinical": ["age", "sex"], "learning_rate": 0.03, "positive": "Low"}
    bundle("training", ["configs/train.yaml"], output_dir=str(folder), **settings)
    return folder


@pytest.fixture(scope="module")
def cases(small_phantom) -> list[dict]:
    """Test cases that have every phase."""
    entries = json.loads((small_phantom / "dataset.json").read_text())["test"]
    complete = [entry for entry in entries if set(entry["image"]) == set(PHASES)]
    assert len(complete) >= 4
    return complete[:4]


@pytest.fixture(scope="module")
def studies(small_phantom, cases, tmp_path_factory) -> Path:
    """The cases side by side, the last without a mask."""
    folder = tmp_path_factory.mktemp("studies")
    for entry in cases:
        for phase in PHASES:
            shutil.copy(small_phantom / entry["image"][phase], folder / f"{entry['case']}_{phase}.nii.gz")
        if entry is not cases[-1]:
            shutil.copy(small_phantom / entry["roi"], folder / f"{entry['case']}_lesion.nii.gz")
    return folder


@pytest.fixture(scope="module")
def app(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("label") / "app"


@pytest.fixture(scope="module")
def server(results, studies, app):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nowhere = "http://127.0.0.1:9"
    offline = {"http_proxy": nowhere, "https_proxy": nowhere, "no_proxy": "127.0.0.1", "HF_HUB_OFFLINE": "1"}
    arguments = ["--run", results, "--studies", studies, "--app", app, "--port", port]
    log = app.parent / "server.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [PYTHON, "-m", "scripts.serving", *map(str, arguments)],
            cwd=ROOT, env=os.environ | offline, start_new_session=True,
            stdout=stream, stderr=subprocess.STDOUT,
        )  # fmt: skip
        speaker, deadline = Server(port), time.monotonic() + 150
        try:
            while True:
                try:
                    speaker.ask("/info/")
                    break
                except (urllib.error.URLError, ConnectionError):
                    assert process.poll() is None, log.read_text()[-3000:]
                    assert time.monotonic() < deadline, log.read_text()[-3000:]
                    time.sleep(0.5)
            yield speaker
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=30)


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


def test_it_answers_as_the_bundle_does_and_typed_values_change_the_answer(
    server, cases, results, in_process
) -> None:
    names = [entry["case"] for entry in cases[:3]]
    unknown, known = in_process(results, {}), in_process(results, {"age": 85.0, "sex": "M"})
    for name in names:
        plain = server.scores(name)
        assert plain["high"] == pytest.approx(unknown[name], abs=1e-5)
        assert plain["low"] + plain["high"] == pytest.approx(1, abs=1e-6)
        typed = server.scores(name, age="85", sex="M")
        assert typed["high"] == pytest.approx(known[name], abs=1e-5)
        assert typed["high"] != pytest.approx(plain["high"], abs=1e-4)
    assert server.scores(names[0])["high"] == pytest.approx(unknown[names[0]], abs=1e-5), (
        "nothing stays typed"
    )


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


def test_the_layouts_of_a_case_give_one_answer(server, studies, cases, small_phantom, tmp_path) -> None:
    name = cases[0]["case"]
    expected = server.scores(name)["high"]
    folder = tmp_path / name
    folder.mkdir()
    for part in (*PHASES, "lesion"):
        shutil.copy(studies / f"{name}_{part}.nii.gz", folder / f"{part}.nii.gz")
    assert server.scores(str(folder))["high"] == pytest.approx(expected, abs=1e-6)
    images = [nibabel.load(studies / f"{name}_{phase}.nii.gz") for phase in PHASES]
    if all(np.allclose(image.affine, images[0].affine) for image in images):
        stacked = np.stack([image.get_fdata(dtype=np.float32) for image in images], axis=-1)
        nibabel.save(nibabel.Nifti1Image(stacked, images[0].affine), tmp_path / f"{name}.nii.gz")
        shutil.copy(studies / f"{name}_lesion.nii.gz", tmp_path)
        assert server.scores(str(tmp_path / f"{name}.nii.gz"))["high"] == pytest.approx(expected, abs=1e-4)


def test_without_a_region_it_refuses_and_with_a_point_it_answers(server, cases, small_phantom) -> None:
    name = cases[-1]["case"]
    assert "needs 'roi', found none, nor a 'box' or 'point' in mm" in server.refusal(name)
    mask = nibabel.load(small_phantom / cases[-1]["roi"])
    lesion = np.argwhere(mask.get_fdata() > 0)
    corners = (
        np.stack([lesion.min(0) - 0.5, lesion.max(0) + 0.5]) @ mask.affine[:3, :3].T + mask.affine[:3, 3]
    )
    centre = corners.mean(axis=0)
    cube = server.scores(name, box=[(centre - 8).tolist(), (centre + 8).tolist()])
    assert server.scores(name, point=[*centre, 16.0])["high"] == pytest.approx(cube["high"], abs=1e-5)
    assert server.scores(name, point=" ".join(map(str, centre)))["high"] != pytest.approx(
        cube["high"], abs=1e-4
    )
    assert "'point' must be [x, y, z] in mm" in server.refusal(name, point="left of the liver")
    assert "'age' must be a number, found 'old'" in server.refusal(cases[0]["case"], age="old")


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


def test_labels_teach_it_once_and_the_next_answer_shows_it(server, cases, app, in_process) -> None:
    name, served = cases[0]["case"], app / "model" / CLASSIFIER
    before = server.scores(name)["high"]
    for entry, label in zip(cases, ["low", "high", "low"], strict=False):
        content = json.dumps({"label": label, "clinical": entry["clinical"]})
        server.form(
            f"/datastore/label?image={entry['case']}&tag=final", "PUT", "label", content, "label.json"
        )
    options = json.loads(server.ask("/info/"))["trainers"][CLASSIFIER]["config"]
    options |= {"max_epochs": 1, "val_split": 0.34, "device": "cpu"}
    assert options["run_id"] == ""
    server.ask(f"/train/{CLASSIFIER}?run_sync=true", "POST", json.dumps(options).encode())
    trained = list((served / "results").iterdir())
    assert len(trained) == 1, "training ran once"
    assert len(json.loads((trained[0] / "server_cases.json").read_text())["training"]) == 2
    curves = pandas.read_csv(trained[0] / "learning_curves.csv")
    assert curves["epoch"].tolist() == [1]
    assert not (served / "data").exists(), "no phantom is made on a server"
    assert (served / "models" / "model.pt").read_bytes() == (trained[0] / "models" / "model.pt").read_bytes()
    after = server.scores(name)["high"]
    assert after != pytest.approx(before, abs=1e-4)
    assert after == pytest.approx(in_process(trained[0], {})[name], abs=1e-5)
    first = server.scores(name, model_filename="model_before_labels.pt")["high"]
    assert first == pytest.approx(before, abs=1e-5)
    painted = json.loads(server.ask(f"/infer/{GRADE}?image={name}&output=json", "POST"))
    assert painted["prediction"][1]["score"] == pytest.approx(after, abs=1e-5), "the painted grade learns too"
