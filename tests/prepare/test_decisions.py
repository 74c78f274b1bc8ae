# SPDX-License-Identifier: Apache-2.0
"""What `preparing` decides by the data: reference phase, spacing, grid, and whose data it looks at."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import yaml
from workbench.prepare.grids import Sampling, choose_reference, losses, sampling
from workbench.prepare.preparing import prepare
from workbench.prepare.settings import Settings
from workbench.prepare.survey import least_extent, propose_grid


class Grid:
    """Stands for `CaseGrids`: spacings, and shares of the region, by phase."""

    def __init__(self, spacings: dict[str, tuple[float, ...]], covered: dict[str, float] | None = None) -> None:
        self.volumes = spacings
        self.shares = covered or {}

    def spacing(self, phase: str) -> np.ndarray:
        return np.array(self.volumes[phase])

    def covered(self, phase: str) -> float:
        return self.shares.get(phase, 1.0)


CORONAL, AXIAL, SAGITTAL = (0.5, 4.0, 0.5), (0.5, 0.5, 4.0), (4.0, 0.5, 0.5)
KINDS = {
    "coarse first by name": ([{"a": (0.5, 0.5, 17), "t1": (1, 1, 1), "t2": (1, 1, 1)}] * 10, "t1"),
    "fine in plane but thick": ([{"a": (0.3, 0.3, 5), "t1": (1, 1, 1)}] * 10, "t1"),
    "thick but finer than PET": ([{"a": (4, 4, 4), "mr": (0.5, 0.5, 6)}] * 10, "mr"),
    "CT and PET": ([{"CT": (1, 1, 1), "A": (4, 4, 4)}] * 10, "CT"),
    "finest, but in 6 of 10": ([{"a": (2, 2, 2), "b": (0.5, 0.5, 0.5)}] * 6 + [{"a": (2, 2, 2)}] * 4, "a"),
    "finest, lacking once in 10": ([{"a": (2, 2, 17), "b": (1, 1, 1)}] * 9 + [{"a": (2, 2, 17)}], "b"),
    "median counts": ([{"a": (1, 1, 2), "b": (1, 1, 1)}] * 6 + [{"a": (1, 1, 2), "b": (5, 5, 5)}] * 4, "b"),
    "three planes, alike": ([{"cor": CORONAL, "sag": SAGITTAL, "tra": AXIAL}] * 10, "cor"),
    "alike within noise": ([{"art": (0.71, 0.71, 3), "pv": (0.7, 0.7, 3)}] * 10, "art"),
    "alike, one lacks": ([{"art": (0.7, 0.7, 3), "pv": (0.7, 0.7, 3)}] * 9 + [{"pv": (0.7, 0.7, 3)}], "pv"),
    "single": ([{"t2": (1, 1, 1)}] * 3, "t2"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_phase_is_the_finest_that_nearly_all_cases_have(kind):
    cases, expected = KINDS[kind]
    phases = list(dict.fromkeys(phase for case in cases for phase in case))
    found = choose_reference([Grid(case) for case in cases], phases)
    assert found.phase == expected
    assert found.reason


def test_a_fine_phase_that_shows_half_the_region_is_passed_over_and_named():
    grids = [Grid({"slab": (0.5, 0.5, 0.5), "whole": (1, 1, 1)}, {"slab": 0.5})] * 10
    found = choose_reference(grids, ["slab", "whole"])
    assert found.phase == "whole"
    assert "slab (0.5 x 0.5 x 0.5 mm, 10 of 10 cases, shows 50% of the region)" in found.reason
    assert choose_reference(grids, ["slab", "whole"], "slab").phase == "slab"


def test_the_spacing_is_the_finest_on_each_axis_and_losses_are_named():
    grids = [Grid({"a": (0.5, 0.5, 17), "t1": (1, 1, 1), "t2": (1, 1, 1)})] * 10
    found = choose_reference(grids, ["a", "t1", "t2"])
    assert found.finest.tolist() == [0.5, 0.5, 1]
    assert losses(found, [1, 1, 1]) == [
        "a (0.5 x 0.5 x 17 mm, 10 of 10 cases): 4.0 voxels of a file become one of the grid, between two "
        "voxels of a file lie up to 17.0 of the grid (top-bottom)",
        "t1 (1 x 1 x 1 mm, 10 of 10 cases), t2 (1 x 1 x 1 mm, 10 of 10 cases): keep their resolution",
    ]


def test_a_rare_phase_does_not_decide_on_the_spacing():
    grids = [Grid({"a": (2, 2, 2)})] * 9 + [Grid({"a": (2, 2, 2), "b": (0.1, 0.1, 0.1)})]
    assert choose_reference(grids, ["a", "b"]).finest.tolist() == [2, 2, 2]


def test_a_thick_voxel_is_coarser_than_an_even_one_of_its_volume():
    even, thick = (Sampling("x", 1, 1, np.array(spacing), 1.0) for spacing in ([2, 2, 2], [1, 1, 8]))
    assert even.coarseness < thick.coarseness
    assert [one.phase for one in sampling([Grid({"b": (1, 1, 1)})], ["a", "b"])] == ["b"]


@pytest.mark.parametrize("number", [1, 5, 16, 19, 20, 39, 40, 100, 237])
def test_the_grid_holds_the_region_of_at_least_95_percent(number):
    rng = np.random.default_rng(number)
    extents = rng.gamma(4.0, 8.0, (number, 3)) + 5
    spacing, size = propose_grid(np.array([0.7, 0.7, 3.0]), least_extent(extents))
    held = (extents <= np.multiply(spacing, size) + 1e-3).all(axis=1).sum()
    assert held >= 0.95 * number
    assert (least_extent(extents) <= extents.max(axis=0)).all()


def test_the_box_left_by_outliers_is_tight():
    extents = np.array([[30.0, 30, 30]] * 95 + [[300, 30, 30]] * 3 + [[30, 400, 30]] * 2)
    assert least_extent(extents).tolist() == [30, 30, 30]


# ------------------------------------------------------------------------------------------- by the command


def save(path: Path, seed: int, shape=(20, 20, 20), spacing=(1.0, 1.0, 1.0), level=100.0, edge: int = 6) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = np.random.default_rng(seed).normal(level, 10, shape).astype(np.float32)
    if path.name.startswith("lesion"):
        voxels = np.zeros(shape, np.uint8)
        voxels[4 : 4 + edge, 4 : 4 + edge, 4 : 4 + edge] = 1
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([*spacing, 1.0])), path)


def cohort(folder: Path, number: int = 16, extra: str = "") -> Path:
    """Cases with a phase of thick slices, first by name, and two of 1 mm; fixed splits."""
    rows = ["case,label,split,age" if not extra else f"case,label,split,age,{extra}"]
    for index in range(number):
        case = f"c{index:02d}"
        save(folder / "in" / case / "adc.nii.gz", index, (40, 40, 2), (0.5, 0.5, 10.0))
        save(folder / "in" / case / "t1.nii.gz", 100 + index)
        save(folder / "in" / case / "t2.nii.gz", 200 + index)
        save(folder / "in" / case / "lesion.nii.gz", 0)
        split = "training" if index < number - 8 else "validation" if index < number - 4 else "test"
        rows.append(f"{case},{'ab'[index % 2]},{split},{40 + index}")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder


def run(folder: Path, **options: object) -> dict:
    file = prepare(
        Settings(folder / "in", "folders", folder / "out", labels=folder / "labels.csv", overwrite=True, **options)
    )
    assert file is not None
    return yaml.safe_load((file.parent / "data.yaml").read_text())


def test_the_choice_is_on_the_screen_in_the_overlay_and_on_the_page(tmp_path, capsys):
    settings = run(cohort(tmp_path))
    printed = capsys.readouterr().out
    assert settings["reference_phase"] == "t1"
    assert settings["spacing"] == [0.5, 0.5, 1.0]
    assert "reference phase: t1, the most finely sampled of those that nearly all cases have" in printed
    assert "adc (0.5 x 0.5 x 10 mm, 16 of 16 cases): between two voxels of a file lie up to 10.0" in printed
    assert "it holds the region of 16 of 16 cases" in printed
    overlay = (tmp_path / "out" / "data.yaml").read_text()
    assert "# phase whose axes define the common grid: the most finely sampled" in overlay
    assert "# voxels; holds the region of 16 of 16 cases" in overlay
    page = (tmp_path / "out" / "quality.html").read_text()
    assert "Reference phase: t1, the most finely sampled" in page
    assert "chosen from all 16 cases, test cases among them; --decide_on training" in page


def test_categories_and_kinds_are_those_of_the_training_cases(tmp_path, capsys):
    folder = cohort(tmp_path)
    header, *rows = (folder / "labels.csv").read_text().splitlines()
    table = [f"{header},sex"] + [f"{row},{'FM'[n % 3 > 0]}" for n, row in enumerate(rows)]
    (folder / "labels.csv").write_text("\n".join(table))
    before = run(folder, decide_on="training", quality=False)
    assert before["clinical"] == [
        {"name": "age", "kind": "number"}, {"name": "sex", "kind": "category", "values": ["F", "M"]}
    ]  # fmt: skip
    table[-1] = table[-1][: -len("55,F")] + "seventy,X"
    table[-2] = table[-2][:-1] + "m"
    (folder / "labels.csv").write_text("\n".join(table))
    capsys.readouterr()
    assert run(folder, decide_on="training", quality=False) == before
    printed = capsys.readouterr().out
    assert "clinical column 'age': what the training cases do not know counts as missing: 'seventy' (c15)" in printed
    assert "clinical column 'sex': what the training cases do not know counts as missing: 'X' (c15)" in printed
    assert "clinical columns taken after all, as the training cases alone give them: age" in printed
    content = json.loads((folder / "out" / "dataset.json").read_text())
    values = {entry["case"]: entry.get("clinical", {}) for entry in content["test"]}
    assert values["c15"] == {}
    assert values["c14"] == {"age": 54.0, "sex": "M"}
    assert run(folder, quality=False) != before


def change_the_others(folder: Path) -> None:
    """Make everything of the validation and test cases different: spacing, size, values, masks, table."""
    for index in range(8, 16):
        case = folder / "in" / f"c{index:02d}"
        save(case / "adc.nii.gz", index, (40, 40, 40), (0.2, 0.2, 0.2), -500.0)
        save(case / "t1.nii.gz", 100 + index, (20, 20, 10), (3.0, 3.0, 3.0), -500.0)
        save(case / "t2.nii.gz", 200 + index, (20, 20, 10), (3.0, 3.0, 3.0), -500.0)
        save(case / "lesion.nii.gz", 0, edge=15)


def test_deciding_on_training_cases_sees_nothing_of_the_others(tmp_path, capsys):
    folder = cohort(tmp_path)
    before = run(folder, decide_on="training", quality=False)
    capsys.readouterr()
    change_the_others(folder)
    assert run(folder, decide_on="training", quality=False) == before
    printed = capsys.readouterr().out
    assert "were chosen from the 8 training cases alone" in printed
    assert "it holds the region of 8 of 8 training cases" in printed
    assert "8 cases have a region larger than the grid, which is cropped: c08, c09" in printed
    assert run(folder, quality=False) != before


def test_deciding_on_something_else_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"decide_on must be one of \[all, training\] \(nearest: 'training'\)"):
        run(cohort(tmp_path, 12), decide_on="trainng")


def test_few_cases_are_told_to_compare_and_unknown_patients_are_not_claimed(tmp_path, capsys):
    folder = cohort(tmp_path)
    run(folder, quality=False)
    printed = capsys.readouterr().out
    assert "16 labelled cases are few, 4 of them the test, and each wrong answer in the test costs 25 points" in printed
    assert "python -m monai.bundle run comparing --config_file \"['configs/compare.yaml','" in printed
    assert "patients are unknown: each case counts as a patient of its own" in printed
    assert printed.split("split")[1].split()[:3] == ["cases", "a", "b"]
    content = json.loads((folder / "out" / "dataset.json").read_text())
    assert any("patients are unknown" in line for line in content["preparation"])

    table = (folder / "labels.csv").read_text().replace("split,age", "split,patient").splitlines()
    (folder / "labels.csv").write_text(
        "\n".join([table[0], *(f"{row[: row.rindex(',')]},P{row[1:3]}" for row in table[1:])])
    )
    run(folder, quality=False)
    printed = capsys.readouterr().out
    assert "patients are unknown" not in printed
    assert printed.split("split")[1].split()[:4] == ["cases", "patients", "a", "b"]
