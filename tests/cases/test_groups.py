# SPDX-License-Identifier: Apache-2.0
"""Groups of cases: what a column makes of its values, and the columns that a dataset has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scripts.cases.groups import grouped
from scripts.cases.read import read_cases

NUMBER = {"name": "log_afp", "kind": "number"}
COLUMNS = [
    {"name": "age", "kind": "number", "unit": "years"},
    {"name": "scanner", "kind": "category", "values": ["old", "new"]},
]


def test_numbers_are_cut_into_thirds_and_every_value_lies_in_one_band() -> None:
    found = grouped([*range(30), None], NUMBER)
    assert found.order == ["under 9.67", "9.67 to <19.3", "19.3 or more", "not recorded"]
    assert [found.group.count(name) for name in found.order] == [10, 10, 10, 1]


def test_a_limit_belongs_to_the_band_above_it() -> None:
    found = grouped([49.9, 50, 64, 65], NUMBER | {"limits": [50, 65]})
    assert found.group == ["under 50", "50 to <65", "50 to <65", "65 or more"]


def test_one_value_and_no_value_at_all() -> None:
    assert grouped([3.0, 3.0], NUMBER).order == ["3"]
    assert not grouped(["A"], {"name": "site", "kind": "category"}).unknown
    for column in (NUMBER, COLUMNS[0], COLUMNS[1]):
        assert grouped([None, None], column).unknown


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    (tmp_path / "a.nii.gz").write_bytes(b"")
    tables = [{"age": 40, "scanner": "old"}, {"scanner": "new"}, None]
    cases = [
        {"case": i, "image": {"pre": "a.nii.gz"} | ({"late": "a.nii.gz"} if i else {}), "label": "low"}
        | ({} if table is None else {"clinical": table}) | ({"site": "A"} if i else {})
        for i, table in enumerate(tables)
    ]  # fmt: skip
    content = {"phases": ["pre", "late"], "classes": ["low", "high"], "clinical": COLUMNS, "test": cases}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    return tmp_path


def test_cases_are_grouped_by_columns_that_the_model_does_not_read(dataset: Path) -> None:
    by = ["site", "missing_phases", {"age": [30]}, "scanner"]
    groups = read_cases(dataset, ["pre", "late"], ["low", "high"], required=["test"], by=by).groups
    assert groups is not None
    found = {one.by: one.group for one in groups.of(["0", "1", "2"])}
    assert found == {
        "site": ["not recorded", "A", "A"],
        "missing_phases": ["without late", "all phases", "all phases"],
        "age": ["30 or more", "not recorded", "not recorded"],
        "scanner": ["old", "new", "not recorded"],
    }
    # a model that reads one phase misses none of the others
    (only,) = read_cases(dataset, ["pre"], ["low", "high"], required=["test"], by=by[1:2]).groups.of(["0", "1"])
    assert only.group == ["all phases", "all phases"]


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ("scaner", r"`by` must name columns among .*nearest: 'scanner'.*found 'scaner'; correct it, or take it out"),
        ({"scanner": [1.0]}, "`by` can cut columns of numbers into bands, found limits for 'scanner'"),
    ],
)
def test_a_column_that_is_not_there_is_named_with_the_nearest(dataset: Path, by: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_cases(dataset, ["pre"], ["low", "high"], required=["test"], by=[by])
