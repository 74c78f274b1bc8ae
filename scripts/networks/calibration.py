# SPDX-License-Identifier: Apache-2.0
"""Calibration of a model's probabilities (temperature, threshold, class frequencies), and ensembles of models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Calibration(nn.Module):
    r"""Divides the logits by a temperature, so that of predictions made with probability p a share p is right.

    .. math:: p = \mathrm{softmax}(z / T)

    One temperature for all classes preserves their order: it changes neither the predicted class nor, with two
    classes, the AUC. All three attributes are buffers, and so part of the checkpoint; a new module changes nothing.

    Args:
        num_classes: K.

    Attributes:
        temperature: T > 0, float32 scalar, fitted on the validation split after training; 1 until then.
        threshold: with two classes, the probability from which a case is called positive, fitted on the
            validation split after training; 0.5 until then, and always with more classes.
        prior: [K] float32, the frequency of each class in the training split; 1/K until `fit_prior`.

    Shape: logits [B, K] -> [B, K].

    Reference: Guo et al., On calibration of modern neural networks, ICML 2017, section 4.2.

    >>> calibration = Calibration(num_classes=2)
    >>> calibration.temperature.fill_(2.0)
    tensor(2.)
    >>> calibration(torch.tensor([[0.0, 3.0]]))
    tensor([[0.0000, 1.5000]])
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.temperature = nn.Buffer(torch.tensor(1.0))
        self.threshold = nn.Buffer(torch.tensor(0.5))
        self.prior = nn.Buffer(torch.full((num_classes,), 1 / num_classes))

    def fit_prior(self, labels: Sequence[int]) -> None:
        """Set the class frequencies to those of the training cases' labels.

        >>> calibration = Calibration(num_classes=3)
        >>> calibration.fit_prior([0, 0, 2, 0])
        >>> calibration.prior
        tensor([0.7500, 0.0000, 0.2500])
        """
        counts = torch.bincount(torch.as_tensor(labels), minlength=len(self.prior))
        self.prior.copy_(counts / len(labels))

    def forward(self, logits: Tensor) -> Tensor:
        """Divide the logits by the temperature."""
        return logits / self.temperature


def calibration_names(network: nn.Module) -> set[str]:
    """Return the names of temperature, threshold and class frequencies in the state dict."""
    return {
        f"{name}.{buffer}"
        for name, module in network.named_modules()
        if isinstance(module, Calibration)
        for buffer, _ in module.named_buffers()
    }


class RawLogits:
    """Collects the logits that enter a network's calibration, one tensor per forward pass, until it is removed.

    Test-time augmentation passes a batch through the network several times. The passes are kept apart, since
    it averages probabilities, after the division by the temperature.

    Args:
        network: with a `Calibration` as its attribute ``calibration``.
    """

    def __init__(self, network: nn.Module) -> None:
        self.passes: list[Tensor] = []
        self.handle = network.get_submodule("calibration").register_forward_hook(self._keep)

    def _keep(self, _: nn.Module, inputs: tuple[Any, ...], __: Any) -> None:
        self.passes.append(inputs[0].detach().float().cpu())

    def take(self) -> Tensor:
        """Return the passes since the last call, [B, V, K] for V passes of one batch, and forget them."""
        stacked = torch.stack(self.passes, dim=1)
        self.passes = []
        return stacked

    def remove(self) -> None:
        self.handle.remove()


class Ensemble(nn.Module):
    r"""Averages the probabilities of its members.

    .. math:: \log \frac{1}{N} \sum_{n=1}^{N} \mathrm{softmax}(f_n(x))

    The result is again a vector of logits, whose softmax is the averaged probability. Each member divides its
    logits by its own temperature; that of the ensemble stays 1. Its threshold and class frequencies are the
    means over its members (`combine_calibrations`), for lack of cases that none of them was fitted on.

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
            setattr(self.calibration, name, torch.stack(found).mean(dim=0))  # exported members know K once loaded

    def forward(self, image: Tensor, clinical: Tensor | None = None, present: Tensor | None = None) -> Tensor:
        """Return the logarithm of the mean probability."""
        found = [member(image, clinical=clinical, present=present).float().softmax(dim=-1) for member in self.members]
        mean = torch.stack(found).mean(dim=0)
        return self.calibration(mean.clamp_min(torch.finfo(torch.float32).tiny).log())
