# SPDX-License-Identifier: Apache-2.0
"""The cases that an annotation server gives to a training: what their labels may say, and how many there must be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scripts.engines import served
from scripts.engines.served import chosen_row, training_cases

COLUMNS = [{"name": "age", "kind": "number"}, {"name": "sex", "kind": "category", "values": ["F", "M"]}]


@pytest.fixture
def read(tmp_path: Path, monkeypatch, save_volume):
    """Return a function that reads cases by their labels, the last for validation."""

    def cases(*labels):
        entries = []
        for number, label in enumerate(labels):
            image = save_volume(tmp_path / f"p{number}_portal.nii.gz")
            file = tmp_path / f"p{number}.json"
            file.write_text(json.dumps(label if isinstance(label, dict) else {"label": label}))
            entries.append({"image": str(image), "label": str(file)})
        data = [{"dataset": {"data": part}} for part in (entries[:-1], entries[-1:])]
        monkeypatch.setattr(served, "running_config", lambda: {"train": data[0], "validate": data[1]})
        return training_cases("", ["portal"], ["low", "high"], COLUMNS)

    return cases


def test_labels_of_every_class_are_cases(read) -> None:
    found = read({"label": "high", "clinical": {"age": 61, "sex": None}}, "low", "low")
    assert [case["label"] for case in found.training] == [1, 0]
    assert found.training[0]["clinical"] == {"age": 61.0}
    assert found.class_counts == [1, 1]


@pytest.mark.parametrize(
    ("labels", "counted"), [(["low"] * 3, "2 low, 0 high"), (["low", "low", "high"], "2 low, 0 high")]
)
def test_labels_of_one_class_are_refused(read, labels, counted) -> None:
    with pytest.raises(
        ValueError, match=f"cases of every class to train on, found {counted}, and 1 to validate"
    ) as error:
        read(*labels)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("clinical", "words"),
    [({"age": [61]}, r"'age' must be a number, found \[61\]"), ({"age": True}, "must be a number, found True"),
     ({"age": 1e308}, "must be finite, and below 1e\\+15, found 1e\\+308"), ({"agee": 6}, "'agee' is not among"),
     ({"sex": ["F"]}, "must be one of"), ([61], "must be an object of column: value")],
)  # fmt: skip
def test_a_label_has_values_of_the_right_type(read, clinical, words) -> None:
    with pytest.raises(ValueError, match=words) as error:
        read({"label": "low", "clinical": clinical}, "high", "low")
    assert "p0.json" in str(error.value)


@pytest.mark.parametrize("value", [[61], True, 1e308, 10**400, ["", "F"]])
def test_a_request_has_numbers_where_the_column_has_them(value) -> None:
    with pytest.raises(ValueError, match="clinical value 'age' must be a number, found"):
        chosen_row(COLUMNS, {"age": value})
