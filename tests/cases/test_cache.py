# SPDX-License-Identifier: Apache-2.0
"""Cached datasets: the same items from every kind of cache, and never an old one from disk."""

from __future__ import annotations

import copy
import itertools
import logging
import os
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import CacheDataset, Dataset, PersistentDataset
from monai.transforms import Compose, MapTransform, RandomizableTransform, SelectItemsd
from scripts.cases.cache import cached_dataset
from scripts.files.processes import BadCases
from scripts.transforms.intensity import WindowIntensityd, ZScoreIntensityd
from scripts.transforms.phases import LoadImagePhasesd, StackPhasesd
from scripts.transforms.region import BoxRegiond, WholeVolumeRegiond
from scripts.transforms.resample import ResamplePhasesd
from scripts.volumes import fingerprint as fingerprint_module

KINDS = ["memory", "disk", "none"]


class Counted(MapTransform):
    """Counts how often a case is prepared."""

    calls = 0

    def __init__(self) -> None:
        super().__init__("image")

    def __call__(self, data: Any) -> Any:
        type(self).calls += 1
        return data


@pytest.fixture(autouse=True)
def _no_calls_yet() -> None:
    Counted.calls = 0


@pytest.fixture
def items(tmp_path: Path) -> list[dict[str, Any]]:
    """Two cases; the second lacks a phase."""
    generator = np.random.default_rng(0)
    made = []
    for case, phases in (("p001", ("pre", "portal")), ("p002", ("portal",))):
        paths = {}
        for phase in phases:
            paths[phase] = str(tmp_path / f"{case}_{phase}.nii")
            voxels = generator.integers(0, 100, size=(8, 8, 8)).astype(np.int16)
            nib.save(nib.Nifti1Image(voxels, np.eye(4)), paths[phase])
        made.append({"case": case, "image": paths, "roi": None, "label": len(made), "box": [[1, 1, 1], [6, 6, 6]]})
    return made


def chain(size: int = 6, lower: float = 0.0, keys: tuple[str, ...] = ("image", "present", "label", "case")) -> Compose:
    phases = ["pre", "portal"]
    return Compose(
        [
            Counted(),
            LoadImagePhasesd(phases=phases, reference="portal"),
            BoxRegiond(margin=0.5),
            ResamplePhasesd(spacing=(1, 1, 1), size=(size, size, size)),
            WindowIntensityd(lower=lower, upper=100.0),
            StackPhasesd(phases=phases),
            SelectItemsd(keys=keys, allow_missing_keys=True),
        ]
    )


def make(items: list, folder: Path, transform: Any = None, cache: str = "disk") -> Any:
    return cached_dataset(items, transform or chain(), cache=cache, cache_dir=folder / "cache", progress=False)


def test_every_kind_gives_the_same_items(items: list, tmp_path: Path) -> None:
    memory, disk, none = (make(items, tmp_path, cache=kind) for kind in KINDS)
    again = make(items, tmp_path)
    assert isinstance(memory, CacheDataset)
    assert isinstance(disk, PersistentDataset)
    assert isinstance(none, Dataset)
    for index in range(2):
        for other in (disk, none, again):
            torch.testing.assert_close(memory[index]["image"], other[index]["image"], rtol=0, atol=0)
            assert torch.equal(memory[index]["present"], other[index]["present"])
            assert (memory[index]["label"], memory[index]["case"]) == (other[index]["label"], other[index]["case"])
    assert memory[1]["present"].tolist() == [False, True]
    assert not memory[1]["image"][0].any()


def test_a_case_is_prepared_once(items: list, tmp_path: Path) -> None:
    for kind, calls in (("memory", 2), ("disk", 2), ("none", 6)):
        Counted.calls = 0
        dataset = make(items, tmp_path, cache=kind)
        for _ in range(3):
            _ = [dataset[index] for index in range(2)]
        assert Counted.calls == calls, kind
    Counted.calls = 0
    make(items, tmp_path)
    assert Counted.calls == 0


def recomputed(items: list, folder: Path, transform: Any = None) -> int:
    """Return how many cases a new disk cache in the same folder has to prepare."""
    Counted.calls = 0
    make(items, folder, transform)
    return Counted.calls


def test_a_voxel_changed_in_place_is_seen_by_the_same_dataset(items: list, tmp_path: Path) -> None:
    dataset = make(items, tmp_path)
    before = dataset[0]["image"].clone()
    path = items[0]["image"]["portal"]
    with open(path, "r+b") as file:
        file.seek(352 + 2 * (3 + 8 * (3 + 8 * 3)))
        file.write(np.int16(77).tobytes())
    changed = (dataset[0]["image"] != before).nonzero().tolist()
    assert changed == [[1, 2, 2, 2]]
    assert dataset[0]["image"][1, 2, 2, 2].item() == pytest.approx(0.77)
    assert recomputed(items, tmp_path) == 0


