# SPDX-License-Identifier: Apache-2.0
"""Cases to be classified: from a dataset.json, or from a folder of case folders."""

from __future__ import annotations

import re

import pytest
from scripts.cases.read import read_unlabelled
from scripts.files.processes import BadCases

PHASES, CLASSES = ["pre", "portal"], ["low", "high"]


def test_every_case_of_a_dataset_json_without_a_label(document, write):
    document["unlabelled"] = [{"case": "u", "image": {"pre": "a/pre.nii.gz"}}]
    items = read_unlabelled(write(document), PHASES)
    assert [item["case"] for item in items] == ["a", "b", "c", "d", "e", "u"]
    assert not any("label" in item for item in items)
    assert items[-1]["split"] == "unlabelled"


def test_labels_are_kept_only_where_every_case_has_one(document, write):
    labels = [item["label"] for item in read_unlabelled(write(document), PHASES, classes=["high", "low"])]
    assert labels == [1, 0, 1, 0, 1]
    del document["test"][0]["label"]
    assert not any("label" in item for item in read_unlabelled(write(document), PHASES, classes=CLASSES))


def test_a_dataset_need_not_have_the_columns_of_the_model(document, write):
    document["clinical"] = []
    column = {"name": "age", "kind": "number"}
    assert read_unlabelled(write(document), PHASES, [column])[0]["clinical"] == {}


def test_folder_of_case_folders(tmp_path):
    for name in ("p1/pre.nii", "p1/p1_portal.nrrd", "p1/lesion.mha", "p1/notes.txt", "p2/PORTAL.mhd", "p2/late.nii.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    first, second = read_unlabelled(tmp_path, PHASES)
    assert first == {
        "case": "p1",
        "patient": "p1",
        "site": None,
        "image": {"pre": str(tmp_path / "p1/pre.nii"), "portal": str(tmp_path / "p1/p1_portal.nrrd")},
        "roi": str(tmp_path / "p1/lesion.mha"),
        "clinical": {},
        "split": "unlabelled",
    }
    assert (list(second["image"]), second["roi"]) == (["portal"], None)


def test_a_phase_may_be_called_mask(tmp_path):
    (tmp_path / "p1").mkdir()
    (tmp_path / "p1/mask.nii.gz").touch()
    item = read_unlabelled(tmp_path, ["mask"])[0]
    assert (list(item["image"]), item["roi"]) == (["mask"], None)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], r"must hold a dataset.json or one sub-folder per case, found neither"),
        (["p1/t2.nii.gz"], r"case p1: .* at least one of the phases \[pre, portal\].*found t2.nii.gz"),
        (["p1/pre.nii", "p1/portl.nii"], r"case p1: .*portl.nii belongs to no phase, and phase 'portal' is missing"),
        (["p1/pre.nii", "p1/pre.nii.gz"], r"case p1: phase 'pre' must be one file, found pre.nii and pre.nii.gz"),
    ],
)
def test_wrong_folders(files, message, tmp_path):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=message):
        read_unlabelled(tmp_path, PHASES)


def test_the_messages_name_the_case_and_the_file(document, write, tmp_path):
    (tmp_path / "c" / "pre.nii.gz").unlink()
    with pytest.raises(BadCases, match=re.escape(str(tmp_path / "c" / "pre.nii.gz"))):
        read_unlabelled(write(document), PHASES)
    kept = read_unlabelled(write(document), PHASES, keep_bad=True)  # their loader names them
    assert len(kept) == 5
