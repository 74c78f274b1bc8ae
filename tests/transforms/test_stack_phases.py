# SPDX-License-Identifier: Apache-2.0
"""From phases by name to one tensor."""

from __future__ import annotations

import pytest
import torch
from scripts.transforms.phases import StackPhasesd

PHASES = ["pre", "arterial", "portal"]


def test_order_absence_and_type() -> None:
    pre, portal = torch.rand(2, 3, 4), torch.rand(2, 3, 4)
    item = StackPhasesd(phases=PHASES)({"case": "p017", "image": {"portal": portal, "pre": pre}})
    assert type(item["image"]) is torch.Tensor
    assert item["image"].dtype == torch.float32
    assert torch.equal(item["image"], torch.stack([pre, torch.zeros(2, 3, 4), portal]))
    assert item["present"].dtype == torch.bool
    assert item["present"].tolist() == [True, False, True]


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_phase_that_is_there_is_not_constant(value: float) -> None:
    inside = torch.zeros(2, 3, 4, dtype=torch.bool)
    inside[1] = True
    item = {"case": "p017", "image": {"pre": torch.where(inside, value, 0.0)}, "inside": {"pre": inside}}
    with pytest.raises(ValueError, match=rf"^case p017: phase 'pre' must have voxels that differ, found {value:g} ev"):
        StackPhasesd(phases=PHASES)(item)


def test_shapes_and_names() -> None:
    images = {"pre": torch.rand(2, 3, 4), "portal": torch.rand(2, 3, 5)}
    with pytest.raises(ValueError, match=r"^case p017: phase 'portal' must have the shape \(2, 3, 4\)"):
        StackPhasesd(phases=PHASES)({"case": "p017", "image": images})
    with pytest.raises(ValueError, match=r"^case p017: the phases must be one or more of .* found \[late\]"):
        StackPhasesd(phases=PHASES)({"case": "p017", "image": {"late": torch.rand(2, 3, 4)}})
    with pytest.raises(ValueError, match=r"found \[\]"):
        StackPhasesd(phases=PHASES)({"case": "p017", "image": {}})
