# SPDX-License-Identifier: Apache-2.0
"""Clinical dropout hides tables and values at its rate."""

from __future__ import annotations

import pytest
import torch
from scripts.engines.inferer import PrepareBatch
from scripts.transforms.clinical import ClinicalDropout


def test_whole_tables_and_single_values_are_hidden_at_the_rate_and_nothing_else_changes():
    torch.manual_seed(0)
    clinical = torch.tensor([[61.0, 1.0], [45.0, float("nan")]]).repeat(20_000, 1)
    seen = ClinicalDropout(0.3)(clinical)
    hidden = seen.isnan()
    first, both = (float(value.float().mean()) for value in (hidden[::2, 0], hidden[::2].all(dim=1)))
    assert first == pytest.approx(0.3 + 0.7 * 0.3, abs=0.01)
    assert both == pytest.approx(0.3 + 0.7 * 0.3**2, abs=0.01)  # the table, or one value and the other
    assert torch.equal(seen[~hidden], clinical[~hidden])
    assert hidden[1::2, 1].all()


def test_no_dropout_draws_nothing():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    clinical = torch.ones(4, 2)
    assert ClinicalDropout(0.0)(clinical) is clinical
    assert torch.equal(torch.rand(3), expected)


def test_the_batch_hides_the_table_where_there_is_one():
    torch.manual_seed(0)
    batch = {"image": torch.rand(64, 1, 2, 2, 2), "present": torch.ones(64, 1, dtype=torch.bool)}
    prepare = PrepareBatch(clinical_dropout=ClinicalDropout(0.5))
    assert "clinical" not in prepare(batch | {"clinical": torch.ones(64, 0)})[3]
    hidden = prepare(batch | {"clinical": torch.ones(64, 2)})[3]["clinical"].isnan()
    assert 0.6 < hidden.float().mean() < 0.9
    assert not PrepareBatch()(batch | {"clinical": torch.ones(64, 2)})[3]["clinical"].isnan().any()


@pytest.mark.parametrize("probability", [-0.1, 1.0, float("nan")])
def test_a_probability_out_of_range_is_named(probability):
    with pytest.raises(ValueError, match="clinical_dropout must be at least 0 and below 1, found"):
        ClinicalDropout(probability)
