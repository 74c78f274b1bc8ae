# SPDX-License-Identifier: Apache-2.0
"""Outliners of a comparison: 15 for 5 folds, none on a patient whom it saw; a planted leak stops the run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scripts.engines.outliner import check_unseen
from workbench.compare.folds import make_folds
from workbench.compare.jobs import Job, Place
from workbench.compare.outlined_measures import measured_of
from workbench.compare.outliners import Outliner, outlined_by, outliners_of
from workbench.compare.outlining import Outlining, train_outliners
from workbench.compare.pool import Pool

from .test_comparing import again, failing

PHASES = ["ed", "es"]
CONFIG = {"phases": PHASES, "reference_phase": "ed", "seed": 0, "outline_width": 8, "outline_encoder": "@outline_x"}


@pytest.fixture
def outlining(tmp_path: Path) -> Outlining:
    """Fifteen patients with a mask per phase, in 5 folds of 2 repeats."""
    items = []
    for number in range(15):
        case = f"c{number:02}"
        item = {"case": case, "patient": f"p{number:02}", "label": ("low", "high", "mid")[number % 3], "clinical": {}}
        image, roi = (
            {phase: str(tmp_path / f"{case}_{phase}{end}.nii.gz") for phase in PHASES} for end in ("", "_seg")
        )
        for path in (*image.values(), *roi.values()):
            values = np.zeros((6, 6, 4), np.uint8)
            values[1:4, 1:4, 1:3] = 1 + ("seg" not in path) * number
            nibabel.save(nibabel.Nifti1Image(values, np.diag([2.0, 2.0, 5.0, 1.0])), path)
        items.append(item | {"image": image, "roi": roi, "site": None})
    pool = Pool("test", PHASES, ["low", "high", "mid"], [], items, structures=["wall"])
    parts = make_folds(pool.values("label"), pool.values("patient"), 5, 2, 0.25, seed=0)
    place = Place(tmp_path, tmp_path / "out", "none", tmp_path)
    measures = measured_of(pool, {}, ["wall"], None, ["volume", "volume_change"])
    return Outlining(place, tmp_path / "out" / "outliner", pool, parts, CONFIG, 0.25, 0, measures)


def as_if_trained(outlining: Outlining, outliner: Outliner) -> None:
    """Put what a training leaves into its folder; the outline shows which network drew it."""
    outlining._write(outliner)
    folder = outlining.folder / outliner.name
    (folder / "models").mkdir(parents=True)
    (folder / "outlines").mkdir()
    (folder / "models" / "model.pt").write_text(outliner.name)
    outlining.row(outliner).parent.mkdir(exist_ok=True)
    outlining.row(outliner).write_text("{}")
    for case in json.loads((outlining.folder / "data" / outliner.name / "dataset.json").read_text())["test"]:
        for phase, path in case["roi"].items():
            values = np.zeros((6, 6, 4), np.uint8)
            values[: len(outliner.left_out) + 1, :2, :2] = 1
            mask = nibabel.Nifti1Image(values, nibabel.load(path).affine)
            nibabel.save(mask, folder / "outlines" / f"{case['case']}_{phase}.nii.gz")


def test_fifteen_outliners_serve_a_repeat_and_none_outlines_whom_it_saw(outlining):
    parts = [part for part in outlining.parts if part.repeat == 1]
    found = outliners_of(parts)
    assert len(found) == len(set(found)) == 15
    assert len(outliners_of(outlining.parts)) == 30
    patients = outlining.pool.values("patient")
    for outliner in found:
        as_if_trained(outlining, outliner)
        data = json.loads((outlining.folder / "data" / outliner.name / "dataset.json").read_text())
        split = {name: {case["patient"] for case in data[name]} for name in ("training", "validation", "test")}
        assert split["test"] == {patients[i] for part in parts if part.fold in outliner.left_out for i in part.test}
        assert set.union(*split.values()) == set(patients)
        assert sum(map(len, split.values())) == len(patients)
        assert split["validation"]
    for fold in parts:
        by = outlined_by(fold, outlining.parts)
        assert set(by) == set(range(15))
        test = {patients[i] for i in fold.test}
        for case, outliner in by.items():
            data = json.loads((outlining.folder / "data" / outliner.name / "dataset.json").read_text())
            saw = {entry["patient"] for entry in data["training"] + data["validation"]}
            assert not saw & (test | {patients[case]}), "the test part stays unseen on every way into a training"
        assert {outlined_by(fold, outlining.parts)[case].left_out for case in fold.test} == {(fold.fold,)}


def test_a_fold_gets_outlines_weights_and_measures_of_the_right_networks(outlining):
    fold = outlining.parts[1]
    for outliner in set(outlined_by(fold, outlining.parts).values()):
        as_if_trained(outlining, outliner)
        assert outlining.run(outliner) is None
        assert outlining.done(outliner)
    folder = outlining.place.folder / "folds" / fold.name
    outlining.write_fold(folder, fold, None, outlines=True)
    data = json.loads((folder / "dataset.json").read_text())
    assert [column["name"] for column in data["clinical"]] == [
        "wall_ed_volume",
        "wall_es_volume",
        "wall_ed_es_volume_change",
    ]
    for split, slices in (("training", 3), ("validation", 3), ("test", 2)):
        for case in data[split]:
            assert case["clinical"]["wall_ed_volume"] == pytest.approx(slices * 4 * 0.02), (split, case["case"])
    assert (folder / "models" / "outline.pt").read_text() == "r1_without_2"
    inside = [*data["training"], *data["validation"]]
    check_unseen(folder, inside)
    assert {path.name for path in (folder / "outlines").glob("*.nii.gz")} == {
        f"{case['case']}.nii.gz" for case in inside
    }


def test_a_planted_leak_stops_the_run(outlining):
    for outliner in outliners_of([part for part in outlining.parts if part.repeat == 1]):
        as_if_trained(outlining, outliner)
    fold = outlining.parts[0]
    for left_out, case in (((1,), fold.test[0]), ((1, 3), outlining.parts[2].test[0])):
        name = Outliner(1, left_out).name
        file = outlining.folder / "data" / name / "dataset.json"
        before = file.read_text()
        data = json.loads(before)
        entry = next(entry for entry in data["test"] if entry["case"] == outlining.pool.items[case]["case"])
        data["training"].append(entry)
        file.write_text(json.dumps(data))
        folder = outlining.place.folder / "folds" / fold.name
        with pytest.raises(
            ValueError, match=rf"did not see their patients, found {entry['case']} \(outlined by {name}\)"
        ):
            outlining.write_fold(folder, fold, None, outlines=True)
        assert not folder.exists()
        file.write_text(before)


def test_a_single_phase_is_seen_alone(outlining):
    outliner = Outliner(1, (1, 2), "es")
    settings = outlining._write(outliner).read_text()
    data = json.loads((outlining.folder / "data" / "r1_without_1_2_es" / "dataset.json").read_text())
    assert data["phases"] == ["es"]
    assert all(set(case["image"]) == set(case["roi"]) == {"es"} for case in data["training"] + data["test"])
    assert "phases:\n- es\n" in settings
    assert "reference_phase: es" in settings
    assert [column["name"] for column in outlining.measures.columns("es")] == ["wall_es_volume"]


def test_what_is_finished_is_kept_and_others_are_refused(outlining):
    every = [part for part in outlining.parts if part.repeat == 1]
    jobs = [Job("concat", part.repeat, part.fold, 0, part.name) for part in every]
    asked: list[str] = []

    def run(work, todo, total, title, first):
        asked.append(f"{len(todo)} of {total}: {first()}")
        return []

    train_outliners(outlining, jobs, run, 2)
    for outliner in outliners_of(every)[:4]:
        as_if_trained(outlining, outliner)
        outlining.run(outliner)
    train_outliners(outlining, jobs, run, 2)
    assert [line.partition(":")[0] for line in asked] == ["15 of 15", "11 of 15"]
    assert "10 more, 2 at a time: about 0.0 h" in asked[1]
    other = Outlining(**{**vars(outlining), "config": CONFIG | {"outline_width": 16}})
    with pytest.raises(ValueError, match="other values of outline_width"):
        train_outliners(other, jobs, run, 2)


def test_two_folds_leave_nothing_to_learn_from(outlining):
    with pytest.raises(ValueError, match=r"found 2 parts; give --folds 3 or more"):
        outliners_of(outlining.parts[:2])


def test_measures_need_what_outlines(bundle, settings, tmp_path):
    message = failing(bundle, tmp_path / "out", settings | {"measures": ["volume"]})
    assert "name configs/regions/outlined.yaml" in message


@pytest.mark.slow
def test_a_comparison_outlines_measures_and_classifies_and_a_leak_stops_it(bundle, settings, tmp_path):
    folder, files = tmp_path / "out", ("configs/compare.yaml", "configs/regions/outlined.yaml")
    tiny = {"spacing": [4.0, 4.0, 8.0], "grid_size": [16, 16, 8], "max_epochs": 1, "val_interval": 1, "patches": 1}
    asked = settings | {f"outline_{key}": value for key, value in tiny.items()} | {"folds": 3, "where_nothing": "whole"}
    asked |= {"strategies": ["concat"], "compared_with": ["random_forest"], "single_repeats": 0, "measures": ["volume"]}
    again(bundle, folder, asked, files)
    rows = {file.stem for file in (folder / "outliner" / "rows").iterdir()}
    assert rows == {f"r1_without_{name}" for name in ("1", "2", "3", "1_2", "1_3", "2_3")}
    for fold in (1, 2, 3):
        data = json.loads((folder / "folds" / f"r1_f{fold}" / "dataset.json").read_text())
        assert "lesion_volume" in {column["name"] for column in data["clinical"]}
        assert all("lesion_volume" in case["clinical"] for case in data["training"] + data["test"])
        job = folder / "jobs" / f"concat_r1_f{fold}_s0"
        alone = (folder / "outliner" / f"r1_without_{fold}" / "models" / "model.pt").read_bytes()
        assert (job / "models" / "outline.pt").read_bytes() == alone
        origin = json.loads((job / "outlines" / "origin.json").read_text())
        assert set(origin) == {case["case"] for case in data["training"] + data["validation"]}
        assert {entry["fold"].count("_") for entry in origin.values()} == {3}, "by networks that left out two folds"
    table = (folder / "comparison.csv").read_bytes()
    shutil.rmtree(folder / "jobs" / "concat_r1_f2_s0")
    (folder / "rows" / "concat_r1_f2_s0.json").unlink()
    file = folder / "outliner" / "data" / "r1_without_2" / "dataset.json"
    before = file.read_text()
    planted = json.loads(before)
    planted["training"].append(planted["test"][0])
    file.write_text(json.dumps(planted))
    message = failing(bundle, folder, asked, files)
    assert f"did not see their patients, found {planted['test'][0]['case']} (outlined by r1_without_2)" in message
    assert not (folder / "jobs" / "concat_r1_f2_s0").exists()
    file.write_text(before)
    again(bundle, folder, asked, files)
    assert (folder / "comparison.csv").read_bytes() == table
