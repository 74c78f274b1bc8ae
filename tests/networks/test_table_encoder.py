# SPDX-License-Identifier: Apache-2.0
"""The clinical table as a token: statistics of the training cases, missing values, absent tables."""

from __future__ import annotations

import copy
import json
from functools import partial

import pytest
import torch
from scripts.engines.inferer import PrepareBatch, TestTimeInferer
from scripts.engines.network import place_network
from scripts.networks.encoders.residual import ResidualEncoder
from scripts.networks.fusion.tokens import Concat
from scripts.networks.phase_fusion import PhaseFusionNetwork
from scripts.networks.plain import TableNetwork
from scripts.networks.table_encoder import TableEncoder
from torch import Tensor
from torch.nn import functional

NAN = float("nan")
COLUMNS = [
    {"name": "age", "kind": "number"},
    {"name": "sex", "kind": "category", "values": ["F", "M"]},
    {"name": "log_afp", "kind": "number"},
]
TRAINING = [
    {"clinical": {"age": 50.0, "sex": "F", "log_afp": 1.0}},
    {"clinical": {"age": 70.0, "log_afp": 1.0}},
    {"clinical": {}},
]


def encoder(hidden: int = 16, fitted: bool = True) -> TableEncoder:
    torch.manual_seed(0)
    made = TableEncoder(COLUMNS, out_dim=8, hidden=hidden)
    if fitted:
        made.fit(TRAINING)
    return made


def token(made: TableEncoder, *row: float) -> Tensor:
    return made(torch.tensor([row]), torch.zeros(1))[0][0]


def network(columns: list | None) -> PhaseFusionNetwork:
    torch.manual_seed(0)
    table = None if columns is None else partial(TableEncoder, columns=columns)
    return PhaseFusionNetwork(ResidualEncoder, Concat, num_phases=2, num_classes=2, table=table)


def test_statistics_are_those_of_the_given_cases_and_travel_in_the_checkpoint():
    state = encoder().state_dict()
    torch.testing.assert_close(state["mean"], torch.tensor([60.0, 1.0]))
    torch.testing.assert_close(state["sd"], torch.tensor([10.0, torch.inf]))  # log_afp is constant
    other = encoder(fitted=False)
    other.load_state_dict(state)
    assert torch.equal(token(other, 65.0, 1.0, 3.0), token(encoder(), 65.0, 1.0, 3.0))


def test_placing_fits_on_the_training_cases():
    placed = place_network(network(COLUMNS), "cpu", [16, 16, 16], cases=TRAINING)
    assert placed.table.mean.tolist() == [60.0, 1.0]


BEFORE = [
    {"name": "sex", "kind": "category", "values": ["M", "F", "other"]},
    {"name": "size", "kind": "number", "unit": "mm"},
    {"name": "psa", "kind": "number"},
    {"name": "stage", "kind": "category", "values": ["1", "2"]},
    {"name": "age", "kind": "number"},
]
AFTER = [
    {"name": "age", "kind": "number"},
    {"name": "size", "kind": "number", "unit": "cm"},
    {"name": "afp", "kind": "number"},
    {"name": "stage", "kind": "category", "values": ["2", "3"]},
    {"name": "sex", "kind": "category", "values": ["F", "M"]},
]
CASES = [{"clinical": {"age": 1.0 + 2 * n, "size": 3.0 + n, "afp": 5.0 + n}} for n in range(2)]


@pytest.fixture
def start(tmp_path):
    """Return the function that writes a results folder of weights on other columns, and starts from them."""

    def run(declared: object, columns: list = AFTER) -> tuple[TableEncoder, TableEncoder]:
        made = network(BEFORE)
        for tensor in (*made.table.parameters(), made.table.mean, made.table.sd):
            torch.nn.init.uniform_(tensor)
        (tmp_path / "models").mkdir()
        torch.save(made.state_dict(), tmp_path / "models" / "model.pt")
        if declared is not None:
            (tmp_path / "configs").mkdir()
            (tmp_path / "configs" / "train.yaml").write_text(json.dumps({"clinical": declared, "x": "$1"}))
        weights = str(tmp_path / "models" / "model.pt")
        return made.table, place_network(network(columns), "cpu", [16, 16, 16], weights, CASES).table

    return run


