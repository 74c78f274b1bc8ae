"""What an exported network is given: example inputs, and batches that an export must get right."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Inputs = tuple[Tensor, Tensor | None, Tensor]
"""image [B, P, D, H, W], clinical [B, T] or None without a table, present [B, P]."""


def example_inputs(
    cases: int, num_phases: int, grid_size: Sequence[int], num_columns: int, seed: int = 0
) -> Inputs:
    """Return a batch of noise in which every phase and every clinical value is there."""
    draw = torch.Generator().manual_seed(seed)
    image = torch.rand((cases, num_phases, *grid_size), generator=draw)
    clinical = torch.rand((cases, num_columns), generator=draw) if num_columns else None
    return image, clinical, torch.ones(cases, num_phases, dtype=torch.bool)


def trial_batches(
    num_phases: int, grid_size: Sequence[int], num_columns: int
) -> dict[str, tuple[Tensor, Tensor | None, Tensor]]:
    """Return batches by what is tried: one case, several, and each phase or clinical value missing.

    What an absent phase holds is NaN, which no exported operation may let through.
    """
    batches = {
        f"{cases} of {num_phases} phases": example_inputs(cases, num_phases, grid_size, num_columns, cases)
        for cases in (1, 5)
    }
    if num_phases > 1:
        image, clinical, present = example_inputs(num_phases, num_phases, grid_size, num_columns, 2)
        present = ~torch.eye(num_phases, dtype=torch.bool)
        image[~present] = torch.nan
        batches["a phase missing"] = (image, clinical, present)
    if num_columns:
        image, clinical, present = example_inputs(num_columns + 1, num_phases, grid_size, num_columns, 3)
        assert clinical is not None
        clinical[:-1][torch.eye(num_columns, dtype=torch.bool)] = torch.nan
        clinical[-1] = torch.nan
        batches["clinical values missing"] = (image, clinical, present)
    return batches
