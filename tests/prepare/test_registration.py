# SPDX-License-Identifier: Apache-2.0
"""Registration: known moves of phantom phases are undone, in the header alone, and bends; the rest stays."""

from __future__ import annotations

import csv
import time
from itertools import product
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation
from scripts.volumes.grid import mask_limits, open_phase, ras_bounds
from scripts.volumes.open import open_volume
from workbench.prepare.phantom.acquisition import GRIDS, _shift_mm, make_case
from workbench.prepare.phantom.oracle import case_rng
from workbench.prepare.registration.cases import register_cases
from workbench.prepare.registration.elastix import block_within
from workbench.prepare.registration.pair import NotRegistered, Registration, around, match_pair, sources

PHASES = ["pre", "arterial", "portal"]
VOXEL_MM = min(GRIDS["portal"].spacing_mm)


def save(path: Path, voxels: np.ndarray, affine: np.ndarray) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    return str(path)


def about(centre: np.ndarray, matrix: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Return x -> matrix (x - centre) + centre + shift, [4, 4]."""
    move = np.eye(4)
    move[:3, :3], move[:3, 3] = matrix, centre + shift - matrix @ centre
    return move


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def moved_case(folder: Path, index: int, stretch: float = 1.0) -> tuple[dict, dict, np.ndarray]:
    """Write a phantom case whose other phases are moved by up to 8 mm and 6 degrees more.

    Returns:
        its entry of dataset.json; phase -> position of the reference -> position in the file, [4, 4]; and
        the corners of the region.
    """
    case = make_case(0, index)
    portal, name = case.images["portal"], f"p{index}"
    inside = np.argwhere(case.roi.voxels > 0)
    edges = np.stack([inside.min(axis=0) - 0.5, inside.max(axis=0) + 0.5])
    corners = apply(portal.affine, np.array(list(product(*edges.T))))
    rng, truth, image = np.random.default_rng([7, index]), {}, {}
    for phase, volume in case.images.items():
        move = np.eye(4)
        if phase != "portal":
            axis, direction = rng.normal(size=(2, 3))
            turn = Rotation.from_rotvec(np.radians(rng.uniform(0, 6)) * axis / np.linalg.norm(axis))
            shift = rng.uniform(0, 8) * direction / np.linalg.norm(direction)
            scale = np.diag([stretch, 1 / stretch, 1.0])
            move = about(corners.mean(axis=0), turn.as_matrix() @ scale, shift)
        own = np.eye(4)
        own[:3, 3] = _shift_mm(case_rng(0, index, f"scan {phase}"), phase)
        truth[phase] = move @ own
        image[phase] = save(folder / name / f"{phase}.nii.gz", volume.voxels, move @ volume.affine)
    roi = save(folder / name / "lesion.nii.gz", case.roi.voxels, case.roi.affine)
    return {"case": name, "image": image, "roi": roi, "label": "low"}, truth, corners


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "registration.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def residuals(
    before: dict, after: dict, truth: dict[str, np.ndarray], corners: np.ndarray
) -> dict[str, tuple[float, float]]:
    """Return phase -> mean distance in mm of the region's corners from their place, before and after."""
    found = {}
    for phase in set(truth) - {"portal"}:
        start, end = (open_volume(entry["image"][phase]).affine for entry in (before, after))
        places = apply(truth[phase], corners)
        away = [
            np.linalg.norm(apply(m, places) - corners, axis=1).mean() for m in (np.eye(4), end @ np.linalg.inv(start))
        ]
        found[phase] = (float(away[0]), float(away[1]))
    return found


@pytest.mark.slow
def test_known_moves_are_undone_to_less_than_a_voxel(tmp_path):
    indices = [index for index in range(12) if "portal" in make_case(0, index).images][:4]
    made = [moved_case(tmp_path / "in", index) for index in indices]
    start = time.perf_counter()
    moved, notes = register_cases(
        [entry for entry, _, _ in made], PHASES, "portal", tmp_path / "out", Registration("rigid"), workers=1
    )
    each = [residuals(entry, after, truth, corners) for (entry, truth, corners), after in zip(made, moved, strict=True)]
    before, after = np.array([pair for phases in each for pair in phases.values()]).T
    assert {phase for phases in each for phase in phases} == {"pre", "arterial"}
    print(
        f"residual {after.mean():.2f} mm (largest {after.max():.2f}) of {before.mean():.2f} in "
        f"{(time.perf_counter() - start) / len(after):.1f} s per pair"
    )
    assert before.max() > 2 * VOXEL_MM
    assert after.mean() < VOXEL_MM / 2
    assert after.max() < VOXEL_MM
    rows = table(tmp_path / "out")
    assert len(rows) == len(after)
    assert all(float(row["mutual_information_after"]) > float(row["mutual_information_before"]) for row in rows)
    assert {(row["registered"], row["region"], row["reason"]) for row in rows} == {("yes", "mask", "")}
    assert notes[0].startswith(f"registered {len(after)} of {len(after)} phases")


@pytest.fixture(scope="module")
def registered(tmp_path_factory) -> tuple[Path, dict, dict]:
    """Return the output folder, a case of which only the arterial phase is moved, and the same registered."""
    folder = tmp_path_factory.mktemp("one")
    entry, _, _ = moved_case(folder / "in", 0)
    del entry["image"]["pre"]
    (after,), _ = register_cases([entry], PHASES, "portal", folder / "out", Registration("rigid"), workers=1)
    return folder / "out", entry, after


def test_the_voxels_stay_and_the_header_moves_rigidly(registered):
    _, entry, after = registered
    assert after["image"]["portal"] == entry["image"]["portal"]
    start, end = (nibabel.load(item["image"]["arterial"]) for item in (entry, after))
    np.testing.assert_array_equal(np.asarray(end.dataobj), np.asarray(start.dataobj))
    assert end.get_data_dtype() == np.int16
    turn = (end.affine @ np.linalg.inv(start.affine))[:3, :3]
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-5)
    assert np.abs(turn - np.eye(3)).max() > 0.01
    np.testing.assert_allclose(end.header.get_qform(), end.affine, atol=1e-3)