def test_start_weights_go_to_the_columns_of_their_names_and_units(start, caplog):
    with caplog.at_level("INFO"):
        before, table = start(BEFORE)
    assert torch.equal(table.mean, torch.stack([before.mean[2], torch.tensor(3.5), torch.tensor(5.5)]))
    assert torch.equal(table.sd[1:], torch.tensor([0.5, 0.5]))
    assert torch.equal(table.number[0], before.number[2])
    assert torch.equal(table.number_missing[0], before.number_missing[2])
    assert not torch.equal(table.number[1], before.number[0])
    # rows of before: M, F, other, missing sex, stage 1, stage 2, missing stage
    expected = torch.stack([before.category[5], torch.zeros(16), before.category[6], before.category[1]])
    assert torch.equal(table.category[:4], expected)
    assert torch.equal(table.category[4:], before.category[[0, 3]])
    assert torch.equal(table.bias, before.bias)
    for line in (
        "'age': statistics and weights of",
        "'size' (cm): fitted anew, since its unit was mm in the start weights",
        "'afp': fitted anew, since the start weights have no such column",
        "but for what is new: 3",
    ):
        assert caplog.text.count(line) == 1


@pytest.mark.parametrize("declared", [None, ["age", "psa"], BEFORE[:3], "age"])
def test_start_weights_without_names_of_columns_are_not_guessed(declared, start, caplog):
    """As many columns of the same kinds: by their shape alone they would fit."""
    renamed = [column | {"name": f"other {column['name']}"} for column in BEFORE]
    with caplog.at_level("INFO"):
        before, table = start(declared, renamed)
    assert table.mean.tolist() == [0.0, 0.0, 0.0]
    assert not table.category.any()
    assert not torch.equal(table.number, before.number)
    assert caplog.text.count("fitted anew, since no configs/train.yaml beside") == len(BEFORE)


def test_start_weights_of_another_kind_or_width(start, caplog):
    columns = [{"name": "age", "kind": "category", "values": ["old"]}, {"name": "stage", "kind": "number"}]
    with caplog.at_level("INFO"):
        _, table = start(BEFORE, columns)
    assert table.mean.tolist() == [0.0]
    assert caplog.text.count("fitted anew, since the start weights have no such column") == 2


def test_a_strategy_that_ignores_the_table_is_named(caplog):
    place_network(network(None), "cpu", [16, 16, 16], cases=TRAINING)
    assert "PhaseFusionNetwork does not read the clinical table (age, log_afp, sex)" in caplog.text


def test_equals_its_formula():
    made = encoder()
    torch.nn.init.normal_(made.category)
    torch.nn.init.normal_(made.number_missing)
    h = made.bias + (65.0 - 60.0) / 10.0 * made.number[0] + made.number_missing[1] + made.category[1]
    expected = made.out[1].weight @ functional.silu(h) + made.out[1].bias
    torch.testing.assert_close(token(made, 65.0, 1.0, NAN), expected)
    missing_sex = made.bias + made.number_missing[0] + 0.0 * made.number[1] + made.category[2]
    expected = made.out[1].weight @ functional.silu(missing_sex) + made.out[1].bias
    torch.testing.assert_close(token(made, NAN, NAN, 4.0), expected)


def test_without_a_hidden_layer_it_is_linear():
    made = encoder(hidden=0)
    middle = (token(made, 52.0, 0.0, 1.0) + token(made, 74.0, 0.0, 1.0)) / 2
    torch.testing.assert_close(token(made, 63.0, 0.0, 1.0), middle)
    curved = (token(encoder(), 52.0, 0.0, 1.0) + token(encoder(), 74.0, 0.0, 1.0)) / 2
    assert not torch.allclose(token(encoder(), 63.0, 0.0, 1.0), curved)


def test_missing_becomes_different_from_the_mean_by_learning():
    """Three patients without an age are ill, one of average age is not: imputing the mean could not tell."""
    made = TableNetwork(table=partial(TableEncoder, columns=COLUMNS), num_phases=1, num_classes=2)
    made.table.fit(TRAINING)
    clinical = torch.tensor([[NAN, 0.0, 1.0], [60.0, 0.0, 1.0]])
    image, label = torch.zeros(2, 1, 1, 1, 1), torch.tensor([1, 0])
    before = made.eval()(image, clinical)
    assert torch.equal(before[0], before[1])  # at first a missing value says nothing
    optimizer = torch.optim.AdamW(made.parameters(), lr=0.05)
    for _ in range(50):
        optimizer.zero_grad()
        functional.cross_entropy(made(image, clinical), label).backward()
        optimizer.step()
    assert torch.equal(made(image, clinical).argmax(dim=1), label)


@pytest.mark.parametrize(("typo", "limit"), [(6500.0, 110.0), (-1e9, 10.0)])
def test_a_slipped_decimal_point_counts_as_five_standard_deviations(typo, limit):
    assert torch.equal(token(encoder(), typo, 0.0, 1.0), token(encoder(), limit, 0.0, 1.0))


