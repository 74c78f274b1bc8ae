# SPDX-License-Identifier: Apache-2.0
"""From masks to a table with units, to columns that a training reads, and what is said about masks that do not fit."""

from __future__ import annotations

import json
import re

import nibabel
import numpy as np
import pytest
import torch
import yaml
from scripts.cases.new_table import with_clinical_table
from scripts.cases.read import read_cases
from scripts.files.csv_text import read_rows
from scripts.files.tables import read_table
from workbench.measure.measuring import measure
from workbench.report.dataset import summarise_dataset
from workbench.report.tables import data_tables

from tests.measure.conftest import SHAPE, SPACING, balls, save

NOTHING = {
    "outlines": None, "phases": None, "structures": None, "walls": [], "baseline": None, "measures": None, "workers": 1
}  # fmt: skip


def run(source, output, **keys):
    return measure(source, output, **(NOTHING | keys))


def rows_of(file):
    return {row["case"]: row for row in read_rows(file)[1]}


def change(folder, edit):
    file = folder / "dataset.json"
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


def test_volumes_and_their_change_are_those_of_the_balls(hearts, tmp_path):
    change(hearts, lambda content: content.update(training=content["training"][:1], validation=[], test=[]))
    row = rows_of(run(hearts, tmp_path / "out", walls=["wall"]))["c0"]

    def number(header):
        return float(row[header])

    volumes = [float(np.sum(balls(radius, 3.0 * (radius < 9)) == 2)) * np.prod(SPACING) / 1000 for radius in (12, 8)]
    assert number("left_cavity_ed_volume [ml]") == pytest.approx(volumes[0], rel=1e-5)
    assert number("left_cavity_ed_volume [ml]") == pytest.approx(4 / 3 * np.pi * 8**3 / 1000, rel=0.05)
    expected = 100 * (volumes[1] - volumes[0]) / volumes[0]
    assert number("left_cavity_ed_es_volume_change [percent]") == pytest.approx(expected, rel=1e-5)
    assert number("left_cavity_ed_es_shift [mm]") == pytest.approx(3, abs=0.05)
    assert number("wall_ed_thickness [mm]") == pytest.approx(4, abs=1)
    assert (number("wall_ed_mean"), number("left_cavity_es_mean"), number("wall_ed_sd")) == (100, 210, 0)
    assert "left_cavity_ed_thickness [mm]" not in row
    assert "left_cavity_ed_enhancement" not in row


def test_the_columns_reach_a_training_in_their_units(hearts, tmp_path):
    file = run(hearts, tmp_path / "out", measures=["volume", "left_cavity_*_change"])
    folder = file.parent
    overlay = yaml.safe_load((folder / "measures.yaml").read_text())
    assert overlay["dataset_dir"] == str(folder)
    names = [column["name"] for column in overlay["clinical"]]
    assert names == [
        "age", "wall_ed_volume", "wall_es_volume", "left_cavity_ed_volume", "left_cavity_es_volume",
        "left_cavity_ed_es_volume_change",
    ]  # fmt: skip
    assert overlay["clinical"][1] == {"name": "wall_ed_volume", "kind": "number", "unit": "ml"}
    cases = read_cases(folder, ["ed", "es"], ["a", "b"], overlay["clinical"])
    item = cases.training[0]
    assert item["clinical"]["age"] == 50
    assert item["clinical"]["wall_ed_volume"] == float(rows_of(file)["c0"]["wall_ed_volume [ml]"])
    content = json.loads((folder / "dataset.json").read_text())
    assert content["structures"] == ["wall", "left cavity"]
    assert content["preparation"] == ["measures of wall, left cavity from the masks in dataset.json (see measures.csv)"]


def test_the_table_is_what_new_cases_are_given(hearts, tmp_path):
    """As `inferring --clinical_table` joins it, without a warning about units or columns."""
    file = run(hearts, tmp_path / "out", measures=["volume", "sphericity"])
    columns = yaml.safe_load((file.parent / "measures.yaml").read_text())["clinical"][1:]
    items, notes = with_clinical_table([{"case": "c1", "patient": "p1", "clinical": {}}], file, columns)
    content = json.loads((file.parent / "dataset.json").read_text())
    expected = content["training"][1]["clinical"]
    assert items[0]["clinical"] == {name: value for name, value in expected.items() if name != "age"}
    without, unread = (line.split(":")[0] for line in notes)
    assert without == "rows of the clinical table without a case, left out"
    assert unread == "columns of the clinical table that the model does not read"
    assert read_table(file, "table", "--x").headers[:2] == ["case", "patient"]


