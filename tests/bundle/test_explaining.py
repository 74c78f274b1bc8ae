# SPDX-License-Identifier: Apache-2.0
"""Explaining as a user runs it."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pandas
import pytest
import torch
from scripts.files.run_folder import RECORD
from workbench.explain.contributions import shapley_values

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ["configs/inference.yaml", "configs/explain.yaml"]
PER_PHASE = [f"{p}_{m}.nii.gz" for p in ("pre", "arterial", "portal") for m in ("layer_cam", "occlusion")]


@pytest.fixture(scope="module")
def further(tmp_path_factory) -> Path:
    """Phantom cases that the shipped model never saw."""
    from workbench.prepare.phantom.dataset import make_phantom

    folder = tmp_path_factory.mktemp("further") / "phantom"
    make_phantom(folder, first=200, splits={"test": 8})
    return folder


def test_a_results_folder_is_explained_with_its_own_files(trained, bundle, small_phantom, tmp_path):
    files = [str(trained / "configs" / "inference.yaml"), "configs/explain.yaml"]
    case = pandas.read_csv(trained / "predictions.csv").iloc[0]
    bundle("explaining", files, bundle_root=str(trained), case=case["case"], output_dir=str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == [RECORD, case["case"]]
    folder = tmp_path / case["case"]
    assert sorted(os.listdir(folder)) == sorted(["contributions.csv", "contributions.png", "heat.png", *PER_PHASE])
    table = pandas.read_csv(folder / "contributions.csv").set_index("class")
    assert list(table) == ["case", "start", "prediction", "pre", "arterial", "portal"]
    for name in ("low", "high"):
        assert table.loc[name, "prediction"] == pytest.approx(case[f"p_{name}"], abs=1e-6)
        moved = table.loc[name, ["pre", "arterial", "portal"]].sum()
        assert moved == pytest.approx(table.loc[name, "prediction"] - table.loc[name, "start"], abs=1e-8)
    for phase in ("pre", "arterial", "portal"):
        scan = nibabel.load(small_phantom / case["case"] / f"{phase}.nii.gz")
        heat = nibabel.load(folder / f"{phase}_occlusion.nii.gz")
        assert heat.shape == scan.shape
        np.testing.assert_allclose(heat.affine, scan.affine, atol=1e-4)
        assert heat.get_fdata().any()


def test_contributions_are_those_of_cases_without_the_files(trained, bundle, small_phantom, tmp_path):
    """Every choice of phases, the reference among them, is a case of its own for `inferring`."""
    document = json.loads((small_phantom / "dataset.json").read_text())
    case = next(entry for entry in document["test"] if len(entry["image"]) == 3)
    files = {phase: str(small_phantom / path) for phase, path in case["image"].items()}
    choices = [[phase for phase in files if i >> list(files).index(phase) & 1] for i in range(1, 8)]
    entries = [
        {"case": "+".join(choice), "image": {phase: files[phase] for phase in choice},
         "roi": str(small_phantom / case["roi"])}
        for choice in choices
    ]  # fmt: skip
    (tmp_path / "data").mkdir()
    content = document | {"training": [], "validation": [], "test": [], "unlabelled": entries}
    (tmp_path / "data" / "dataset.json").write_text(json.dumps(content))
    configs, overrides = trained / "configs", {"bundle_root": str(trained)}
    bundle(
        "inferring", [str(configs / "inference.yaml")], dataset_dir=str(tmp_path / "data"),
        output_dir=str(tmp_path / "inferred"), **overrides,
    )  # fmt: skip
    explain = [str(configs / "inference.yaml"), "configs/explain.yaml"]
    chosen = {"case": case["case"], "explanations": ["contribution"], "dataset_dir": str(small_phantom)}
    bundle("explaining", explain, output_dir=str(tmp_path / "explained"), **chosen, **overrides)
    said = pandas.read_csv(tmp_path / "inferred" / "predictions.csv").set_index("case")["p_high"]
    row = pandas.read_csv(tmp_path / "explained" / case["case"] / "contributions.csv").set_index("class").loc["high"]
    value = torch.tensor([row["start"], *(said["+".join(choice)] for choice in choices)])
    np.testing.assert_allclose(list(row[list(files)]), shapley_values(value).numpy(), atol=2e-6)


def test_several_cases_have_a_summary_and_stay_apart(bundle, further, tmp_path, capsys):
    overrides = {"bundle_root": str(ROOT), "dataset_dir": str(further), "output_dir": str(tmp_path)}
    bundle("explaining", SHIPPED, case="test", explanations=["contribution"], **overrides)
    cases = [f"phantom_{n:04d}" for n in range(200, 208)]
    summary = ["contributions.csv", "mean_contributions.csv", "mean_contributions.png"]
    assert sorted(os.listdir(tmp_path)) == sorted([RECORD, *cases, *summary])
    table = pandas.read_csv(tmp_path / "contributions.csv")
    mean = pandas.read_csv(tmp_path / "mean_contributions.csv").set_index("predicted")
    high = table[table["class"] == "high"].query("prediction > 0.5")
    assert mean.loc["high", "cases"] == len(high)
    for column in ("prediction", "pre", "arterial", "portal"):
        assert mean.loc["high", column] == pytest.approx(high[column].mean(), abs=1e-8)
    before = (tmp_path / "contributions.csv").read_bytes()
    bundle("explaining", SHIPPED, case=cases[3], explanations=["contribution"], **overrides)
    assert (tmp_path / "contributions.csv").read_bytes() == before  # one case touches its own folder only


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"case": "phantom_020"}, "case 'phantom_020' is not among the 8 cases of the dataset; nearest: phantom_020"),
        (
            {"explanations": ["gradcam"]},
            r"one of \[contribution, layer_cam, occlusion, grad_cam\].*nearest: 'grad_cam'",
        ),
        ({"explained_class": "hihg"}, r"null or one of \[low, high\] \(nearest: 'high'\), found 'hihg'"),
        ({"model_file": "/nowhere/model.pt"}, "weights file /nowhere/model.pt does not exist"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(bundle, further, tmp_path, wrong, message):
    with pytest.raises(RuntimeError) as caught:
        bundle(
            "explaining",
            SHIPPED,
            bundle_root=str(ROOT),
            dataset_dir=str(further),
            output_dir=str(tmp_path / "out"),
            **wrong,
        )
    from scripts.files.errors import message_of

    line = message_of(caught.value)
    assert line is not None
    assert re.search(message, line)
    assert not (tmp_path / "out").exists() or not os.listdir(tmp_path / "out")


def test_a_case_that_fails_leaves_the_finished_ones_and_no_half(bundle, further, tmp_path, monkeypatch):
    import workbench.explain.explaining as module

    finished: list[str] = []

    def fails_on_the_third(found, phases, classes, path):
        if len(finished) == 2:
            raise RuntimeError("disk full")
        finished.append(found.case)

    monkeypatch.setattr(module, "heat_figure", fails_on_the_third)
    with pytest.raises(RuntimeError):
        bundle(
            "explaining",
            SHIPPED,
            bundle_root=str(ROOT),
            dataset_dir=str(further),
            output_dir=str(tmp_path),
            explanations=["grad_cam"],
        )
    assert sorted(os.listdir(tmp_path)) == sorted([RECORD, *finished])


def test_a_folder_of_cases_without_masks_or_labels(bundle, further, tmp_path):
    """Region from the whole volume, one phase missing: the weights do not care what they are shown."""
    folder = tmp_path / "cases" / "new"
    folder.mkdir(parents=True)
    complete = next(path.parent for path in sorted(further.glob("*/pre.nii.gz")))
    for phase in ("pre", "portal"):
        shutil.copyfile(complete / f"{phase}.nii.gz", folder / f"{phase}.nii.gz")
    bundle(
        "explaining",
        SHIPPED,
        bundle_root=str(ROOT),
        dataset_dir=str(tmp_path / "cases"),
        output_dir=str(tmp_path / "out"),
        case="new",
        region={"_target_": "scripts.transforms.WholeVolumeRegiond", "keys": "image"},
        initialize=[],
    )
    made = os.listdir(tmp_path / "out" / "new")
    assert "heat.png" in made
    assert not [name for name in made if name.startswith("arterial")]
    table = pandas.read_csv(tmp_path / "out" / "new" / "contributions.csv")
    assert (table["arterial"] == 0).all()


@pytest.mark.slow
def test_the_heat_of_the_shipped_model_lies_in_the_lesion(bundle, further, tmp_path):
    """On average over the correctly predicted ones of cases that no training saw."""
    bundle("explaining", SHIPPED, bundle_root=str(ROOT), dataset_dir=str(further), output_dir=str(tmp_path))
    heat = pandas.read_csv(tmp_path / "localisation.csv")
    heat = heat[heat["true"] == heat["predicted"]]
    assert heat["case"].nunique() >= 5
    mean = heat.groupby("method")[["lesion_heat", "background_heat"]].mean()
    assert (mean["lesion_heat"] > 2 * mean["background_heat"].abs()).all()


@pytest.mark.slow
def test_one_case_takes_less_than_ten_seconds_of_processor_time(further, tmp_path):
    """The whole process, of which starting Python, torch and MONAI is more than half."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    line = [sys.executable, "-m", "monai.bundle", "run", "explaining", "--case", "phantom_0200"]
    line += ["--config_file", str(SHIPPED), "--dataset_dir", str(further), "--output_dir", str(tmp_path)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert re.search(r"from \d+\.\d% without any phase, in points: pre ", done.stdout)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert spent < 10, f"{spent:.1f} s"
