# SPDX-License-Identifier: Apache-2.0
"""The label of a case from a file that an annotation server stores: a class, or a mask."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scripts.transforms.server_labels import ReadLabeld, ReadMaskd

READ = ReadLabeld(classes=["Low", "high"])


@pytest.fixture
def file(tmp_path: Path):
    def write(content) -> str:
        path = tmp_path / "label.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return write


def test_the_class_by_its_name_with_what_the_file_adds(file) -> None:
    item = READ({"label": file({"label": "HIGH", "clinical": {"age": 61}, "point": [1, 2, 3], "note": "x"})})
    assert item == {"label": 1, "clinical": {"age": 61}, "point": [1, 2, 3]}


def test_a_confirmed_answer_of_the_model(file) -> None:
    answer = {"prediction": [{"idx": 0, "label": "low", "score": 0.7}, {"label": "high", "score": 0.3}]}
    assert READ({"label": file(answer)})["label"] == 0
    assert READ({"label": file({**answer, "label": "high"})})["label"] == 1


@pytest.fixture
def mask(tmp_path: Path, save_volume):
    def write(*values: int) -> str:
        voxels = np.zeros((4, 4, 3), np.uint8)
        voxels[: len(values), 1, 1] = values
        return str(save_volume(tmp_path / "p001.nii.gz", voxels))

    return write


def test_a_mask_is_its_class_and_the_region(mask) -> None:
    for value, index in ((1, 0), (2, 1)):
        path = mask(value, value)
        assert READ({"label": path}) == {"label": index, "roi": path}


@pytest.mark.parametrize(("values", "found"), [((), "nothing but 0"), ((1, 2), "found 1, 2"), ((3,), "found 3")])
def test_a_mask_must_show_one_class(mask, values, found) -> None:
    with pytest.raises(ValueError, match=rf"p001.nii.gz: a mask must show one class \(1 is Low, 2 is high\).*{found}"):
        READ({"label": mask(*values)})


def test_outlines_are_learned_from_masks_alone(mask, file) -> None:
    path = mask(1, 2)
    assert ReadMaskd()({"image": "x", "label": path}) == {"image": "x", "roi": path}
    assert ReadMaskd()({"image": "x"}) == {"image": "x"}
    with pytest.raises(ValueError, match=r"label.json must be a mask"):
        ReadMaskd()({"label": file({"label": "high"})})


def test_an_index_and_no_label_stay() -> None:
    assert READ({"label": 1}) == {"label": 1}
    assert READ({"image": "x"}) == {"image": "x"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"label": "hihg"}, r"label.json: 'label' must be one of .*high.* found 'hihg'"),
        ({"note": "x"}, "found None"),
        ("[1]", r"must hold an object .* found \[1\]"),
        ("{", "must be readable JSON, found JSONDecodeError"),
    ],
)
def test_errors_name_the_file_and_the_classes(file, content, message) -> None:
    with pytest.raises(ValueError, match=message):
        READ({"label": file(content)})


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none.json must be readable JSON, found FileNotFoundError"):
        READ({"label": str(tmp_path / "none.json")})