def test_the_same_command_again_replaces_its_own_columns(hearts, tmp_path):
    first = run(hearts, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in first.parent.iterdir()}
    run(hearts, tmp_path / "out")
    assert {path.name: path.read_bytes() for path in first.parent.iterdir()} == before
    again = run(first.parent, tmp_path / "more", measures=["volume"])
    names = [column["name"] for column in json.loads((again.parent / "dataset.json").read_text())["clinical"]]
    assert len(names) == len(set(names))


def test_one_mask_of_a_case_is_measured_once_and_seen_in_every_phase(hearts, tmp_path):
    def single(content):
        for split in ("training", "validation", "test"):
            for entry in content[split]:
                entry["roi"] = entry["roi"]["ed"]

    change(hearts, single)
    row = rows_of(run(hearts, tmp_path / "out", baseline="ed", measures=["volume", "enhancement"]))["c2"]
    labels = balls(12.4)
    es = np.asarray(nibabel.load(hearts / "c2" / "es.nii.gz").dataobj)
    assert float(row["wall_es_mean"]) == pytest.approx(es[labels == 1].mean(), rel=1e-5)
    assert float(row["wall_es_enhancement"]) == pytest.approx(es[labels == 1].mean() - 100, rel=1e-4)
    assert float(row["wall_volume [ml]"]) == pytest.approx((labels == 1).sum() * 3 / 1000, rel=1e-5)
    assert not any("shift" in name or "change" in name for name in row)


def test_an_image_on_another_grid_is_read_where_the_mask_lies(hearts, tmp_path):
    """The image with its axes in another order and direction, and on twice as many voxels, has the same values."""
    plain = rows_of(run(hearts, tmp_path / "plain"))["c1"]
    path = hearts / "c1" / "ed.nii.gz"
    image = nibabel.load(path)
    before = np.array(image.dataobj)
    turned = nibabel.as_closest_canonical(image).as_reoriented(np.array([[2, -1], [0, 1], [1, -1]]))
    nibabel.save(turned, path)
    assert rows_of(run(hearts, tmp_path / "turned"))["c1"] == plain
    voxels = np.repeat(before, 2, axis=0)
    affine = image.affine @ np.diag([0.5, 1, 1, 1])
    affine[0, 3] -= 0.25 * SPACING[0]
    save(path, voxels, affine)
    fine = rows_of(run(hearts, tmp_path / "fine"))["c1"]
    assert float(fine["wall_ed_mean"]) == pytest.approx(float(plain["wall_ed_mean"]), abs=1)


def test_without_names_all_is_one_lesion(hearts, tmp_path):
    change(hearts, lambda content: content.pop("structures"))
    row = rows_of(run(hearts, tmp_path / "out"))["c0"]
    assert float(row["lesion_ed_volume [ml]"]) == pytest.approx((balls(12) > 0).sum() * 3 / 1000, rel=1e-5)


def test_a_mask_that_is_empty_or_missing_leaves_cells_empty(hearts, tmp_path):
    save(hearts / "c0" / "es_seg.nii.gz", np.zeros(SHAPE, np.uint8))

    def without(content):
        content["training"][1]["roi"].pop("es")
        del content["training"][2]["roi"]

    change(hearts, without)
    found = rows_of(run(hearts, tmp_path / "out"))
    assert (found["c0"]["wall_es_volume [ml]"], found["c0"]["wall_es_diameter [mm]"]) == ("0.0", "")
    assert float(found["c0"]["wall_ed_es_volume_change [percent]"]) == -100
    assert found["c1"]["wall_es_volume [ml]"] == found["c1"]["wall_ed_es_volume_change [percent]"] == ""
    assert set(found["c2"].values()) == {"c2", "p2", ""}
    item = read_cases(tmp_path / "out", ["ed", "es"], ["a", "b"], ["wall_es_diameter"]).training[0]
    assert item["clinical"] == {}


