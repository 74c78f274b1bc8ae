# SPDX-License-Identifier: Apache-2.0
"""Names are data: what a dataset calls its cases, classes, phases and columns is never an order to MONAI."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shlex
from pathlib import Path

import fire
import nibabel
import numpy as np
import pytest
import yaml
from monai.bundle import ConfigParser
from monai.bundle.scripts import run
from scripts.engines.results import write_yaml
from scripts.engines.running import training_command
from scripts.engines.twins import write_twins
from scripts.files.errors import message_of
from scripts.files.plain_text import is_safe_name, safe_name
from scripts.metrics.predictions import read_predictions
from workbench.compare.strategies import write_settings
from workbench.pages import remove_own_paths
from workbench.prepare.write import Dataset, overlay_of

from tests.conftest import ROOT

CASES = ["p#{}", "$open('{}', 'w')", "@p{}", "100%_{}", "it's {}", "%x{}", "a::b{}", "no{}"]


def overlay(name: str = "x", reference: str = "pre", **changes: list) -> str:
    """Return the text of data.yaml with what came from data changed."""
    given = {"phases": ["pre"], "classes": ["low", "high"], "columns": []} | changes
    dataset = Dataset(name, Path("/x"), **given, positive=None, views=[])
    phases = [("phases", dataset.phases, "comment"), ("reference_phase", reference, "comment")]
    return overlay_of(dataset, phases, [("grid_size", [1, 1, 1], "comment")])


def write(folder: Path, phases: list[str], labels: list[str], cases: int = 16, column: str = "age") -> None:
    rows = [["case", "label", column, "patient", "site"]]
    for number in range(cases):
        name = CASES[number % len(CASES)].format(number)
        for phase in phases:
            voxels = np.random.default_rng([number, len(phase)]).integers(0, 200, (16, 16, 8)).astype(np.int16)
            file = folder / "images" / name / f"{phase}.nii.gz"
            file.parent.mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), file)
        rows.append([name, labels[number % len(labels)], str(40 + number * 7 % 13)])
        rows[-1] += [f"$open('{number}', 'w')", "$open('site', 'w')"]
    with (folder / "labels.csv").open("w", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)


def bundle_command(*arguments: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as said:
        fire.Fire(run, command=list(arguments))
    return said.getvalue()


def prepare(folder: Path, labels: str = "labels.csv", *more: str) -> str:
    return bundle_command(
        "preparing", "--config_file", str(ROOT / "configs" / "prepare.yaml"), "--bundle_root", str(ROOT),
        "--layout", "folders", "--source", str(folder / "images"), "--labels", str(folder / labels),
        "--output", str(folder / "data"), "--workers", "1", "--quality", "off", *more,
    )  # fmt: skip


@pytest.mark.usefixtures("without_pixels")
def test_a_dataset_full_of_signs_is_prepared_trained_on_and_predicted(tmp_path, monkeypatch):
    folder = tmp_path / "it's #1 $x @y"
    write(folder, ["T1+C", "null"], ["no", "1e5"], column="say 'age'")
    said = prepare(folder)
    document = json.loads((folder / "data" / "dataset.json").read_text())
    assert document["classes"] == ["1e5", "no"]
    monkeypatch.chdir(ROOT)
    command = shlex.split(next(line for line in said.splitlines() if "run training" in line))[4:]
    results = tmp_path / "out #2"
    small = ["--max_epochs", "1", "--grid_size", "16,16,8", "--spacing", "1,1,1", "--missing_phases", "no"]
    bundle_command(*command, *small, "--output_dir", str(results), "--bundle_root", str(ROOT))
    trained = yaml.safe_load((results / "configs" / "train.yaml").read_text())
    assert ConfigParser(trained).get_parsed_content("dataset_dir") == str(folder / "data")
    assert (trained["classes"], trained["phases"]) == (["1e5", "no"], ["T1+C", "null"])
    bundle_command(
        "inferring", "--config_file", str(results / "configs" / "inference.yaml"), "--bundle_root", str(results)
    )
    found = read_predictions(results / "inference" / "predictions.csv")
    assert set(found.cases) <= {CASES[number % len(CASES)].format(number) for number in range(16)}
    assert found.classes == ["1e5", "no"]
    assert not [file for name in ("site", *range(16)) for file in (folder, ROOT) if (file / str(name)).exists()]
    remove_own_paths(results / "configs" / "train.yaml")
    assert str(tmp_path) not in (results / "configs" / "train.yaml").read_text()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"labels": ["grade #2", "grade 1"]}, "labels must not.*found 'grade #2' (e.g. 'grade 2')"),
        ({"labels": ["$x", "@y"]}, "found '$x' (e.g. 'x'), '@y' (e.g. 'at y')"),
        ({"phases": ["pre", "%late"]}, "names of phases must not.*'%late' (e.g. 'percent late')"),
        ({"phases": ["a::b"]}, "'a::b' (e.g. 'a:b')"),
        ({"column": "# of lesions"}, "'# of lesions' (e.g. 'number of lesions')"),
        ({"column": "_target_"}, "'_target_' (e.g. 'target')"),
        ({"column": "$__import__('os')"}, "clinical columns in the table must not"),
    ],
)
def test_a_name_that_monai_would_not_keep_is_refused_with_the_nearest_that_it_does(change, expected, tmp_path):
    write(tmp_path, **({"phases": ["pre"], "labels": ["low", "high"]} | change))
    with pytest.raises((RuntimeError, ValueError)) as caught:
        prepare(tmp_path)
    message = message_of(caught.value) or ""
    for part in expected.split(".*"):
        assert part in message
    assert not (tmp_path / "data" / "dataset.json").exists()


@pytest.mark.parametrize(("row", "column"), [(0, 2), (1, 1), (2, 2)])
def test_cells_of_excel_are_no_orders(row, column, tmp_path, monkeypatch):
    openpyxl = pytest.importorskip("openpyxl", reason="pip install -r requirements-excel.txt")
    write(tmp_path, ["pre"], ["low", "high"], column="sex")
    with (tmp_path / "labels.csv").open() as stream:
        rows = [[*line[:2], "FM"[number % 2] if number else "sex"] for number, line in enumerate(csv.reader(stream))]
    rows[row][column] = "$open('witness', 'w')"
    book = openpyxl.Workbook()
    for line in rows:
        book.active.append(line)
    book.save(tmp_path / "labels.xlsx")
    monkeypatch.chdir(tmp_path)
    with pytest.raises((RuntimeError, ValueError)) as caught:
        prepare(tmp_path, "labels.xlsx")
    assert "must not have '#'" in (message_of(caught.value) or "")
    assert not (tmp_path / "witness").exists()


PAYLOADS = ["$open('witness','w')", "@dataset_dir", "%train", "_mode_"]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_payload_as_header_of_a_clinical_table_is_refused(payload, tmp_path, monkeypatch):
    write(tmp_path, ["pre"], ["low", "high"])
    rows = [["case", payload], *([CASES[n % len(CASES)].format(n), str(n)] for n in range(16))]
    with (tmp_path / "clinical.csv").open("w", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    monkeypatch.chdir(tmp_path)
    with pytest.raises((RuntimeError, ValueError)) as caught:
        prepare(tmp_path, "labels.csv", "--clinical_table", "clinical.csv")
    assert "clinical columns in the table must not have '#'" in (message_of(caught.value) or "")
    assert not (tmp_path / "data" / "dataset.json").exists()
    assert not (tmp_path / "witness").exists()


@pytest.mark.parametrize("payload", PAYLOADS[:2])
@pytest.mark.usefixtures("without_pixels")
def test_the_printed_command_executes_no_name_of_a_folder_or_image(payload, tmp_path, monkeypatch):
    """All paths are relative, so that a payload stands at their beginning."""
    rows = ["case;label;pre"]
    for number in range(12):
        voxels = np.random.default_rng(number).integers(0, 200, (16, 16, 8)).astype(np.int16)
        file = tmp_path / payload / f"{payload}{number}.nii.gz"
        file.parent.mkdir(exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), file)
        rows.append(f"p{number};{'ab'[number % 2]};{file.name}")
    (tmp_path / payload / "cases.csv").write_text("\n".join(rows))
    monkeypatch.chdir(tmp_path)
    said = bundle_command(
        "preparing", "--config_file", str(ROOT / "configs" / "prepare.yaml"), "--bundle_root", str(ROOT),
        "--layout", "table", "--source", f"./{payload}/cases.csv", "--output", f"./{payload}",
        "--workers", "1", "--quality", "off",
    )  # fmt: skip
    command = shlex.split(next(line for line in said.splitlines() if "run training" in line))[4:]
    small = ["--max_epochs", "1", "--grid_size", "16,16,8", "--spacing", "1,1,1", "--missing_phases", "no"]
    bundle_command(*command, *small, "--output_dir", "out")
    trained = yaml.safe_load((tmp_path / "out" / "configs" / "train.yaml").read_text())
    assert trained["dataset_dir"] == str(tmp_path / payload)
    assert not list(tmp_path.rglob("witness"))


@pytest.mark.parametrize("name", ["#", "$$x", "@", "%%", "a###b", "::", "_mode_", "$import os", "ok"])
def test_the_nearest_name_is_safe(name):
    assert is_safe_name(safe_name(name))
    assert safe_name(name)


@pytest.mark.parametrize("name", ["$x", "@x", "%x", "a#b", "_target_"])
def test_nothing_of_the_data_reaches_an_overlay_as_an_order(name):
    column = {"name": "sex", "kind": "category", "values": ["F", name]}
    changes = {"classes": {"classes": ["low", name]}, "phases": {"phases": [name]}, "clinical": {"columns": [column]}}
    for key, change in changes.items():
        with pytest.raises(ValueError, match=f"`{key}` of data.yaml must not have"):
            overlay(**change)


@pytest.mark.parametrize("name", ["$x", "@x", "%x", "a#b", "_target_"])
@pytest.mark.parametrize("key", ["classes", "clinical", "positive", "displayable_configs"])
def test_nothing_of_the_data_reaches_a_configuration_as_an_order(key, name, tmp_path):
    column = {"name": "sex", "kind": "category", "values": ["F", "M"], "note": name}
    config = {key: {"clinical": [column], "positive": name}.get(key, {"x": name})}
    with pytest.raises(ValueError, match=f"names in `{key}` of train.yaml must not have"):
        write_yaml(tmp_path / "train.yaml", config, [ROOT / "configs" / "train.yaml"], "title")
    with pytest.raises(ValueError, match=f"names in `{key}` of settings.yaml must not have"):
        write_settings(tmp_path, config)
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(ValueError, match=f"names in `{key}` of train.yaml must not have"):
        write_twins(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["train.yaml"]


def test_a_name_with_a_line_break_adds_no_line_to_an_overlay():
    with pytest.raises(ValueError, match="text in one line"):
        overlay("x\nimports: [$1]")


def _edit(document: dict, place: str, payload: str) -> None:
    """Put a payload into dataset.json as someone would who edits it by hand."""
    column = {"name": "sex", "kind": "category", "values": ["F", "M"]}
    document["clinical"] = [column]
    changes = {
        "phases": lambda: document.update(phases=[payload, *document["phases"][1:]]),
        "classes": lambda: document.update(classes=[payload, "high"]),
        "positive": lambda: document.update(positive=payload),
        "column": lambda: column.update(name=payload),
        "value": lambda: column["values"].append(payload),
        "unit": lambda: column.update(unit=payload),
        "foreign key": lambda: column.update(note=payload),
        "values of a number": lambda: column.update(kind="number", values=[{"_target_": "builtins.open"}]),
        "component": lambda: column.update(_target_="builtins.open", file="witness", mode="w"),
        "label": lambda: document["training"][0].update(label=payload),
        "image": lambda: document["training"][0]["image"].update({payload: "x.nii.gz"}),
        "clinical": lambda: document["training"][0].update(clinical={payload: "F"}),
    }
    changes[place]()


PLACES = [
    *("phases", "classes", "positive", "column", "value", "unit", "foreign key", "values of a number"),
    *("component", "label", "image", "clinical"),
]


@pytest.mark.parametrize("place", PLACES)
def test_a_dataset_json_edited_by_hand_runs_nothing(place, small_phantom, bundle, quick, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    document = json.loads((small_phantom / "dataset.json").read_text())
    for entry in document["training"] + document["validation"] + document["test"]:
        entry["image"] = {phase: str(small_phantom / path) for phase, path in entry["image"].items()}
        entry["roi"] = str(small_phantom / entry["roi"])
        entry["clinical"] = {}
    _edit(document, place, "$open('witness', 'w')")
    (tmp_path / "dataset.json").write_text(json.dumps(document))
    named = {key: document[key] for key in ("phases", "classes")}
    clinical = [column["name"] for column in document["clinical"]]
    overlays = [{}, {"clinical": clinical}, named | {"clinical": document["clinical"]}]
    for overlay in overlays[2 * (place == "classes") :]:  # the classes of dataset.json are not read
        with pytest.raises((ValueError, RuntimeError)) as caught:
            bundle(
                "training", ["configs/train.yaml"], output_dir=str(tmp_path / "out"),
                **quick | {"dataset_dir": str(tmp_path)} | overlay,
            )  # fmt: skip
        assert "\n" not in (message_of(caught.value) or "\n")
        assert {file.name for file in tmp_path.iterdir()} == {"dataset.json"}


@pytest.mark.parametrize(
    "name", ["no", "null", "1e5", "0x1", "012", "~", "2024-01-01", "1:30", "it's", 'a "b"', "- a", "a: b"]
)
def test_words_of_yaml_come_back_as_texts(name, tmp_path):
    file = tmp_path / "data.yaml"
    file.write_text(overlay(reference=name, classes=[name, "b"]))
    parser = ConfigParser(ConfigParser.load_config_file(file))
    assert parser.get_parsed_content("classes") == [name, "b"]
    assert parser.get_parsed_content("reference_phase") == name


@pytest.mark.parametrize(
    "path", ["/a b/data.yaml", "/it's/data.yaml", "/$HOME/#1/data.yaml", '/say "x"/`ls`/data.yaml']
)
def test_the_command_that_is_printed_can_be_typed(path):
    words = shlex.split(training_command([path]))
    found = {}
    fire.Fire(lambda config_file: found.update(files=config_file), command=words[5:])
    assert found["files"] == ["configs/train.yaml", path]


def test_the_command_that_is_printed_elsewhere_names_the_bundle(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = shlex.split(training_command(["data.yaml"]))
    assert words[6:] == [f"['{ROOT}/configs/train.yaml','data.yaml']", "--bundle_root", str(ROOT)]
    monkeypatch.chdir(ROOT.parent)
    assert shlex.split(training_command(["configs/data/acdc.yaml"]))[6:] == [
        f"['{ROOT.name}/configs/train.yaml','{ROOT.name}/configs/data/acdc.yaml']",
        "--bundle_root",
        ROOT.name,
    ]