def test_a_mask_of_the_phase_moves_with_it_and_that_of_the_reference_stays(registered, tmp_path):
    _, entry, after = registered
    drawn = nibabel.load(entry["roi"])
    mask = save(tmp_path / "arterial_seg.nii.gz", 2 * np.asarray(drawn.dataobj), drawn.affine)
    case = entry | {"roi": {"arterial": mask, "portal": entry["roi"]}}
    (moved,), _ = register_cases([case], PHASES, "portal", tmp_path / "out", Registration("rigid"), workers=1)
    assert moved["roi"]["portal"] == entry["roi"]
    start, end = (nibabel.load(item["image"]["arterial"]).affine for item in (entry, moved))
    result = nibabel.load(moved["roi"]["arterial"])
    np.testing.assert_array_equal(np.asarray(result.dataobj), 2 * np.asarray(drawn.dataobj))
    np.testing.assert_allclose(result.affine @ np.linalg.inv(drawn.affine), end @ np.linalg.inv(start), atol=1e-4)
    np.testing.assert_allclose(end, nibabel.load(after["image"]["arterial"]).affine, atol=1e-4)


def test_a_second_run_makes_nothing_anew_but_what_was_lost(registered, monkeypatch):
    folder, entry, after = registered
    files = [file for file in folder.rglob("*") if file.is_file() and file.name != "registration.csv"]
    times = {file: file.stat().st_mtime_ns for file in files}
    monkeypatch.setattr("workbench.prepare.registration.cases.match_pair", lambda *_: pytest.fail("searched again"))
    rows = table(folder)
    (again,), _ = register_cases([entry], PHASES, "portal", folder, Registration("rigid"), workers=1)
    assert (again, table(folder)) == (after, rows)
    assert {file: file.stat().st_mtime_ns for file in files} == times
    monkeypatch.undo()
    target = Path(after["image"]["arterial"])
    content = target.read_bytes()
    target.unlink()
    register_cases([entry], PHASES, "portal", folder, Registration("rigid"), workers=1)
    assert target.read_bytes() == content
    settings = Registration("rigid", max_shift=0.01)
    (other,), _ = register_cases([entry], PHASES, "portal", folder, settings, workers=1)
    assert other == entry
    assert not target.exists()


