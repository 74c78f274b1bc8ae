# SPDX-License-Identifier: Apache-2.0
"""Clinical values that are typed into an annotation tool reach the network, and only then."""

from __future__ import annotations

import pytest
import torch
from scripts.engines.inferer import TestTimeInferer
from scripts.engines.served import case_options, chosen_row

COLUMNS = [{"name": "age", "kind": "number"}, {"name": "sex", "kind": "category", "values": ["F", "M"]}]
MASK = {"_target_": "scripts.transforms.MaskRegiond"}


def told(image, clinical=None):
    """Stand for a network: return what it was told."""
    return torch.full((len(image), 2), torch.nan) if clinical is None else clinical


def test_options_of_a_model_and_their_defaults_tell_nothing() -> None:
    options = case_options({"region": MASK, "clinical": COLUMNS})
    assert options == {"point": "", "age": "", "sex": ["", "F", "M"]}
    assert chosen_row(COLUMNS, options) is None


def test_a_column_named_like_a_part_of_the_request_is_left_out(caplog) -> None:
    options = case_options({"region": MASK, "clinical": [{"name": "label", "kind": "number"}]})
    assert options == {"point": ""}
    assert "'label' cannot be typed in" in caplog.text


def test_typed_values_are_one_row_for_every_case() -> None:
    inferer = TestTimeInferer(columns=COLUMNS, options={"age": "61", "sex": "M", "point": "1 2 3"})
    clinical = inferer(torch.zeros(2, 1, 4, 4, 4), told)
    assert clinical.tolist() == [[61.0, 1.0], [61.0, 1.0]]
    partly = TestTimeInferer(columns=COLUMNS, options={"age": "", "sex": "F"})
    assert partly(torch.zeros(1, 1, 4, 4, 4), told)[0].isnan().tolist() == [True, False]


def test_a_table_that_comes_with_the_batch_counts_more() -> None:
    inferer = TestTimeInferer(columns=COLUMNS, options={"age": 61})
    own = torch.tensor([[40.0, 0.0]])
    assert torch.equal(inferer(torch.zeros(1, 1, 4, 4, 4), told, clinical=own), own)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"age": "old"}, "'age' must be a number, found 'old'"),
        ({"age": "inf"}, "'age' must be a number"),
        ({"sex": "X"}, "'sex' must be one of"),
    ],
)
def test_wrong_values_are_told(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        chosen_row(COLUMNS, options)