@pytest.mark.parametrize("layout", ["{case}_{phase}.nii.gz", "{case}/{phase}.nii.gz"])
def test_outlines_of_a_model_take_the_place_of_masks(hearts, tmp_path, layout):
    masks = rows_of(run(hearts, tmp_path / "masks"))
    for number in range(8):
        for phase in ("ed", "es"):
            voxels = nibabel.load(hearts / f"c{number}" / f"{phase}_seg.nii.gz").get_fdata().astype(np.uint8)
            save(tmp_path / "outlines" / layout.format(case=f"c{number}", phase=phase), voxels)

    def none(content):
        for split in ("training", "validation", "test"):
            for entry in content[split]:
                del entry["roi"]

    change(hearts, none)
    file = run(hearts, tmp_path / "out", outlines=tmp_path / "outlines")
    assert rows_of(file) == masks
    assert "from the outlines in outlines" in (file.parent / "dataset.json").read_text()


def test_outlines_by_a_network_that_saw_the_patient_are_refused(hearts, tmp_path, capsys):
    place = tmp_path / "model"
    for number in range(8):
        for phase in ("ed", "es"):
            save(place / "outlines" / f"c{number}_{phase}.nii.gz", balls(12))
    run(hearts, tmp_path / "unknown", outlines=place / "outlines")
    assert "does not say whose they are" in capsys.readouterr().out
    origin = {f"c{number}": {"fold": f"f{number % 2}"} for number in range(8)}
    (place / "outlines" / "origin.json").write_text(json.dumps(origin))
    for fold in range(2):
        folder = place / "outliner" / "data" / f"f{fold}"
        folder.mkdir(parents=True)
        seen = [{"patient": f"p{number}"} for number in range(4) if number % 2 != fold]
        (folder / "dataset.json").write_text(json.dumps({"training": seen, "validation": []}))
    run(hearts, tmp_path / "clean", outlines=place / "outlines")
    assert "does not say" not in capsys.readouterr().out
    (place / "outlines" / "origin.json").write_text(json.dumps(origin | {"c2": {"fold": "f1"}}))
    with pytest.raises(ValueError, match=r"did not see their patients, found c2 \(outlined by f1\)"):
        run(hearts, tmp_path / "leak", outlines=place / "outlines")
    assert not (tmp_path / "leak").exists()


def test_classes_are_told_apart_on_the_screen_and_in_the_report(hearts, tmp_path, capsys):
    save(hearts / "c0" / "es_seg.nii.gz", np.zeros(SHAPE, np.uint8))
    file = run(hearts, tmp_path / "out", measures=["left_cavity_ed_volume", "wall_es_diameter"])
    screen = capsys.readouterr().out
    volumes = [float(row["left_cavity_ed_volume [ml]"]) for row in rows_of(file).values()]
    mean, spread = np.mean(volumes[::2]), np.std(volumes[::2], ddof=1)
    assert f"{mean:.2f} +- {spread:.2f}" in screen
    assert "(n = 3)" in screen
    summary = summarise_dataset(file.parent, ["ed", "es"])
    (table,) = [one for one in data_tables(summary, {}) if one.title == "Measures, hearts"]
    assert table.header == ["measure", "a (n = 4)", "b (n = 4)"]
    assert table.rows[1][:2] == ["left_cavity_ed_volume (ml)", f"{mean:.2f} ± {spread:.2f}"]
    assert "measures" not in summarise_dataset(hearts, ["ed", "es"])


def test_new_cases_need_no_dataset(hearts, tmp_path):
    new = tmp_path / "new"
    save(new / "x" / "ed.nii.gz", np.array([5, 100, 200])[balls(12)].astype(np.int16))
    save(new / "x" / "seg.nii.gz", balls(12))
    file = run(new, tmp_path / "out", phases=["ed", "es"], structures=["wall", "left cavity"])
    assert rows_of(file)["x"]["wall_ed_mean"] == "100.0"
    assert sorted(path.name for path in file.parent.iterdir()) == ["measures.csv"]


