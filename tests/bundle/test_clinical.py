# SPDX-License-Identifier: Apache-2.0
"""The clinical table from dataset.json through training to prediction, and prediction without one."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
import yaml
from scripts.engines.run import finish
from scripts.files.errors import message_of

from tests.conftest import no_pixels

pytestmark = pytest.mark.usefixtures("without_pixels")

CLINICAL = ["age", "sex", "log_afp", "cirrhosis"]


@pytest.fixture(scope="module")
def dataset(small_phantom, tmp_path_factory) -> Path:
    """The phantom, with ages in validation and test that would spoil any statistics they entered."""
    folder = tmp_path_factory.mktemp("data") / "wild"
    shutil.copytree(small_phantom, folder)
    content = json.loads((folder / "dataset.json").read_text())
    for item in [*content["validation"], *content["test"][:1]]:
        item["clinical"]["age"] = 1e6
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def trained_with_table(bundle, quick, dataset, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "table"
    settings = quick | {"dataset_dir": str(dataset), "clinical": CLINICAL, "learning_rate": 0.03}
    with no_pixels():
        bundle("training", ["configs/train.yaml"], output_dir=str(folder), **settings)
    return folder


@pytest.fixture
def predict(bundle, tmp_path):
    """Return the function that predicts a dataset with the model of a results folder."""

    def run(model: Path, dataset: Path, **given) -> pandas.Series:
        bundle(
            "inferring",
            [str(model / "configs" / "inference.yaml")],
            bundle_root=str(model),
            dataset_dir=str(dataset),
            output_dir=str(tmp_path / "out"),
            **given,
        )
        return pandas.read_csv(tmp_path / "out" / "predictions.csv").set_index("case")["p_high"]

    return run


def changed(dataset: Path, tmp_path: Path, change) -> Path:
    """Return a second dataset.json beside the images in which `change` has altered the content."""
    content = copy.deepcopy(json.loads((dataset / "dataset.json").read_text()))
    change(content)
    file = dataset / f"{tmp_path.name}.json"
    file.write_text(json.dumps(content))
    return file


def without_table(content: dict) -> None:
    content["clinical"] = []
    for split in ("training", "validation", "test"):
        for item in content[split]:
            item.pop("clinical", None)


def known(model: Path) -> pandas.Series:
    return pandas.read_csv(model / "predictions.csv").set_index("case")["p_high"]


def test_statistics_of_the_training_cases_are_in_the_checkpoint(trained_with_table, dataset):
    state = torch.load(trained_with_table / "models" / "model.pt", weights_only=True)
    cases = json.loads((dataset / "dataset.json").read_text())["training"]
    for position, name in enumerate(["age", "log_afp"]):
        values = [case["clinical"][name] for case in cases if name in case["clinical"]]
        assert state["table.mean"][position] == pytest.approx(np.mean(values), rel=1e-5)
        assert state["table.sd"][position] == pytest.approx(np.std(values), rel=1e-5)


def test_the_results_folder_declares_its_columns_in_full(trained_with_table, dataset):
    declared = json.loads((dataset / "dataset.json").read_text())["clinical"]
    for name in ("train.yaml", "inference.yaml"):
        config = yaml.safe_load((trained_with_table / "configs" / name).read_text())
        assert config["clinical"] == declared
    meta = json.loads((trained_with_table / "configs" / "metadata.json").read_text())
    assert meta["model_configuration"]["clinical"] == declared


def test_prediction_repeats_the_test_and_the_table_counts(trained_with_table, dataset, predict, tmp_path):
    with_table = predict(trained_with_table, dataset)
    expected = known(trained_with_table)
    np.testing.assert_allclose(with_table[expected.index], expected, atol=1e-6)
    bare = predict(trained_with_table, changed(dataset, tmp_path, without_table))
    assert np.isfinite(bare).all()
    assert (bare - with_table[bare.index]).abs().min() > 1e-6


@pytest.fixture
def new_cases(dataset, tmp_path) -> dict[str, dict]:
    """The test cases as a plain folder, and their clinical values by case."""
    content = json.loads((dataset / "dataset.json").read_text())
    for item in content["test"]:
        folder = tmp_path / "cases" / item["case"]
        folder.mkdir(parents=True)
        for phase, path in item["image"].items():
            shutil.copyfile(dataset / path, folder / f"{phase}.nii.gz")
        shutil.copyfile(dataset / item["roi"], folder / "lesion.nii.gz")
    return {item["case"]: item["clinical"] for item in content["test"]}


def said_columns(tmp_path: Path) -> pandas.DataFrame:
    table = pandas.read_csv(tmp_path / "out" / "predictions.csv", keep_default_na=False).set_index("case")
    return table[["clinical", "clinical_missing"]]


def test_a_plain_folder_has_no_table_and_says_so_once(
    trained_with_table, dataset, predict, new_cases, tmp_path, capsys
):
    expected = predict(trained_with_table, changed(dataset, tmp_path, without_table))
    assert "[age (years), sex, log_afp (log10(ng/mL)), cirrhosis]" in capsys.readouterr().out
    found = predict(trained_with_table, tmp_path / "cases")
    np.testing.assert_allclose(found, expected[found.index], atol=1e-6)
    printed = capsys.readouterr().out
    assert printed.count("warning: the model reads the clinical columns [age") == 1
    assert f"gives none of them: all {len(new_cases)} cases are predicted without" in printed
    assert set(said_columns(tmp_path)["clinical"]) == {""}
    assert set(said_columns(tmp_path)["clinical_missing"]) == {"; ".join(CLINICAL)}


def test_new_cases_with_their_table_are_predicted_as_from_a_dataset(
    trained_with_table, dataset, bundle, predict, new_cases, tmp_path, capsys
):
    """A table as a hospital sends it: semicolons, decimal commas, other letter case, a patient too many."""
    rows = ["PatientID;SEX;Age [years];log_afp;Cirrhosis;ward"]
    for case, values in new_cases.items():
        cells = [str(values.get(name, "n/a")).replace(".", ",") for name in ("age", "log_afp")]
        sex = values.get("sex", "?").lower()
        rows.append(f"{case};{sex};{cells[0]};{cells[1]};{values.get('cirrhosis', 'NA')};3")
    rows.append("stranger;m;50;1,5;yes;3")
    (tmp_path / "new.csv").write_text("\n".join(rows), encoding="cp1252")
    expected = predict(trained_with_table, dataset)
    capsys.readouterr()
    found = predict(trained_with_table, tmp_path / "cases", clinical_table=str(tmp_path / "new.csv"))
    np.testing.assert_allclose(found, expected[found.index], atol=1e-6)
    printed = capsys.readouterr().out
    assert "note: rows of the clinical table without a case, left out: stranger" in printed
    assert "note: columns of the clinical table that the model does not read: ward" in printed
    assert printed.count("warning: clinical values more than 5 standard deviations from the mean") == 1
    wild = [case for case, values in new_cases.items() if values.get("age") == 1e6]
    assert f"which count as 5: age: {wild[0]} (1e+06); check their unit" in printed
    for case, row in said_columns(tmp_path).iterrows():
        had = [name for name in CLINICAL if name in new_cases[case]]
        assert row["clinical"] == "; ".join(had)
        assert row["clinical_missing"] == "; ".join(name for name in CLINICAL if name not in had)
    bundle(
        "explaining", [str(trained_with_table / "configs" / "inference.yaml"), "configs/explain.yaml"],
        bundle_root=str(trained_with_table), dataset_dir=str(tmp_path / "cases"), case=wild[0],
        clinical_table=str(tmp_path / "new.csv"), output_dir=str(tmp_path / "why"),
        explanations=["contribution"],
    )  # fmt: skip
    assert f"which count as 5: age: {wild[0]} (1e+06); check their unit" in capsys.readouterr().out


def test_a_table_of_other_units_is_one_line_and_nothing_is_written(trained_with_table, new_cases, predict, tmp_path):
    case = next(iter(new_cases))
    (tmp_path / "new.csv").write_text(f"case,age [months]\n{case},600\n")
    with pytest.raises(RuntimeError) as caught:
        predict(trained_with_table, tmp_path / "cases", clinical_table=str(tmp_path / "new.csv"))
    assert "'age' must be in 'years', the unit of the model, found 'months'" in (message_of(caught.value) or "")
    assert not (tmp_path / "out").exists()


def test_categories_keep_the_order_of_the_training(trained_with_table, dataset, predict, tmp_path):
    def reverse(content: dict) -> None:
        for column in content["clinical"]:
            column.get("values", []).reverse()
        content["clinical"].reverse()

    found = predict(trained_with_table, changed(dataset, tmp_path, reverse))
    expected = known(trained_with_table)
    np.testing.assert_allclose(found[expected.index], expected, atol=1e-6)


def test_evaluation_on_cases_without_a_table(trained_with_table, dataset, bundle, predict, tmp_path):
    bare = changed(dataset, tmp_path, without_table)
    bundle(
        "evaluating",
        [str(trained_with_table / "configs" / name) for name in ("train.yaml", "evaluate.yaml")],
        bundle_root=str(trained_with_table),
        dataset_dir=str(bare),
        output_dir=str(tmp_path / "evaluation"),
    )
    found = known(tmp_path / "evaluation")
    np.testing.assert_allclose(found, predict(trained_with_table, bare)[found.index], atol=1e-6)


def test_other_columns_than_the_model_s_are_named(trained_with_table, dataset, bundle, quick, tmp_path):
    def line(clinical: list) -> str:
        with pytest.raises(RuntimeError) as caught:
            bundle(
                "evaluating",
                ["configs/train.yaml", "configs/evaluate.yaml"],
                **(quick | {"dataset_dir": str(dataset), "bundle_root": str(trained_with_table)}),
                clinical=clinical,
                output_dir=str(tmp_path / "out"),
            )
        return message_of(caught.value) or ""

    assert "clinical: 'log_afp' (" in line(["age", "sex", "cirrhosis"])
    sex = {"name": "sex", "kind": "category", "values": ["M", "F"]}
    message = line(["age", sex, "log_afp", "cirrhosis"])
    assert "clinical: 'sex' (" in message
    assert "age" not in message
    assert 'clinical (["age", "sex", "log_afp", "cirrhosis"] against ["sex", ' in line(
        ["sex", "age", "log_afp", "cirrhosis"]
    )


@pytest.mark.parametrize(
    ("strategy", "chosen"),
    [("abaf", {}), pytest.param("film", {}, marks=pytest.mark.slow), ("table", {"table#hidden": 0})],
)
def test_every_strategy_on_the_table_trains_and_its_folder_predicts(
    strategy, chosen, bundle, quick, dataset, predict, tmp_path, capsys
):
    """Inference builds the encoder of the table as the training did."""
    folder = tmp_path / strategy
    settings = quick | {"max_epochs": 1, "dataset_dir": str(dataset), "clinical": CLINICAL} | chosen
    files = ["configs/train.yaml", f"configs/fusion/{strategy}.yaml"]
    bundle("training", files, output_dir=str(folder), **settings)
    expected = known(folder)
    np.testing.assert_allclose(predict(folder, dataset)[expected.index], expected, atol=1e-6)
    hidden_layer = [name for name in torch.load(folder / "models" / "model.pt") if name.startswith("table.out")]
    assert bool(hidden_layer) is not bool(chosen)
    capsys.readouterr()
    predict(folder, changed(dataset, tmp_path, without_table))
    blind = "this model reads clinical values alone, and knows nothing of the cases without any: phantom_"
    assert (blind in capsys.readouterr().out) is (strategy == "table")
    finish(str(folder))
    assert capsys.readouterr().out.endswith(" --dataset_dir FOLDER --clinical_table FILE.csv\n")