def test_an_affine_transform_undoes_a_stretch_and_loads_with_its_shear(tmp_path):
    entry, truth, corners = moved_case(tmp_path / "in", 1, stretch=1.1)
    results = {}
    for kind in ("rigid", "affine"):
        (after,), _ = register_cases([entry], PHASES, "portal", tmp_path / kind, Registration(kind), workers=1)
        results[kind] = np.mean([pair[1] for pair in residuals(entry, after, truth, corners).values()])
    assert results["affine"] < VOXEL_MM
    assert results["affine"] < results["rigid"]
    file = after["image"]["arterial"]
    np.testing.assert_array_equal(open_volume(file).affine, nibabel.load(file).get_sform())
    assert open_volume(file).affine[:3, :3] == pytest.approx(nibabel.load(file).get_qform()[:3, :3], abs=0.5)
    import SimpleITK

    # with the qform: ITK takes no shear
    assert SimpleITK.ReadImage(file).GetSize() == open_volume(file).shape


BREATH_MM = 8.0


def breath(points: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Return how far tissue has moved at points, mm: down most in front of the spine, and forward."""
    away = (points - centre) * np.pi / 2 / 100.0
    moved = np.zeros_like(points)
    moved[:, 2] = BREATH_MM * np.cos(away[:, 1]) * np.cos(away[:, 0] * 2 / 3)
    moved[:, 1] = 0.4 * BREATH_MM * np.sin(away[:, 2])
    return moved


def breathing_case(folder: Path, index: int, turn: np.ndarray) -> tuple[dict, np.ndarray, np.ndarray]:
    """Write a phantom case in a scanner turned by `turn`, whose arterial phase breathes.

    Returns:
        its entry of dataset.json; positions within the lesion in the reference; and where they lie in the
        file of the arterial phase, both in mm.
    """
    case = make_case(0, index)
    arterial, affine = case.images["arterial"], case.images["arterial"].affine
    inside = apply(case.roi.affine, np.argwhere(case.roi.voxels > 0)[::5].astype(float))
    voxels = np.indices(arterial.voxels.shape).reshape(3, -1).T
    places, centre = apply(affine, voxels), inside.mean(axis=0)
    seen = apply(np.linalg.inv(affine), places + breath(places, centre))
    bent = map_coordinates(arterial.voxels.astype(np.float32), seen.T, order=1, mode="nearest")
    start = inside + _shift_mm(case_rng(0, index, "scan arterial"), "arterial")
    there = start.copy()
    for _ in range(100):  # there + breath(there) = start
        there = start - breath(there, centre)
    portal = case.images["portal"]
    image = {
        "portal": save(folder / "portal.nii.gz", portal.voxels, turn @ portal.affine),
        "arterial": save(folder / "arterial.nii.gz", bent.reshape(arterial.voxels.shape), turn @ affine),
    }  # fmt: skip
    roi = save(folder / "lesion.nii.gz", case.roi.voxels, turn @ case.roi.affine)
    return {"case": f"b{index}", "image": image, "roi": roi}, apply(turn, inside), apply(turn, there)


TURN = Rotation.from_rotvec([0.3, -0.2, 0.4]).as_matrix()
TURNS = {"straight": np.eye(4), "oblique": about(np.zeros(3), TURN, np.zeros(3))}


@pytest.mark.parametrize("scanner", TURNS)
@pytest.mark.slow
def test_a_breath_is_undone_by_bending_the_voxels_around_the_lesion(scanner, tmp_path):
    entry, inside, there = breathing_case(tmp_path / "in", 1, TURNS[scanner])
    fixed, moving = (open_phase(entry["image"][phase], "b1", phase) for phase in ("portal", "arterial"))
    roi = open_phase(entry["roi"], "b1", "roi")
    region = np.array(ras_bounds(roi, *mask_limits(roi, "b1")))
    away = {}
    for kind in ("rigid", "deformable"):
        match = match_pair(fixed, moving, region, Registration(kind))
        away[kind] = np.linalg.norm(sources(inside, match.matrix, match.warp) - there, axis=1).mean()
    print(f"{np.linalg.norm(inside - there, axis=1).mean():.1f} mm before, then {away}")
    assert away["deformable"] < VOXEL_MM
    assert away["deformable"] < 0.6 * away["rigid"]

    if scanner == "straight":  # as far as the other one goes
        return
    settings = Registration("deformable", margin=20)
    match = match_pair(fixed, moving, region, settings)
    (after,), _ = register_cases([entry], PHASES, "portal", tmp_path / "out", settings, workers=1)
    (row,) = table(tmp_path / "out")
    assert (row["registered"], row["voxels"]) == ("yes", "resampled")
    assert float(row["mutual_information_after"]) > float(row["mutual_information_before"])
    result = open_volume(after["image"]["arterial"])
    np.testing.assert_allclose(result.affine, match.matrix @ moving.affine, atol=1e-4)
    changed = np.argwhere(result.read() != moving.read())
    low, high = block_within(result.affine, result.shape, around(region, settings.margin))
    assert len(changed) > 1000
    assert (high - low < result.shape).any()
    assert ((changed >= low) & (changed < high)).all()
    here = map_coordinates(result.read(), apply(np.linalg.inv(result.affine), inside).T, order=1)
    source = map_coordinates(
        moving.read(), apply(np.linalg.inv(moving.affine), sources(inside, match.matrix, match.warp)).T, order=1
    )
    assert np.corrcoef(here, source)[0, 1] > 0.85, "the file shows what lies where the transform says"


@pytest.mark.slow
def test_the_same_bytes_again_with_one_worker_or_two_and_nothing_left_behind(tmp_path, monkeypatch):
    entries = [moved_case(tmp_path / "in", index)[0] for index in (0, 1)]
    (tmp_path / "here").mkdir()
    (tmp_path / "tmp").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    found = []
    for number, workers in enumerate((1, 2)):
        out = tmp_path / f"out{number}"
        register_cases(entries, PHASES, "portal", out, Registration("affine"), workers=workers)
        files = {str(file.relative_to(out)): file.read_bytes() for file in out.rglob("*.nii.gz")}
        found.append((files, [row | {"seconds": ""} for row in table(out)]))
        assert sorted({file.suffix for file in out.rglob("*") if file.is_file()}) == [".csv", ".gz", ".json"]
    assert len(found[0][0]) >= 3
    assert found[0] == found[1]
    assert not list((tmp_path / "here").iterdir())
    assert not [file for file in (tmp_path / "tmp").iterdir() if "joblib" not in file.name]


@pytest.mark.slow
def test_a_transform_that_folds_is_not_believed(registered, monkeypatch):
    monkeypatch.setattr("workbench.prepare.registration.pair.volume_changes", lambda *_: (-0.2, 1.5))
    _, entry, _ = registered
    fixed, moving = (open_phase(entry["image"][phase], "p0", phase) for phase in ("portal", "arterial"))
    roi = open_phase(entry["roi"], "p0", "roi")
    region = np.array(ras_bounds(roi, *mask_limits(roi, "p0")))
    with pytest.raises(
        NotRegistered, match=r"implausible, volumes change by -0\.20 to 1\.50 times where 0\.25 to 4 is"
    ):
        match_pair(fixed, moving, region, Registration("deformable"))


def constant(entry: dict) -> dict:
    image = nibabel.load(entry["image"]["pre"])
    save(Path(entry["image"]["pre"]), np.full(image.shape, 40, np.int16), image.affine)
    return entry


def elsewhere(entry: dict) -> dict:
    image = nibabel.load(entry["image"]["pre"])
    affine = image.affine.copy()
    affine[2, 3] += 500
    save(Path(entry["image"]["pre"]), np.asarray(image.dataobj), affine)
    return entry


def empty_mask(entry: dict) -> dict:
    image = nibabel.load(entry["roi"])
    save(Path(entry["roi"]), np.zeros(image.shape, np.uint8), image.affine)
    return entry


FALLBACKS = {
    "constant phase": (constant, {}, "nothing to compare around the region, found 40 everywhere"),
    "no overlap": (elsewhere, {}, "the phase does not reach the region"),
    "mask missing": (lambda entry: entry | {"roi": entry["roi"] + "x.nii"}, {}, "must exist, found no file"),
    "empty mask": (empty_mask, {}, "must have a voxel above 0, found none"),
    "unreadable": (lambda entry: Path(entry["image"]["pre"]).write_bytes(b"x") and entry, {}, "must be readable"),
    "too far": (lambda entry: entry, {"max_shift": 0.05}, "implausible, "),
    "turned too far": (lambda entry: entry, {"max_rotation": 0.01}, "implausible, "),
}


@pytest.mark.parametrize("name", FALLBACKS)
def test_what_cannot_be_registered_stays_as_it_is_with_one_line(name, tmp_path):
    change, limits, reason = FALLBACKS[name]
    entry, _, _ = moved_case(tmp_path / "in", 0)
    del entry["image"]["arterial"]
    entry = change(entry)
    settings = Registration("rigid", **limits)
    (after,), notes = register_cases([entry], PHASES, "portal", tmp_path / "out", settings, workers=1)
    assert after == entry
    (row,) = table(tmp_path / "out")
    assert row["registered"] == "no"
    assert reason in row["reason"]
    assert "\n" not in row["reason"]
    assert f"phases not registered, used as they are: case p0: phase 'pre' ({row['reason']})" in notes
    assert not list(tmp_path.rglob("registered/**/*.nii.gz"))


def test_the_search_ends_when_its_time_is_up(tmp_path):
    entry, _, _ = moved_case(tmp_path / "in", 0)
    start = time.perf_counter()
    register_cases([entry], PHASES, "portal", tmp_path / "out", Registration("rigid", seconds=0), workers=1)
    (short,) = [row for row in table(tmp_path / "out") if row["phase"] == "arterial"]
    assert time.perf_counter() - start < 5
    register_cases([entry], PHASES, "portal", tmp_path / "out", Registration("rigid"), workers=1)
    (whole,) = [row for row in table(tmp_path / "out") if row["phase"] == "arterial"]
    assert float(whole["mutual_information_after"]) > float(short["mutual_information_after"] or 0)


def test_without_a_mask_the_whole_volume_counts_and_a_box_where_given(tmp_path):
    entry, truth, corners = moved_case(tmp_path / "in", 0)
    del entry["roi"]
    box = [corners.min(axis=0).tolist(), corners.max(axis=0).tolist()]
    cases = [entry, entry | {"case": "boxed", "box": box}]
    after, notes = register_cases(cases, PHASES, "portal", tmp_path / "out", Registration("rigid"), workers=1)
    assert [row["region"] for row in table(tmp_path / "out")] == ["whole volume"] * 2 + ["box"] * 2
    assert "registered over the whole volume, for want of a mask or box: p0" in notes
    for case in after:
        assert max(pair[1] for pair in residuals(entry, case, truth, corners).values()) < VOXEL_MM


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"transform": "rigd"},
            r"registration must be one of \[none, rigid, affine, deformable\] \(nearest: 'rigid'\)",
        ),
        ({"margin": -1}, r"registration_margin must be a number of 0 or more, found -1"),
        ({"seconds": "5"}, r"registration_seconds must be a number"),
    ],
)
def test_wrong_settings(wrong, message):
    with pytest.raises(ValueError, match=message):
        Registration(**wrong)
