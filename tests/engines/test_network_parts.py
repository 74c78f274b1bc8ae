# SPDX-License-Identifier: Apache-2.0
"""Which parts a model names: those that its network is made of, through all references."""

from __future__ import annotations

from pathlib import Path

import pytest
from monai.bundle import ConfigParser
from scripts.engines.running import network_parts
from workbench.report.headline import strategy

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def config(*files: str) -> dict:
    parser = ConfigParser()
    parser.read_config([CONFIGS / file for file in ("train.yaml", *files)])
    return parser.get()


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([], "PhaseFusionNetwork, fusion Concat, encoder ResidualEncoder"),
        (["fusion/early.yaml"], "EarlyFusionNetwork, encoder ResidualEncoder"),
        (["fusion/hybrid.yaml"], "HybridNetwork, fusion LateMean, encoder ResidualEncoder"),
        (["views/axial.yaml"], "PhaseFusionNetwork, fusion Concat, plane encoder MonaiResNetEncoder, views axial"),
        (
            ["views/volume_and_views.yaml"],
            "PhaseFusionNetwork, fusion Concat, encoder ResidualEncoder, plane encoder MonaiResNetEncoder, "
            "views volume, axial, coronal, sagittal",
        ),
    ],
)
def test_a_report_names_what_the_network_reads(files, expected):
    assert strategy(config(*files)) == expected


def test_a_configuration_from_before_views_keeps_its_encoder():
    old = config() | {"network_def": {"_target_": "a.B", "encoder": "@encoder"}}
    del old["plane_encoder"], old["views"]
    assert network_parts(old, ("encoder", "plane_encoder")) == ["encoder"]
