# SPDX-License-Identifier: Apache-2.0
"""The model card says what the results folder's files say."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from workbench.package.contents import read_file
from workbench.package.model_card import model_card
from workbench.package.packing import package

SECTIONS = [
    "# Description",
    "# Model Overview",
    "## Data",
    "### Preprocessing",
    "## Training configuration",
    "### Input",
    "### Output",
    "## Performance",
    "## Limitations",
    "## MONAI Bundle Commands",
    "# License",
]


def test_card_has_the_figures_and_settings_of_the_folder(own, trained):
    card = (own / "docs" / "README.md").read_text()
    assert [line for line in card.splitlines() if line in SECTIONS] == SECTIONS
    metrics = json.loads((trained / "metrics.json").read_text())
    for row in [*metrics["per_class"], metrics["macro"]]:
        low, high = row["auc_interval"]
        assert f"| {row['class']} | {row['auc']:.3f} [{low:.3f}, {high:.3f}] |" in card
    assert "`image` [B, 3, 16, 16, 16] float32, channels pre, arterial, portal;" in card
    assert "- epochs: 2\n" in card
    assert "Split `test`: 8 cases, seed 0." in card
    assert "fusion `Concat`" in card
    assert "Authors: not named" in card
    figures = re.findall(r"\]\(figures/(.*)\)", card)
    assert figures == [
        "learning_curves.png", "roc.png", "precision_recall.png", "reliability.png", "decision_curve.png",
        "confusion_matrix.png", "missing_phases.png",
    ]  # fmt: skip


@pytest.fixture
def folder(trained, tmp_path):
    """A results folder without metrics and figures, whose configuration a test may change."""
    shutil.copytree(trained / "configs", tmp_path / "configs")

    def change(**settings) -> Path:
        file = tmp_path / "configs" / "train.yaml"
        file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | settings))
        return tmp_path

    return change


def test_card_without_metrics_says_that_nothing_was_measured(folder):
    card = model_card(folder())
    assert "Not measured: the training left no metrics.json." in card
    assert "AUC" not in card
    assert "figures/" not in card


def test_card_names_only_the_parts_that_the_network_has(folder):
    network = {"_target_": "scripts.networks.EarlyFusionNetwork", "encoder": "@encoder"}
    card = model_card(folder(network_def=network))
    assert "Network: `EarlyFusionNetwork`, encoder `ResidualEncoder`. Version" in card


def test_card_says_what_the_training_started_from_without_its_folder(folder):
    assert "- started from: random weights\n" in model_card(folder())
    card = model_card(folder(start_weights="/home/someone/other.pt"))
    assert "- started from: other weights (`other.pt`)\n" in card
    assert "someone" not in card


def test_card_of_the_folder_itself_is_kept(trained, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(trained, copy)
    (copy / "docs").mkdir()
    (copy / "docs" / "README.md").write_text("# Our liver model\n")
    assert read_file(package(copy, tmp_path / "dist"), "docs/README.md") == b"# Our liver model\n"
