# SPDX-License-Identifier: Apache-2.0
"""`scripts.build` and the command line make the same network."""

from __future__ import annotations

from pathlib import Path

import pytest
import scripts
import torch
from monai.bundle import ConfigParser
from scripts.networks.fusion.tokens import Mean
from workbench.network import main

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


@pytest.mark.parametrize("fusion", ["concat", "gated", "late_mean", "early"])
def test_it_is_the_network_that_a_training_builds(fusion):
    parser = ConfigParser()
    parser.read_config([CONFIGS / "train.yaml", CONFIGS / "encoder" / "residual.yaml"])
    parser.update(ConfigParser.load_config_file(CONFIGS / "fusion" / f"{fusion}.yaml"))
    torch.manual_seed(0)
    expected = parser.get_parsed_content("network_def")
    torch.manual_seed(0)
    found = scripts.build(phases=["pre", "arterial", "portal"], fusion=fusion)
    assert type(found) is type(expected)
    assert str(found) == str(expected)  # dropout and other settings without weights, too
    weights = found.state_dict()
    assert weights.keys() == expected.state_dict().keys()
    assert all(torch.equal(weights[name], value) for name, value in expected.state_dict().items())


def test_fusion_may_be_a_mapping_or_a_ready_module():
    mapping = {"_target_": "scripts.networks.fusion.Gated", "initial_weights": [0.3, 0.7]}
    network = scripts.build(["pre", "portal"], fusion=mapping)
    torch.testing.assert_close(network.fusion.get_phase_weights(), torch.tensor([0.3, 0.7]))
    ready = Mean(num_tokens=2, in_dim=128)
    assert scripts.build(["pre", "portal"], fusion=ready).fusion is ready


def test_encoder_may_be_a_mapping():
    mapping = {"_target_": "scripts.networks.encoders.ResidualEncoder", "widths": [8, 16]}
    network = scripts.build(["pre"], encoder=mapping, num_classes=5, share_encoder=False)
    assert network.head.out_features == 5
    assert network.encoder[0].out_dim == 16


@pytest.mark.parametrize("fusion", ["gated", "late_mean", "film", "table"])
def test_the_clinical_table_counts(fusion):
    torch.manual_seed(0)
    sex = {"name": "sex", "kind": "category", "values": ["F", "M"]}
    network = scripts.build(["pre", "portal"], fusion=fusion, clinical=["age", sex]).train()
    network.table.fit([{"clinical": {"age": 50.0}}, {"clinical": {"age": 70.0}}])
    image = torch.rand(2, 2, 16, 16, 16)
    table = torch.tensor([[60.0, 1.0], [55.0, 0.0]])
    network(image, table)["logits"].sum().backward()
    assert network.table.number.grad.abs().sum() > 0 or fusion == "film"  # film starts as the identity
    assert network.eval()(image, table).isfinite().all()
    assert network(image).isfinite().all()


def test_an_unknown_name_is_met_with_the_nearest():
    with pytest.raises(ValueError, match=r"fusion must be one of .*nearest: 'gated'.*found 'gatd'"):
        scripts.build(["pre"], fusion="gatd")
    with pytest.raises(ValueError, match=r"encoder must be one of .*nearest: 'resnet18'.*found 'resnet81'"):
        scripts.build(["pre"], encoder="resnet81")


def test_what_a_part_refuses_is_said_in_one_line():
    with pytest.raises(ValueError, match="reads the clinical table, found no column"):
        scripts.build(["pre"], fusion="film")
    mapping = {"_target_": "scripts.networks.fusion.Gated", "initial_weights": [0.3, 0.7]}
    with pytest.raises(ValueError, match="initial_weights must be 1 positive numbers"):
        scripts.build(["pre"], fusion=mapping)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(["--fusion", "film", "--clinical", "age"], "conditioning.2"), (["--phases", "t1", "t2"], "encoder")],
)
def test_the_command_prints_the_parts(arguments, expected, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["networks", *arguments])
    main()
    assert expected in capsys.readouterr().out


def test_the_command_says_what_is_wrong_without_a_traceback(monkeypatch):
    monkeypatch.setattr("sys.argv", ["networks", "--fusion", "film"])
    with pytest.raises(SystemExit, match="found no column"):
        main()


def test_single_reads_the_first_phase_or_the_one_named_whatever_the_phases_are_called():
    for name, read in ((None, 0), ("t2", 1)):
        network = scripts.build(phases=["t1", "t2"], fusion="single", single_phase=name).eval()
        image = torch.rand(2, 2, 16, 16, 16)
        changed = image.clone()
        changed[:, 1 - read] = torch.rand(2, 16, 16, 16)
        assert torch.equal(network(image), network(changed))
        changed[:, read] = torch.rand(2, 16, 16, 16)
        assert not torch.equal(network(image), network(changed))


@pytest.mark.parametrize("fusion", sorted(file.stem for file in (CONFIGS / "fusion").glob("*.yaml")))
def test_no_strategy_depends_on_what_the_phases_are_called(fusion):
    scripts.build(phases=["a", "b"], fusion=fusion, clinical=["age"])


def test_a_weight_per_token_counts_the_clinical_table():
    parts = {"_target_": "scripts.networks.fusion.Gated", "initial_weights": [0.5, 0.5]}
    with pytest.raises(ValueError, match=r"must be 3 positive numbers, one per token: each phase.*clinical table"):
        scripts.build(phases=["a", "b"], fusion=parts, clinical=["age"])
