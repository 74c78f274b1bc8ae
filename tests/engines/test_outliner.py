# SPDX-License-Identifier: Apache-2.0
"""No training case is outlined by a network that saw its patient; a planted leak is found."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from scripts.engines.outliner import SHARED, Outliner, check_unseen, folds_of_patients
from scripts.files import stopping
from scripts.files.yaml_files import read_yaml

from tests.conftest import ROOT

CASES = [{"case": f"c{i}", "patient": f"p{i // 2}"} for i in range(8)]


def test_folds_part_patients_and_leave_none_out():
    patients = [case["patient"] for case in CASES]
    folds = folds_of_patients(patients, 3, seed=1)
    assert sorted(index for fold in folds for index in fold) == list(range(8))
    groups = [{patients[index] for index in fold} for fold in folds]
    assert sum(map(len, groups)) == 4
    assert folds == folds_of_patients(patients, 3, seed=1)
    with pytest.raises(ValueError, match=r"outline_folds must be at least 2 and at most .* 4, found 5"):
        folds_of_patients(patients, 5, seed=0)


def test_a_planted_leak_is_found(tmp_path):
    folds = folds_of_patients([case["patient"] for case in CASES], 2, seed=0)
    origin = {}
    for number, fold in enumerate(folds, 1):
        place = tmp_path / "outliner" / "data" / f"fold_{number}"
        place.mkdir(parents=True)
        others = [case for i, case in enumerate(CASES) if i not in fold]
        (place / "dataset.json").write_text(json.dumps({"training": others, "validation": []}))
        origin |= {CASES[i]["case"]: {"fold": f"fold_{number}", "sha256": ""} for i in fold}
    (tmp_path / "outlines").mkdir()
    record = tmp_path / "outlines" / "origin.json"
    record.write_text(json.dumps(origin))
    check_unseen(tmp_path, CASES)
    leaked = CASES[folds[0][0]]["case"]
    record.write_text(json.dumps(origin | {leaked: {"fold": "fold_2", "sha256": ""}}))
    with pytest.raises(ValueError, match=rf"did not see their patients, found {leaked} \(outlined by fold_2\); train"):
        check_unseen(tmp_path, CASES)
    record.write_text(json.dumps({case: entry for case, entry in origin.items() if case != leaked}))
    with pytest.raises(ValueError, match=rf"{leaked} \(outlined by nothing\)"):
        check_unseen(tmp_path, CASES)


def drawn(*values):
    voxels = np.zeros((4, 4, 4), np.uint8)
    voxels.flat[: len(values)] = values
    return voxels


@pytest.mark.parametrize(
    ("mistake", "masks", "words"),
    [
        ("an empty mask for an outliner", {3: drawn()}, r"case c3: a mask must outline something.*roi3.*--empty_masks"),
        ("a value without a name for an outliner", {5: drawn(1, 2, 7)}, r"case c5: .* 1 to 2.*found 7 in .*roi5"),
        ("a structure that no outliner would see", dict.fromkeys(range(8), drawn(1)), r"'lumen' .*in none of 4"),
        ("a network that classifies as outliner", {}, "outline_def must be the SegmentationNetwork .*PhaseFusion"),
        ("no mask for an outliner", {6: None}, "found none of c6; add them"),
    ],
)  # fmt: skip
def test_masks_that_a_training_would_refuse_are_refused_before_the_first(
    mistake, masks, words, save_volume, tmp_path, say
):
    items = []
    for number, case in enumerate(CASES):
        voxels = masks.get(number, drawn(1, 2))
        roi = None if voxels is None else str(save_volume(tmp_path / "in" / f"roi{number}.nii.gz", voxels))
        items.append(case | {"roi": roi, "image": {}})
    cases = SimpleNamespace(training=items[:4], validation=items[4:6], test=items[6:], structures=["wall", "lumen"])
    config = read_yaml(ROOT / "configs" / "regions" / "outlined.yaml") | {"seed": 0, "structures": ["wall", "lumen"]}
    if mistake.startswith("a network"):
        config["outline_def"] = {"_target_": "scripts.networks.PhaseFusionNetwork"}
    with pytest.raises(ValueError, match=words) as caught:
        Outliner(tmp_path / "out", ROOT, cases, config, folds=2).run()
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
    say("Settings" if mistake.startswith("a network") else "Masks", mistake, caught.value)


@pytest.mark.parametrize(
    ("mistake", "given", "words"),
    [
        ("a box outside the scan, for an outliner", {"box": [[5, 0, 0], [9, 4, 4]]}, r"c6: 'box' .* 2 mm outside"),
        ("a point outside the scan, for an outliner", {"point": "0, 0, 30, 10"}, r"c6: 'point' .* 22 mm outside of"),
        ("a box of no size, for an outliner", {"box": [[0, 0, 0], [0, 4, 4]]}, r"c6: 'box' must be two corners"),
    ],
)  # fmt: skip
def test_a_box_that_the_classifier_would_refuse_is_refused_before_the_first_outliner(
    mistake, given, words, save_volume, tmp_path, say
):
    scan = str(save_volume(tmp_path / "in" / "a.nii.gz", drawn(1, 2)))
    everybody = [case | {"roi": scan, "image": {"portal": scan}, "box": [[0, 0, 0], [9, 9, 9]]} for case in CASES]
    everybody[6] = everybody[6] | {"box": None} | given
    cases = SimpleNamespace(training=everybody[:4], validation=[], test=everybody[4:], structures=[])
    config = read_yaml(ROOT / "configs" / "regions" / "outlined.yaml") | {"seed": 0, "reference_phase": "portal"}
    with pytest.raises(ValueError, match=words) as caught:
        Outliner(tmp_path / "out", ROOT, cases, config, folds=2).run()
    assert not (tmp_path / "out").exists()
    say("Masks", mistake, caught.value)


def test_who_stops_the_outliners_is_told_to_resume(tmp_path, monkeypatch):
    """The same command would find the folder filled."""
    monkeypatch.setattr(stopping, "_says", [lambda: "stopped; give the same command again"])
    monkeypatch.setattr(Outliner, "_check_cases", lambda self: None)

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Outliner, "_train", stop)
    cases = SimpleNamespace(training=CASES, validation=[], test=[])
    config = {"seed": 0, "outline_def": {"_target_": "scripts.networks.SegmentationNetwork"}}
    with pytest.raises(KeyboardInterrupt):
        Outliner(tmp_path / "out", ROOT, cases, config, folds=2).run()
    assert stopping.said() == "stopped; --resume true goes on, and keeps the outliners that are trained"


def test_the_outliner_gets_every_setting_of_masks_that_its_overlay_has():
    outlined, segment = (read_yaml(ROOT / "configs" / name) for name in ("regions/outlined.yaml", "segment.yaml"))
    derived = {"name", "region", "config", "structure_names", "mask_kind", "run"}
    assert set(outlined) & set(segment) - derived <= set(SHARED)
