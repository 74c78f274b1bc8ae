"""A small dataset.json with empty image files, for tests of its reader."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Document = dict[str, Any]


def dataset_entry(case: str, label: str = "low", phases: tuple[str, ...] = ("pre", "portal")) -> Document:
    return {"case": case, "image": {phase: f"{case}/{phase}.nii.gz" for phase in phases}, "label": label}


@pytest.fixture
def document(tmp_path: Path) -> Document:
    content: Document = {
        "name": "toy",
        "phases": ["pre", "portal", "late"],
        "classes": ["low", "high"],
        "clinical": [
            {"name": "age", "unit": "years", "kind": "number"},
            {"name": "sex", "kind": "category", "values": ["F", "M"]},
        ],
        "training": [dataset_entry("a"), dataset_entry("b", "high")],
        "validation": [dataset_entry("c"), dataset_entry("d", "high")],
        "test": [dataset_entry("e")],
    }
    for case in "abcde":
        (tmp_path / case).mkdir()
        for phase in ("pre", "portal", "late"):
            (tmp_path / case / f"{phase}.nii.gz").touch()
    return content


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Any], Path]:
    def write_document(content: Any) -> Path:
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / "dataset.json").write_text(text, encoding="utf-8")
        return tmp_path

    return write_document
