# SPDX-License-Identifier: Apache-2.0
"""What a report says about outlines: each warning planted, who outlined whom, and which cases are shown."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scripts.engines.outlines import COLUMNS, outline_path
from scripts.files.atomic import write_table
from scripts.metrics.lesions import LesionsFound, lesion_summary
from scripts.metrics.outlines import outline_scores, outline_summary
from scripts.metrics.predictions import Predictions
from scripts.volumes.open import open_volume
from scripts.volumes.original_grid import GridVolume, save_nifti
from workbench.explain.phase_slice import anatomical_slice, orientation_of
from workbench.report.contents import read_contents
from workbench.report.outline_figure import draw_outlines, froc_figure
from workbench.report.outlined import outlined_section
from workbench.report.outlined_figure import chosen_cases, outlined_shot
from workbench.report.outlines import metric_tables_of, outline_cautions, outline_headline

WHOLE = np.ones((4, 4, 4), np.uint8)


def contents(folder, outlined=WHOLE, drawn=WHOLE, patients=12, wrong=0):
    """Return a folder whose patients have one lesion each, all outlined alike but for the first `wrong`."""
    rows, lesions = [], []
    for number in range(patients):
        found = outlined if number >= wrong else 0 * WHOLE
        names = {"case": f"c{number}", "patient": f"p{number}", "mask": ""}
        rows += [names | row for row in outline_scores(found, drawn, (1, 1, 1), ["lesion"])]
        lesions.append(LesionsFound(f"c{number}", f"p{number}", (0.9, 0.4), (0, None), 1))
    metrics = {"name": "test", "seed": 0, "n": patients, "outlines": outline_summary(rows, 50)}
    (folder / "metrics.json").write_text(json.dumps(metrics | {"lesions": lesion_summary(lesions, draws=50)}))
    return read_contents(folder)


def test_good_outlines_warn_of_nothing_and_each_fault_of_itself(tmp_path):
    assert list(outline_cautions(contents(tmp_path))) == []
    (few,) = outline_cautions(contents(tmp_path, patients=9))
    assert few.found == "The test split has masks of 9 patients only."
    missed, wide = outline_cautions(contents(tmp_path, wrong=3))
    assert missed.found == "lesion, of 12 cases: nothing was outlined in 3 though it was drawn."
    assert wide.found.startswith("The 95% interval of the Dice of lesion is ")
    (nobody,) = outline_cautions(contents(tmp_path, outlined=0 * WHOLE, drawn=0 * WHOLE))
    assert nobody.found == "No case of the test split shows lesion, nor was it outlined."
    found = contents(tmp_path)
    found.metrics["lesions"]["false_positives_per_case"] = 1.5
    assert [one.found for one in outline_cautions(found)] == ["There are 1.500 false positives per case."]
    (without,) = outline_cautions(replace(found, metrics=None))
    assert without.found == "No case of the test split has a mask."
    assert outline_headline(replace(found, metrics=None)).startswith("Nothing could be measured")


def test_the_sentence_and_the_tables_are_those_of_metrics_json(tmp_path):
    found = contents(tmp_path, wrong=3)
    bounds = found.metrics["outlines"][0]["dice_interval"]
    said = f"Dice of lesion 0.750 (95% interval {bounds[0]:.3f} to {bounds[1]:.3f}); share of lesions found 1.000 ("
    assert outline_headline(found).startswith(said)
    overlap, volume, lesions = metric_tables_of(found)
    assert overlap.rows[0][:3] == ["lesion", "12", f"0.750 [{bounds[0]:.3f}, {bounds[1]:.3f}]"]
    assert volume.rows[0][1] == "0 / 3 / 0"
    assert ["sensitivity at 0.125 false positives per case", "1.000"] in lesions.rows


def test_the_froc_curve_of_metrics_json_is_drawn_with_its_band(tmp_path):
    axes = froc_figure({"": contents(tmp_path).metrics["lesions"]}).axes[0]
    curve, point = axes.get_lines()
    assert curve.get_xdata()[-1] == 1.0
    assert set(curve.get_ydata()) == {1.0}
    assert (point.get_xdata()[0], point.get_ydata()[0]) == (1.0, 1.0)


@pytest.mark.parametrize("recorded", [True, False])
def test_a_classifier_says_who_outlined_whom_and_how_many_pieces(recorded, tmp_path):
    metrics = contents(tmp_path).metrics
    found = replace(
        contents(tmp_path),
        model=tmp_path,
        config={"region": {"_target_": "scripts.transforms.OutlinedRegiond"}},
        evaluation={"regions": {"cases": 40, "pieces": {"a": 2, "b": 2, "c": 3, "d": 0}}},
    )
    if recorded:
        (tmp_path / "outlines").mkdir()
        folds = {f"t{n}": {"fold": f"fold_{1 + n % 2}", "sha256": ""} for n in range(5)}
        (tmp_path / "outlines/origin.json").write_text(json.dumps(folds))
        (tmp_path / "outliner/all").mkdir(parents=True)
        (tmp_path / "outliner/all/metrics.json").write_text(json.dumps(metrics))
    section = outlined_section(found)
    who, pieces = section.sentences
    assert "2 networks that had not seen their patients (3 by fold 1, 2 by fold 2)" in who or not recorded
    assert who.startswith("5 cases that" if recorded else "Which network outlined the training cases is not recorded")
    assert pieces.startswith(
        "In 3 of 40 reported cases the outline is in several pieces (2 with 2, 1 with 3); the largest"
    )
    assert pieces.endswith(
        "In 1 of 40 reported cases nothing was outlined, and the classifier saw the whole volume: d."
    )
    assert len(section.tables) == (3 if recorded else 0)
    assert outlined_section(replace(found, config={"region": {"_target_": "scripts.transforms.MaskRegiond"}})) is None


def test_the_surest_right_the_least_sure_and_the_surest_wrong_are_shown():
    high = np.array([0.9, 0.8, 0.55, 0.2, 0.05])
    found = Predictions(list("abcde"), np.stack([1 - high, high], axis=1), ["low", "high"], [1, 0, 1, 1, 0])
    assert chosen_cases(found) == [("surest and right", 4), ("least sure", 2), ("surest and wrong", 1)]
    assert chosen_cases(replace(found, labels=None)) == [("surest", 4), ("a middle case", 1), ("least sure", 2)]
    one = Predictions(["a"], np.array([[0.1, 0.9]]), ["low", "high"], [1])
    assert chosen_cases(one) == [("surest and right", 0)]


def test_the_picture_is_the_slice_of_the_scan_in_which_most_is_outlined(save_volume, tmp_path):
    file = save_volume(tmp_path / "scan.nii.gz", np.random.default_rng(0).random((20, 20, 12)).astype(np.float32))
    volume = open_volume(str(file), "scan")
    outline = np.zeros((10, 10, 6), np.uint8)  # on voxels twice as long
    outline[2:4, 2:4, 1], outline[2:8, 3:7, 3] = 1, 1
    double = volume.affine @ np.diag([2.0, 2.0, 2.0, 1.0])
    found = {
        "reference": "pre", "volumes": {"pre": volume}, "outline": GridVolume(outline, double), "grid_affine": double,
        "image": {"pre": np.zeros((8, 8, 6))}, "region_pieces": 2,
    }  # fmt: skip
    shot = outlined_shot([lambda item: item | found, lambda item: 1 / 0], {"case": "a"})
    flat = anatomical_slice(volume.read(), "axial", orientation_of(volume), [1, 1, 1], 6)[0]
    np.testing.assert_array_equal(shot.scan, flat)
    assert (shot.pieces, shot.drawn, (shot.outline > 0.5).sum()) == (2, None, pytest.approx(24 * 4, rel=0.3))
    assert shot.volume_ml == pytest.approx(28 * abs(np.linalg.det(double[:3, :3])) / 1000)
    assert 0.5 < (shot.seen > 0.5).mean() < 0.8  # 8 of 10 voxels in both directions


@pytest.mark.parametrize("case", ["p1", "= 2 # b", "-x", "'=x"])
def test_a_case_with_a_name_like_a_formula_is_drawn(tmp_path, case):
    contents(tmp_path, patients=1)
    scan, mask = tmp_path / "scan.nii.gz", np.zeros((12, 12, 6), np.uint8)
    mask[4:8, 4:8, 2:4] = 1
    save_nifti(scan, (100 * mask + np.arange(6)).astype(np.float32), np.eye(4))
    outline = outline_path(tmp_path, case)
    outline.parent.mkdir()
    save_nifti(outline, mask, np.eye(4))
    (row,) = outline_scores(mask, mask, (1, 1, 1), ["lesion"])
    row |= {"case": case, "patient": case, "mask": ""}
    write_table(tmp_path / "outlines.csv", list(COLUMNS), [[row.get(name) for name in COLUMNS]])
    item = {"case": case, "image": {"ct": str(scan)}, "roi": str(outline)}
    draw_outlines(tmp_path, [item], ["ct"], ["lesion"], "case", "ct")
    assert (tmp_path / "outlines.png").stat().st_size > 1000
