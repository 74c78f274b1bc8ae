"""Several trained networks of one configuration as one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from scripts.networks.calibration import Calibration


class Ensemble(nn.Module):
    r"""Averages the probabilities of its members.

    .. math:: \log \frac{1}{N} \sum_{n=1}^{N} \mathrm{softmax}(f_n(x))

    The result is again a vector of logits, whose softmax is the averaged probability. Each member divides its
    logits by its own temperature; the ensemble's own stays 1. Its threshold and class frequencies are the
    means of its members' (`combine_calibrations`): no cases are known that none of them was fitted on.

    Args:
        members: N networks with a `Calibration`, each with its own weights.

    Shape: as its members: image [B, P, D, H, W] -> logits [B, K].

    Raises:
        ValueError: no members.

    Reference: Lakshminarayanan et al., Simple and scalable predictive uncertainty estimation using deep
        ensembles, NeurIPS 2017.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        if not members:
            raise ValueError("an ensemble needs at least 1 member, found none")
        self.members = nn.ModuleList(members)
        self.calibration = Calibration(len(members[0].get_buffer("calibration.prior")))

    @torch.no_grad()
    def combine_calibrations(self) -> None:
        """Take the mean of the members' thresholds and class frequencies, once their weights are loaded."""
        for name in ("threshold", "prior"):
            found = [member.get_buffer(f"calibration.{name}") for member in self.members]
            setattr(
                self.calibration, name, torch.stack(found).mean(dim=0)
            )  # exported ones learn K by loading

    def forward(self, image: Tensor, clinical: Tensor | None = None, present: Tensor | None = None) -> Tensor:
        """Return the logarithm of the mean probability."""
        found = [
            member(image, clinical=clinical, present=present).float().softmax(dim=-1)
            for member in self.members
        ]
        mean = torch.stack(found).mean(dim=0)
        return self.calibration(mean.clamp_min(torch.finfo(torch.float32).tiny).log())
