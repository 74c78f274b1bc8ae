# SPDX-License-Identifier: Apache-2.0
"""YAML of a folder from elsewhere is refused where it would grow beyond all bounds."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripts.engines.pretrained import trained_config
from scripts.engines.twins import stale_twins, write_twins
from workbench.package.model_card import model_card
from workbench.pages import remove_own_paths
from workbench.predict.command import main as predict
from workbench.report.report import report_folder

ROOT = Path(__file__).resolve().parents[2]
BOMB = "a: &a [x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
OWN = {"scripts/files/yaml_files.py", "workbench/verify/configurations.py"}
"""Readers with bounds."""
OF_THIS_BUNDLE = {"scripts/engines/run.py"}


@pytest.mark.parametrize(
    "read",
    [
        report_folder,
        model_card,
        stale_twins,
        lambda folder: write_twins(folder / "configs"),
        lambda folder: remove_own_paths(folder / "configs" / "train.yaml"),
        lambda folder: predict(["--run", str(folder), "--input", ".", "--output", str(folder / "out"), "--trust"]),
    ],
)
def test_a_bomb_is_one_line(read: Callable[[Path], Any], tmp_path: Path) -> None:
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    for name in ("train", "inference"):
        (tmp_path / "configs" / f"{name}.yaml").write_text(BOMB)
    (tmp_path / "metrics.json").write_text('{"n": 1}')
    with pytest.raises(ValueError, match=r"(train|inference).yaml must be YAML, found more than 20,000 val"):
        read(tmp_path / "configs" if read is stale_twins else tmp_path)


def test_start_weights_beside_a_bomb_have_no_names(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "train.yaml").write_text(BOMB)
    assert trained_config(tmp_path / "models" / "model.pt") == {}


def test_no_other_reader_of_yaml() -> None:
    found = {
        file.relative_to(ROOT).as_posix()
        for floor in ("scripts", "workbench")
        for file in (ROOT / floor).rglob("*.py")
        if re.search(r"yaml\.(safe_|full_|unsafe_)?load\(", file.read_text(encoding="utf-8"))
    }
    assert found - OF_THIS_BUNDLE == OWN
