# SPDX-License-Identifier: Apache-2.0
"""Clinical values as a row of numbers, by the model's own declarations."""

from __future__ import annotations

import json

import pytest
import torch
from monai.data import DataLoader, Dataset
from scripts.cases.read import declared_columns, read_unlabelled
from scripts.transforms.clinical import EncodeClinicald

NAN = float("nan")
AGE = {"name": "age", "kind": "number", "unit": "years"}
SEX = {"name": "sex", "kind": "category", "values": ["F", "M"]}


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"clinical": {"age": 61.0, "sex": "M"}}, [61.0, 1.0]),
        ({"clinical": {"sex": "F"}}, [NAN, 0.0]),
        ({"clinical": {}}, [NAN, NAN]),
        ({}, [NAN, NAN]),
        ({"clinical": None}, [NAN, NAN]),
    ],
)
def test_missing_is_nan(item, expected):
    row = EncodeClinicald(columns=[AGE, SEX])(item)["clinical"]
    assert row.dtype is torch.float32
    torch.testing.assert_close(row, torch.tensor(expected), equal_nan=True)


def test_the_order_is_that_of_the_columns():
    row = EncodeClinicald(columns=[SEX, AGE])({"clinical": {"age": 61.0, "sex": "M"}})["clinical"]
    assert row.tolist() == [1.0, 61.0]


def test_batches_work_without_columns():
    dataset = Dataset([{"clinical": {}}, {"clinical": {}}], EncodeClinicald(columns=[]))
    assert next(iter(DataLoader(dataset, batch_size=2)))["clinical"].shape == (2, 0)


def test_an_unknown_category_names_the_case():
    with pytest.raises(ValueError, match=r"case p1: clinical value 'sex' must be one of .*found 'male'"):
        EncodeClinicald(columns=[SEX])({"case": "p1", "clinical": {"sex": "male"}})


def test_the_order_of_categories_is_that_of_the_trained_model(tmp_path):
    """A dataset that lists the values the other way round is encoded as the model learned them."""
    case = {"case": "a", "image": {"pre": "pre.nii"}, "clinical": {"sex": "M"}}
    document = {"phases": ["pre"], "clinical": [SEX | {"values": ["M", "F"]}], "unlabelled": [case]}
    (tmp_path / "pre.nii").touch()
    (tmp_path / "dataset.json").write_text(json.dumps(document))
    for clinical, expected in (([SEX], 1.0), (["sex"], 0.0)):
        columns = declared_columns(clinical, tmp_path)
        item = read_unlabelled(tmp_path, ["pre"], columns)[0]
        assert EncodeClinicald(columns=columns)(item)["clinical"].tolist() == [expected]


def test_names_are_declared_by_the_dataset_and_declarations_need_none(tmp_path):
    assert declared_columns([], tmp_path) == []
    assert declared_columns([AGE, SEX], "/nowhere") == [AGE, SEX]
    with pytest.raises(FileNotFoundError, match=r"dataset\.json does not exist"):
        declared_columns(["age"], tmp_path)
    (tmp_path / "dataset.json").write_text(json.dumps({"phases": ["pre"], "clinical": [AGE, SEX]}))
    assert declared_columns(["sex", AGE], tmp_path) == [SEX, AGE]
    with pytest.raises(ValueError, match=r"'agee' is not among .*nearest: 'age'"):
        declared_columns(["agee"], tmp_path)
    with pytest.raises(ValueError, match="must have the kind 'number' or 'category', found 'text'"):
        declared_columns([{"name": "age", "kind": "text"}], tmp_path)