def test_a_voxel_changed_under_an_old_time_stamp_is_seen(items: list, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(fingerprint_module, "SETTLED", -1.0)  # remember every file at once
    make(items, tmp_path)
    path = Path(items[0]["image"]["portal"])
    state = path.stat()
    content = bytearray(path.read_bytes())
    content[352 + 2 * (3 + 8 * (3 + 8 * 3))] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert path.stat().st_mtime_ns == state.st_mtime_ns
    assert recomputed(items, tmp_path) == 1


@pytest.mark.parametrize(
    ("key", "value"), [("label", 5), ("box", [[1, 1, 1], [5, 6, 6]]), ("case", "p009"), ("clinical", {"age": 6})]
)
def test_a_changed_value_of_the_item_is_seen(items: list, tmp_path: Path, key: str, value: Any) -> None:
    make(items, tmp_path)
    changed = copy.deepcopy(items)
    changed[0][key] = value
    assert recomputed(changed, tmp_path) == 1
    if key == "label":
        assert make(changed, tmp_path)[0]["label"] == 5


@pytest.mark.parametrize("transform", [chain(size=5), chain(lower=-1.0), chain(keys=("image", "present", "case"))])
def test_a_changed_setting_is_seen(items: list, tmp_path: Path, transform: Compose) -> None:
    make(items, tmp_path)
    assert recomputed(items, tmp_path, transform) == 2
    assert recomputed(items, tmp_path) == 0  # the old entries are still there


def test_another_transform_with_the_same_settings_is_seen(items: list, tmp_path: Path) -> None:
    steps = list(chain().transforms)
    make(items, tmp_path)
    steps[4] = ZScoreIntensityd()
    assert recomputed(items, tmp_path, Compose(steps)) == 2


def test_changed_code_is_seen(items: list, tmp_path: Path, monkeypatch: Any) -> None:
    make(items, tmp_path)
    monkeypatch.setattr("scripts.cases.cache.code_version", lambda: "another version")
    assert recomputed(items, tmp_path) == 2


def test_a_case_may_move_to_another_split(items: list, tmp_path: Path) -> None:
    """It is not prepared again, and says which split it is in now."""
    keeps = chain(keys=("image", "present", "split"))
    make([item | {"split": "training"} for item in items], tmp_path, keeps)
    moved = make([item | {"split": "test"} for item in items], tmp_path, keeps)
    assert Counted.calls == 2
    assert [case["split"] for case in moved] == ["test", "test"]


def test_a_missing_phase_that_turns_up_is_seen(items: list, tmp_path: Path) -> None:
    make(items, tmp_path)
    items[1]["image"]["pre"] = items[0]["image"]["pre"]
    assert recomputed(items, tmp_path) == 1


def test_a_moved_dataset_is_found_again(items: list, tmp_path: Path) -> None:
    make(items, tmp_path)
    moved = copy.deepcopy(items)
    for item in moved:
        for phase, path in item["image"].items():
            new = tmp_path / "elsewhere" / Path(path).name
            new.parent.mkdir(exist_ok=True)
            Path(path).rename(new)
            item["image"][phase] = str(new)
    assert recomputed(moved, tmp_path) == 0


@pytest.mark.parametrize("kept", [0, 100, -10])
def test_a_truncated_cache_file_is_prepared_again(items: list, tmp_path: Path, kept: int, caplog: Any) -> None:
    expected = make(items, tmp_path)[0]["image"]
    for file in (tmp_path / "cache").glob("*.pt"):
        content = file.read_bytes()
        file.write_bytes(content[:kept])
    with caplog.at_level(logging.WARNING):
        dataset = make(items, tmp_path)
    assert Counted.calls == 4
    assert caplog.text.count("cannot be read") == 2
    torch.testing.assert_close(dataset[0]["image"], expected)
    assert recomputed(items, tmp_path) == 0


def test_killed_while_writing_leaves_no_entry(items: list, tmp_path: Path, monkeypatch: Any) -> None:
    def killed(entry: Any, stream: Any) -> None:
        stream.write(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", killed)
        dataset = make([], tmp_path)
        with pytest.raises(KeyboardInterrupt):
            dataset._entry(items[0])
    assert list((tmp_path / "cache").iterdir()) == []
    assert recomputed(items, tmp_path) == 2


def test_a_file_changed_while_it_is_read_is_read_again(items: list, tmp_path: Path) -> None:
    path = Path(items[0]["image"]["portal"])
    old, new = path.read_bytes(), path.read_bytes()[:-2] + np.int16(99).tobytes()

    class Edited(Counted):
        def __call__(self, data: Any) -> Any:
            if Counted.calls == 0:
                path.write_bytes(new)
            Counted.calls += 1
            return data

    make(items[:1], tmp_path, Compose([Edited(), *chain().transforms]))
    path.write_bytes(old)
    Counted.calls = 1
    make(items[:1], tmp_path, Compose([Edited(), *chain().transforms]))
    assert Counted.calls == 3, "the entry of the old content must not hold the new content"


def test_other_data_leave_the_folder_alone(items: list, tmp_path: Path) -> None:
    dataset = make(items, tmp_path)
    dataset.set_data(items[:1])  # MONAI's own PersistentDataset empties its folder here
    assert len(dataset) == 1
    assert recomputed(items, tmp_path) == 0


class Jitter(RandomizableTransform):
    """A random step."""

    def __call__(self, data: Any) -> Any:
        return {**data, "image": data["image"] + float(self.R.uniform())}


@pytest.mark.parametrize("kind", KINDS)
def test_a_random_step_is_refused_so_that_it_never_reaches_validation(items: list, tmp_path: Path, kind: str) -> None:
    with pytest.raises(ValueError, match="found the random step Jitter; move it into `augmentation`, which"):
        make(items, tmp_path, Compose([chain(), Jitter()]), cache=kind)
    assert Counted.calls == 0


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_transform_runs_every_time(items: list, tmp_path: Path, kind: str) -> None:
    number = itertools.count(1)
    last = partial(_plus, number)
    dataset = make(items, tmp_path, Compose([chain(), last]), cache=kind)
    first, second = dataset[0]["image"].clone(), dataset[0]["image"]
    torch.testing.assert_close(second - first, torch.ones_like(first))


def _plus(number: itertools.count, data: Any) -> Any:
    return {**data, "image": data["image"] + next(number)}


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_regions_larger_than_the_grid_are_listed_once(items: list, tmp_path: Path, caplog: Any, kind: str) -> None:
    items[1]["box"] = [[0, 0, 0], [7, 7, 7]]
    for _ in range(2):  # the second time from disk
        with caplog.at_level(logging.WARNING):
            dataset = make(items, tmp_path, cache=kind)
        _ = [dataset[index] for index in range(2)]
        (record,) = caplog.records
        assert "in 1 of 2 cases: p002;" in record.getMessage()
        caplog.clear()


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_is_the_transform_s_own(items: list, tmp_path: Path, kind: str) -> None:
    items[1]["image"]["portal"] = str(tmp_path / "none.nii.gz")
    with pytest.raises((FileNotFoundError, BadCases), match=r"^case p002: phase 'portal': the volume must exist"):
        _ = make(items, tmp_path, cache=kind)[1]


def test_what_the_disk_cannot_keep(items: list, tmp_path: Path) -> None:
    transform = Compose([LoadImagePhasesd(phases=["pre", "portal"]), WholeVolumeRegiond()])
    with pytest.raises(BadCases, match=r"case p001: the disk cache keeps .* found NiftiVolume .* SelectItemsd"):
        make(items, tmp_path, transform)


def test_unknown_kind_names_the_nearest(items: list) -> None:
    with pytest.raises(ValueError, match=r"nearest: 'memory'"):
        cached_dataset(items, chain(), cache="memroy")


def test_a_disk_cache_needs_a_folder(items: list, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="set `cache_dir`"):
        cached_dataset(items, chain(), cache="disk")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="must be a folder"):
        cached_dataset(items, chain(), cache="disk", cache_dir=tmp_path / "file")


def test_fingerprints_of_functions_and_objects() -> None:
    fingerprint = fingerprint_module.fingerprint

    def adds(amount: int) -> Any:
        return lambda value: value + amount

    assert fingerprint(adds(1)) == fingerprint(adds(1))
    assert fingerprint(adds(1)) != fingerprint(adds(2))
    assert fingerprint(lambda value: value + 1) != fingerprint(lambda value: value - 1)
    assert fingerprint(torch.ones(2)) != fingerprint(torch.ones(2, dtype=torch.float64))
    assert fingerprint([1, [2]]) != fingerprint([[1], 2])
    assert fingerprint("1") != fingerprint(1)
