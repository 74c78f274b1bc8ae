# SPDX-License-Identifier: Apache-2.0
"""The phantom: what its oracle promises, what its images really hold, and how its folder comes to be."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, map_coordinates
from workbench.prepare.phantom import dataset as phantom_dataset
from workbench.prepare.phantom.__main__ import main
from workbench.prepare.phantom.acquisition import Case, make_case
from workbench.prepare.phantom.dataset import ensure_phantom, make_phantom
from workbench.prepare.phantom.oracle import (
    CLASSES,
    PHASES,
    case_label,
    clinical_log_odds,
    draw_contrast_hu,
    draw_latents,
    image_log_odds,
    oracle_auc,
    phase_subsets,
    probability,
)
from workbench.prepare.telling import auc_of


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom") / "small"
    splits = {"training": 4, "validation": 2, "test": 2}
    return make_phantom(folder, seed=3, splits=splits, progress=False).parent


def measured_contrast_hu(case: Case) -> list[float]:
    """Per phase: mean in the mask minus the median of a shell 3 to 9 mm outside; NaN where absent."""
    roi = case.roi
    spacing = np.linalg.norm(roi.affine[:3, :3], axis=0)
    outside = distance_transform_edt(roi.voxels == 0, sampling=spacing)
    contrast = []
    for phase in PHASES:
        if phase not in case.images:
            contrast.append(float("nan"))
            continue
        volume = case.images[phase]
        to_voxel = np.linalg.inv(volume.affine) @ roi.affine
        index = to_voxel[:3, :3] @ np.indices(roi.voxels.shape).reshape(3, -1) + to_voxel[:3, 3:]
        hu = map_coordinates(volume.voxels.astype(float), index, order=1, cval=-1000.0).reshape(roi.voxels.shape)
        shell = hu[(outside > 3.0) & (outside < 9.0) & (hu > 0.0)]
        contrast.append(float(hu[roi.voxels > 0].mean() - np.median(shell)))
    return contrast


def test_one_phase_says_little_and_all_phases_say_nearly_everything() -> None:
    assert oracle_auc(["pre"]) == 0.5
    assert max(oracle_auc([phase]) for phase in PHASES) <= 0.75
    assert oracle_auc(PHASES) >= 0.95


def test_oracle_never_loses_by_seeing_more() -> None:
    auc = {subset: oracle_auc(subset, cases=6000) for subset in phase_subsets()}
    for subset, value in auc.items():
        for larger, better in auc.items():
            if set(subset) < set(larger):
                assert better >= value - 0.003


@pytest.mark.parametrize("phases", phase_subsets(), ids="+".join)
def test_oracle_is_calibrated(phases: tuple[str, ...]) -> None:
    label = np.arange(20_000) % 2
    p_high = probability(image_log_odds(draw_contrast_hu(np.random.default_rng(1), label), phases))
    for low, high in ((0.0, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1.0)):
        inside = (p_high >= low) & (p_high < high)
        if inside.sum() >= 200:
            assert label[inside].mean() == pytest.approx(p_high[inside].mean(), abs=4 * 0.5 / inside.sum() ** 0.5)


def test_oracle_reads_only_the_phases_it_is_given() -> None:
    contrast = draw_contrast_hu(np.random.default_rng(2), np.arange(50) % 2)
    for phases in phase_subsets():
        spoilt = contrast.copy()
        spoilt[:, [phase not in phases for phase in PHASES]] = np.nan
        np.testing.assert_array_equal(image_log_odds(spoilt, phases), image_log_odds(contrast, phases))


def test_oracle_names_an_unknown_phase() -> None:
    with pytest.raises(ValueError, match="'delayed'"):
        image_log_odds(np.zeros((1, 3)), ["delayed"])


def test_table_carries_modest_information_of_its_own() -> None:
    latents = [draw_latents(0, index) for index in range(6000)]
    label = np.array([case.label for case in latents])
    table = np.array([clinical_log_odds(case.clinical) for case in latents])
    assert 0.64 <= auc_of(np.asarray(table), np.asarray(label) == 1) <= 0.71
    all_phases = image_log_odds(np.array([case.contrast_hu for case in latents]), PHASES)
    for one_class in (0, 1):
        inside = label == one_class
        assert abs(np.corrcoef(all_phases[inside], table[inside])[0, 1]) < 0.06


def test_missing_rates() -> None:
    latents = [draw_latents(0, index) for index in range(3000)]
    assert np.mean([len(case.clinical) / 4 for case in latents]) == pytest.approx(0.85, abs=0.015)
    assert np.mean([case.present for case in latents]) == pytest.approx(0.90, abs=0.015)
    assert all(any(case.present) for case in latents)


def test_classes_are_balanced_in_every_run_of_cases() -> None:
    labels = np.array([case_label(0, index) for index in range(200)])
    assert labels[:120].sum() == 60
    assert labels[120:160].sum() == 20
    assert labels[160:].sum() == 20


@pytest.mark.slow
def test_images_hold_what_the_oracle_knows() -> None:
    cases = [make_case(0, index) for index in range(200, 500)]
    cases = [case for case in cases if len(case.images) == len(PHASES)]
    label = np.array([case.latents.label for case in cases])
    measured = np.array([measured_contrast_hu(case) for case in cases])
    assert auc_of(image_log_odds(measured, PHASES), np.asarray(label) == 1) >= 0.93


def test_measured_contrast_follows_the_true_contrast() -> None:
    cases = [make_case(0, index) for index in range(200, 214)]
    for i, phase in enumerate(PHASES):
        there = [case for case in cases if phase in case.images]
        true = np.array([case.latents.contrast_hu[i] for case in there])
        measured = np.array([measured_contrast_hu(case)[i] for case in there])
        assert np.corrcoef(true, measured)[0, 1] > 0.8


def test_a_case_does_not_depend_on_how_many_are_made(small: Path, tmp_path: Path) -> None:
    tail = make_phantom(tmp_path / "tail", seed=3, first=4, splits={"test": 4}, progress=False).parent
    for index in range(4, 8):
        name = phantom_dataset.case_name(index)
        files = sorted(path.name for path in (small / name).iterdir())
        assert files == sorted(path.name for path in (tail / name).iterdir())
        for file in files:
            assert (small / name / file).read_bytes() == (tail / name / file).read_bytes()


def test_seeds_differ() -> None:
    first, second = make_case(0, 0), make_case(1, 0)
    assert first.latents.contrast_hu != second.latents.contrast_hu


def test_phases_have_their_own_grids(small: Path) -> None:
    complete = next(case for case in (make_case(0, index) for index in range(20)) if len(case.images) == 3)
    volumes = complete.images.values()
    assert len({volume.voxels.shape for volume in volumes}) == 3
    assert len({"".join(nib.aff2axcodes(volume.affine)) for volume in volumes}) == 2
    assert len({tuple(np.round(np.linalg.norm(v.affine[:3, :3], axis=0), 2)) for v in volumes}) == 3


def test_dataset_json_describes_the_files(small: Path) -> None:
    described = json.loads((small / "dataset.json").read_text())
    assert described["phases"] == list(PHASES)
    assert [len(described[split]) for split in ("training", "validation", "test")] == [4, 2, 2]
    for case in [case for split in ("training", "validation", "test") for case in described[split]]:
        assert case["label"] in CLASSES
        assert case["image"]
        for path in case["image"].values():
            image = nib.load(small / path)
            assert image.get_data_dtype() == np.int16
            assert np.asarray(image.dataobj).std() > 0
        first = "portal" if "portal" in case["image"] else next(p for p in PHASES if p in case["image"])
        mask = nib.load(small / case["roi"])
        np.testing.assert_array_equal(mask.affine, nib.load(small / case["image"][first]).affine)
        assert np.asarray(mask.dataobj).sum() > 20


def test_truth_csv_agrees_with_the_oracle(small: Path) -> None:
    with (small / "truth.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["case"] for row in rows] == [phantom_dataset.case_name(index) for index in range(8)]
    for index, row in enumerate(rows):
        latents = draw_latents(3, index)
        assert row["label"] == CLASSES[latents.label]
        expected = probability(image_log_odds(np.array([latents.contrast_hu]), row["phases"].split()))[0]
        assert float(row["p_true"]) == pytest.approx(expected, rel=1e-4)
        assert float(row["p_true_pre"]) == 0.5


def test_ensure_phantom_only_serves_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make_two(folder: Path, seed: int) -> Path:
        return make_phantom(folder, seed, splits={"training": 2}, progress=False)

    monkeypatch.setattr(phantom_dataset, "make_phantom", make_two)
    ensure_phantom(tmp_path / "data" / "mine")
    assert not (tmp_path / "data").exists()
    ensure_phantom(tmp_path / "data" / "phantom")
    made = tmp_path / "data" / "phantom" / "dataset.json"
    before = made.stat().st_mtime_ns
    ensure_phantom(tmp_path / "data" / "phantom")
    assert made.stat().st_mtime_ns == before


def test_an_interrupted_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(phantom_dataset, "_write_truth", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make_phantom(tmp_path / "phantom", splits={"test": 2}, progress=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"splits": {"test": 3}}, "even number"),
        ({"splits": {"tset": 2}}, "'tset'"),
        ({"first": 1, "splits": {"test": 2}}, "first phantom case"),
    ],
)
def test_wrong_arguments_are_named(tmp_path: Path, keywords: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_phantom(tmp_path / "phantom", progress=False, **keywords)
    assert list(tmp_path.iterdir()) == []


def test_never_writes_over_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="new or empty"):
        make_phantom(tmp_path, splits={"test": 2}, progress=False)


def test_command_line_makes_extra_test_cases(tmp_path: Path) -> None:
    main(["--extra", "2", "--output", str(tmp_path / "extra")])
    described = json.loads((tmp_path / "extra" / "dataset.json").read_text())
    assert [case["case"] for case in described["test"]] == ["phantom_0200", "phantom_0201"]
    assert "training" not in described
    with pytest.raises(SystemExit, match="new or empty"):
        main(["--extra", "2", "--output", str(tmp_path / "extra")])