def test_what_never_varied_in_training_says_nothing():
    assert torch.equal(token(encoder(), 60.0, 0.0, 1.0), token(encoder(), 60.0, 0.0, 99.0))  # constant
    assert torch.equal(token(encoder(), 60.0, 0.0, 1.0), token(encoder(), 60.0, 1.0, 1.0))  # not learned yet
    never = TableEncoder(COLUMNS, out_dim=8)
    never.fit([])
    assert torch.equal(token(never, 60.0, 0.0, 1.0), token(never, -3.0, 0.0, 5.0))


@pytest.mark.parametrize("training", [True, False])
def test_an_absent_table_is_no_token_whatever_else_is_in_the_batch(training):
    """None, and rows without any value, give the same to the last bit, and gradients stay finite."""
    image = torch.rand(3, 2, 12, 12, 12)
    rows = torch.tensor([[60.0, 1.0, NAN], [NAN, NAN, NAN], [NAN, NAN, NAN]])
    made = network(COLUMNS).train(training)
    made.table.fit(TRAINING)
    state = copy.deepcopy(made.state_dict())

    def logits(clinical: Tensor | None) -> Tensor:
        made.load_state_dict(state)
        outputs = made(image, clinical)
        return outputs["logits"] if training else outputs

    none, nothing, with_one = logits(None), logits(torch.full_like(rows, NAN)), logits(rows)
    assert torch.equal(nothing, none)
    assert torch.equal(with_one[1:], none[1:])
    assert not torch.equal(with_one[0], none[0])
    with_one.sum().backward()
    assert all(p.grad.isfinite().all() for p in made.parameters() if p.grad is not None)
    _, there = made.table(rows, image)
    assert there.tolist() == [True, False, False]


def test_no_columns_change_nothing():
    """The same tensors with the same initial values, the same results, and the same random state after."""
    plain = network(None)
    after = torch.rand(1)
    torch.manual_seed(0)
    reference = PhaseFusionNetwork(ResidualEncoder, Concat, num_phases=2, num_classes=2)
    assert torch.equal(after, torch.rand(1))
    assert plain.state_dict().keys() == reference.state_dict().keys()
    assert not [name for name in plain.state_dict() if "table" in name]
    assert plain.fusion.num_tokens == 2
    image = torch.rand(3, 2, 12, 12, 12)
    assert torch.equal(plain(image)["logits"], reference(image)["logits"])
    assert plain(image)["present"].shape == (3, 2)
    with pytest.raises(ValueError, match="at least one clinical column"):
        TableEncoder([], out_dim=8)


def test_batches_bring_the_table_to_the_network():
    image, present = torch.rand(2, 2, 12, 12, 12), torch.ones(2, 2, dtype=torch.bool)
    batch = {"image": image, "present": present, "clinical": torch.tensor([[60.0, 1.0, NAN], [NAN] * 3])}
    made = network(COLUMNS).eval()
    made.table.fit(TRAINING)
    hide_all_but_one = PrepareBatch(phase_dropout=lambda present: present & torch.tensor([True, False]))
    inputs, label, args, kwargs = hide_all_but_one(batch, "cpu")
    assert label is None
    assert args == ()
    assert torch.equal(kwargs["clinical"].isnan(), batch["clinical"].isnan())  # the table is not hidden
    found = TestTimeInferer()(inputs, made, **kwargs)
    assert torch.equal(found, made(image, batch["clinical"], torch.tensor([[True, False]] * 2)))
    assert "clinical" not in PrepareBatch()(batch | {"clinical": torch.zeros(2, 0)}, "cpu")[3]


def test_hidden_layers_of_several_widths_are_each_applied_to_the_one_before():
    encoder = TableEncoder(COLUMNS, out_dim=4, hidden=[6, 5]).eval()
    shapes = [tuple(part.weight.shape) for part in encoder.out if isinstance(part, torch.nn.Linear)]
    assert (encoder.number.shape[1], shapes) == (6, [(5, 6), (4, 5)])
    same = TableEncoder(COLUMNS, out_dim=4, hidden=[6])
    same.load_state_dict(TableEncoder(COLUMNS, out_dim=4, hidden=6).state_dict())


@pytest.mark.parametrize("hidden", [[64, 0], [-1], -3, [2.5], "64", [True]])
def test_widths_that_are_none_are_refused(hidden):
    with pytest.raises(ValueError, match="hidden must be a width or a list of widths"):
        TableEncoder(COLUMNS, out_dim=4, hidden=hidden)
