# SPDX-License-Identifier: Apache-2.0
"""The summary counts what can be counted by hand."""

from __future__ import annotations

from runpy import run_module

import pytest
import scripts
import torch
from workbench.network import parts_of, summary


def network(fusion: str = "mean") -> torch.nn.Module:
    encoder = {"_target_": "scripts.networks.encoders.ResidualEncoder", "widths": [4]}  # the stem alone
    return scripts.build(["pre", "portal"], encoder=encoder, fusion=fusion).train()


def test_parameters_and_work_of_two_phases_by_hand():
    parts = {part.name: part for part in parts_of(network(), num_phases=2, grid_size=[8, 8, 8])}
    # conv 1 to 4 and conv 4 to 4, kernel 27, without bias; two batch normalisations of 4 channels
    assert parts["encoder"].parameters == 27 * 4 + 27 * 16 + 2 * 8
    # 2 phases, 4^3 output voxels, one multiplication and one addition per weight
    assert parts["encoder"].flops == 2 * 4**3 * 2 * (27 * 4 + 27 * 16)
    assert parts["fusion"].flops == 2 * 2 * 4 * 4  # a layer of each phase
    assert parts["head"].flops == 2 * 4 * 2
    assert parts["all"].flops == sum(parts[name].flops for name in ("encoder", "fusion", "head"))
    assert parts["encoder"].shapes == [[2, 4, 4, 4, 4]]


@pytest.mark.parametrize("fusion", ["dsn", "attention", "late_mean", "early", "single"])
def test_the_parts_are_the_whole_and_the_network_is_left_as_it_was(fusion):
    built = network(fusion)
    before = {name: value.clone() for name, value in built.state_dict().items()}
    *parts, whole = parts_of(built, num_phases=2, grid_size=[8, 8, 8])
    assert sum(part.parameters for part in parts) == whole.parameters
    assert sum(part.flops for part in parts) == whole.flops
    assert built.training
    assert all(torch.equal(value, before[name]) for name, value in built.state_dict().items())


def test_the_table_has_a_line_per_part():
    lines = summary(network("dsn"), num_phases=2, grid_size=[8, 8, 8]).splitlines()
    assert [line.split()[0] for line in lines[2:-2]] == [
        "encoder", "fusion", "head", "phase_heads.0", "phase_heads.1",
    ]  # fmt: skip
    assert lines[-1].startswith("all")


def test_the_command_prints_the_parts(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["network", "--fusion", "mean", "--grid_size", "8", "8", "8"])
    run_module("workbench.network", run_name="__main__")
    assert "all      PhaseFusionNetwork" in capsys.readouterr().out