MISTAKES = {
    "a value without a name": (
        lambda f: save(f / "c1" / "es_seg.nii.gz", balls(8) * np.uint8(3)),
        {},
        "case c1: roi of phase 'es': the volume must hold 0 and the values 1 to 2 of `structures` .wall, left cavity., "
        "found 3, 6 in .*; name every value",
    ),
    "another place": (
        lambda f: save(
            f / "c1" / "es_seg.nii.gz", balls(8), np.array(nibabel.affines.from_matvec(np.diag(SPACING), [90, 0, 0]))
        ),
        {},
        "case c1: phase 'es': 'wall' in .* must lie inside the image, found 100% of it outside",
    ),
    "one mask and several": (
        lambda f: change(f, lambda c: c["test"][0].update(roi=c["test"][0]["roi"]["ed"])),
        {},
        "all cases must have one mask, or all one for each phase, found one of case c6 and several of case c0",
    ),
    "no masks": (
        lambda f: change(f, lambda c: [e.pop("roi") for s in ("training", "validation", "test") for e in c[s]]),
        {},
        r"cases must have a mask \('roi' in dataset.json\) to be measured, found none in 8 cases; give outlines",
    ),
    "no outlines": (None, {"outlines": "nowhere"}, "folder of outlines .*nowhere does not exist; correct --outlines"),
    "an unknown wall": (None, {"walls": ["wal"]}, r"`walls`: 'wal' is not among the structures .* \(nearest: 'wall'\)"),
    "an unknown baseline": (None, {"baseline": "pre"}, "`baseline`: 'pre' is not among the phases"),
    "an unknown measure": (None, {"measures": ["volum"]}, r"'volum' must be one of .*\(nearest: 'volume'\); correct"),
    "thickness of nothing": (None, {"measures": ["thickness"]}, "'thickness' needs the names of walls"),
    "contrast without baseline": (None, {"measures": ["washout"]}, "'washout' needs the phase without contrast"),
    "no dataset": (None, {"dataset_dir": None}, "dataset_dir must be given"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_nothing_is_written(mistake, hearts, tmp_path):
    edit, keys, said = MISTAKES[mistake]
    if edit is not None:
        edit(hearts)
    keys = {"dataset_dir": hearts, "output_dir": tmp_path / "out"} | NOTHING | keys
    with pytest.raises((ValueError, OSError)) as caught:
        measure(**keys)
    assert re.search(said, str(caught.value))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_every_bad_mask_is_told_at_once(hearts, tmp_path):
    for case in ("c1", "c4"):
        save(hearts / case / "ed_seg.nii.gz", balls(8) * 3)
    with pytest.raises(ValueError, match="2 of 8 cases cannot be used") as caught:
        run(hearts, tmp_path / "out")
    assert [line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:]] == ["case c1", "case c4"]


def test_the_dataset_that_is_read_is_never_replaced(hearts, tmp_path):
    before = (hearts / "dataset.json").read_bytes()
    with pytest.raises(ValueError, match="output_dir must be a folder of its own"):
        run(hearts, hearts)
    assert (hearts / "dataset.json").read_bytes() == before


@pytest.mark.slow
def test_two_commands_train_on_measures(bundle, quick, small_phantom, tmp_path):
    keys = {"dataset_dir": str(small_phantom), "output_dir": str(tmp_path / "out"), "baseline": "pre", "workers": 1}
    bundle("measuring", ["configs/measure.yaml"], **keys)
    own = {key: value for key, value in quick.items() if key != "dataset_dir"} | {"max_epochs": 1}
    files = ["configs/train.yaml", str(tmp_path / "out" / "measures.yaml"), "configs/fusion/film.yaml"]
    bundle("training", files, output_dir=str(tmp_path / "trained"), **own)
    model = yaml.safe_load((tmp_path / "trained" / "configs" / "train.yaml").read_text())
    assert "lesion_volume" in [column["name"] for column in model["clinical"]]
    weights = torch.load(tmp_path / "trained" / "models" / "model.pt", weights_only=True)
    mean = np.mean(
        [float(row["lesion_volume [ml]"]) for row in list(rows_of(tmp_path / "out" / "measures.csv").values())[:24]]
    )
    assert any(
        np.isclose(value.numpy(), mean, rtol=1e-4).any() for value in weights.values() if value.is_floating_point()
    )
