# SPDX-License-Identifier: Apache-2.0
"""Among many cases several cannot be used, each in another way: every command names all, in a line."""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from scripts.cases.read import read_cases
from scripts.files.errors import message_of
from scripts.files.processes import BadCases
from scripts.volumes.native import ReaderDied
from workbench.prepare.preparing import prepare
from workbench.prepare.settings import Settings

CASES = [f"p{number:02d}" for number in range(24)]


@pytest.fixture
def cohort(tmp_path, save_volume) -> Path:
    """24 cases with two phases and a mask."""
    mask = np.zeros((16, 16, 12), np.uint8)
    mask[5:11, 5:11, 4:8] = 1
    for case in CASES:
        for phase in ("pre", "portal"):
            save_volume(tmp_path / "in" / case / f"{phase}.nii.gz")
        save_volume(tmp_path / "in" / case / "lesion.nii.gz", mask)
    rows = [f"{case},{['low', 'high'][number % 2]}" for number, case in enumerate(CASES)]
    (tmp_path / "labels.csv").write_text("\n".join(["case,label", *rows]))
    return tmp_path


def spoil(folder: Path, save_volume) -> dict[str, Path]:
    """Spoil one file of each of several cases in its own way; return case -> file."""
    bad = {}

    def file(case: str, phase: str) -> Path:
        bad[case] = folder / case / f"{phase}.nii.gz"
        return bad[case]

    cut = file("p01", "pre")
    cut.write_bytes(cut.read_bytes()[:400])
    file("p03", "portal").write_bytes(b"no image at all")
    file("p05", "pre").write_bytes(b"")
    file("p07", "pre").unlink()
    bad["p07"].mkdir()
    file("p09", "portal").unlink()
    bad["p09"].symlink_to(folder / "nowhere.nii.gz")
    save_volume(file("p11", "pre"), np.full((16, 16, 12), np.nan, np.float32))
    save_volume(file("p13", "pre"), np.full((16, 16, 12), 7, np.int16))
    save_volume(file("p15", "lesion"), np.zeros((16, 16, 12), np.uint8))
    short = file("p17", "portal")
    short.write_bytes(gzip.compress(gzip.decompress(short.read_bytes())[:-2000]))
    save_volume(file("p19", "portal"), affine=np.array([[1, 0, 0, 900], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))
    return bad


def run(cohort: Path, **options: object) -> Path | None:
    return prepare(Settings(cohort / "in", "folders", cohort / "out", labels=cohort / "labels.csv", **options))


@pytest.mark.parametrize("workers", [1, 3])
def test_preparing_names_each_in_one_line_and_shows_it(workers, cohort, save_volume):
    bad = spoil(cohort / "in", save_volume)
    with pytest.raises(BadCases) as raised:
        run(cohort, workers=workers)
    said = message_of(raised.value)
    assert said is not None
    head, *lines = said.splitlines()
    assert head == "10 of 24 cases cannot be used:"
    assert {line.split()[1].rstrip(":") for line in lines} == set(bad)
    page = (cohort / "out" / "quality.html").read_text(encoding="utf-8")
    for case, file in bad.items():
        those = [line for line in lines if f"case {case}: " in line]
        shown = file.parent if case == "p19" else file  # of phases apart, either may be the wrong one
        assert any(str(shown) in line for line in those)
        assert all("; " in line for line in those)  # what to do
        assert f"case {case}" in page
    assert [path.name for path in (cohort / "out").iterdir()] == ["quality.html"]


def test_without_the_page_nothing_stays_behind(cohort, save_volume):
    spoil(cohort / "in", save_volume)
    with pytest.raises(BadCases, match=r"case p03: phase 'portal'"):
        run(cohort, quality=False)
    assert not (cohort / "out").exists()


def test_a_reader_that_crashes_costs_its_file(cohort, monkeypatch, save_volume):
    for case in ("p02", "p04"):
        (cohort / "in" / case / "pre.nii.gz").unlink()
        save_volume(cohort / "in" / case / "pre.mha", np.arange(27, dtype=np.int16).reshape(3, 3, 3))

    def crash(*arguments):
        raise ReaderDied("its reader crashed (SIGSEGV)")

    monkeypatch.setattr("scripts.volumes.itk.read_native", crash)
    with pytest.raises(
        BadCases, match=r"(?s)2 of 24.*case p02: phase 'pre': .*crashed.*case p04: phase 'pre': .*crashed"
    ):
        run(cohort)


def test_corrected_data_are_prepared_over_the_page_of_before(cohort, save_volume):
    text = cohort / "in" / "p03" / "portal.nii.gz"
    good = text.read_bytes()
    text.write_bytes(b"no image")
    with pytest.raises(BadCases, match=r"^case p03: phase 'portal'"):
        run(cohort)
    text.write_bytes(good)
    file = run(cohort)
    assert file is not None
    assert "p03" in file.read_text()


def test_files_gone_since_preparing_are_all_named(cohort):
    file = run(cohort, quality=False)
    gone = [cohort / "in" / case / "pre.nii.gz" for case in CASES[:7]]
    for path in gone:
        path.unlink()
    with pytest.raises(BadCases) as raised:
        read_cases(file, ["pre", "portal"], ["high", "low"])
    assert len(raised.value.lines) == 7
    assert all(sum(str(path) in line for line in raised.value.lines) == 1 for path in gone)


@pytest.fixture
def spoilt_phantom(small_phantom, tmp_path) -> tuple[Path, list[str]]:
    """The phantom with a bad image in each split; the names of these cases."""
    folder = tmp_path / "data"
    shutil.copytree(small_phantom, folder)
    content = json.loads((folder / "dataset.json").read_text())
    names = []
    for split in ("training", "validation", "test"):
        for entry in content[split][:2]:
            names.append(entry["case"])
            path = folder / next(iter(entry["image"].values()))
            path.write_bytes(path.read_bytes()[:500])
    return folder, names


@pytest.mark.parametrize("cache", ["memory", "none"])
def test_training_names_those_of_all_splits_before_the_first_epoch(cache, spoilt_phantom, bundle, quick, tmp_path):
    folder, names = spoilt_phantom
    output = tmp_path / "results"
    changed = quick | {"dataset_dir": str(folder), "cache": cache}
    with pytest.raises(Exception) as raised:  # noqa: PT011  (MONAI wraps it)
        bundle("training", ["configs/train.yaml"], output_dir=str(output), **changed)
    said = message_of(raised.value)
    assert said is not None
    assert said.startswith("6 of 40 cases cannot be used:")
    assert [line.split()[1].rstrip(":") for line in said.splitlines()[1:]] == names
    assert not output.exists()


def test_inferring_predicts_the_others_and_ends_with_the_list(spoilt_phantom, trained, bundle, tmp_path):
    folder, names = spoilt_phantom
    gone = json.loads((folder / "dataset.json").read_text())["test"][2]
    (folder / gone["image"]["pre"]).unlink()
    names = [*names, gone["case"]]
    files = [str(trained / "configs" / "inference.yaml")]
    settings = {"bundle_root": str(trained), "dataset_dir": str(folder), "output_dir": str(tmp_path / "out")}
    with pytest.raises(Exception) as raised:  # noqa: PT011
        bundle("inferring", files, **settings)
    said = message_of(raised.value)
    assert said is not None
    assert said.startswith("7 of 40 cases cannot be used:")
    with (tmp_path / "out" / "predictions.csv").open() as stream:
        predicted = [row["case"] for row in csv.DictReader(stream)]
    with (tmp_path / "out" / "not_predicted.csv").open() as stream:
        left = {row["case"]: row["reason"] for row in csv.DictReader(stream)}
    assert len(predicted) == 33
    assert sorted(left) == sorted(names)
    assert not set(left) & set(predicted)
    assert all("phase" in reason for reason in left.values())
    hidden = [path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]
    assert hidden in ([], [".run"]), "what the folder holds is noted, nothing half-written is there"


def test_inferring_where_nothing_can_be_read_leaves_no_folder(trained, bundle, tmp_path):
    for case in ("a", "b"):
        (tmp_path / "in" / case).mkdir(parents=True)
    (tmp_path / "in" / "a" / "pre.nii.gz").write_bytes(b"no image")
    (tmp_path / "in" / "b" / "other.nii.gz").write_bytes(b"no image")
    files = [str(trained / "configs" / "inference.yaml")]
    settings = {"bundle_root": str(trained), "dataset_dir": str(tmp_path / "in"), "output_dir": str(tmp_path / "out")}
    with pytest.raises(Exception) as raised:  # noqa: PT011
        bundle("inferring", files, **settings)
    said = message_of(raised.value)
    assert said is not None
    assert said.startswith("2 of 2 cases cannot be used:")
    assert "found other.nii.gz" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(cohort):
    (cohort / "in" / "p03" / "pre.nii.gz").chmod(0)
    with pytest.raises(BadCases, match=r"case p03: phase 'pre'.*Permission"):
        run(cohort)
