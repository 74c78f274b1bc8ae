# SPDX-License-Identifier: Apache-2.0
"""Collect what a part of a network computes in each forward pass, by hooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from scripts.networks.calibration import Ensemble
from scripts.networks.map_fusion import HybridNetwork
from torch import Tensor, nn

Read = Callable[[tuple[Any, ...], Any], Tensor | None]
"""From the inputs and the output of a part to one tensor [B, ...], or None where there is nothing to read."""
KINDS = ("attention", "self_attention", "cross_attention")
"""Names under which fusions return their attention, [B, H, M, M], or [B, H, M] for one class token."""


class Passes:
    """Collects one tensor per forward pass of one part of a network, or of each member or level of it.

    Test-time augmentation passes a batch through the network several times. Like the probabilities of these
    passes, what was collected is averaged.

    Args:
        network: in eval mode when cases pass; also an `Ensemble`, or a `HybridNetwork` of several levels.
        reads: attributes of the network to listen to (only the first that exists), and how each is read;
        members and levels without any are skipped.
    """

    def __init__(self, network: nn.Module, reads: dict[str, Read]) -> None:
        self.passes: list[list[Tensor]] = []
        self.handles: list[Any] = []
        for member in _networks(network):
            for name, read in reads.items():
                part = getattr(member, name, None)
                if isinstance(part, nn.Module):
                    self.passes.append([])
                    self.handles.append(part.register_forward_hook(self._keep(self.passes[-1], read)))
                    break

    @staticmethod
    def _keep(passes: list[Tensor], read: Read) -> Callable[..., None]:
        def hook(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            found = read(inputs, output)
            if found is not None:
                passes.append(found.detach().float().cpu())

        return hook

    def take(self) -> list[Tensor]:
        """Return the mean over the passes since the last call, [B, ...] for each member, and forget them."""
        found = [torch.stack(passes).mean(dim=0) for passes in self.passes if passes]
        for passes in self.passes:
            passes.clear()
        return found

    def remove(self) -> None:
        """Stop collecting."""
        for handle in self.handles:
            handle.remove()


def _networks(network: nn.Module) -> list[nn.Module]:
    """Return the members of an ensemble, the levels of a hybrid, or the network itself."""
    if isinstance(network, Ensemble):
        return [found for member in network.members for found in _networks(member)]
    if isinstance(network, HybridNetwork):
        return [found for level in network.levels for found in _networks(level)]
    return [network]


class AttentionMaps:
    """Collects the attention of a fusion over tokens, the mean of its heads, until it is removed.

    For an ensemble it is the mean over the members.
    """

    def __init__(self, network: nn.Module) -> None:
        self.passes = {kind: Passes(network, {"fusion": _attention(kind)}) for kind in KINDS}

    def take(self) -> dict[str, Tensor]:
        """Return {kind: [B, Q, M]} of the cases since the last call, NaN where either token is absent.

        Q is M, or 1 for a class token; averaged over the passes of test-time augmentation.
        """
        found = {kind: passes.take() for kind, passes in self.passes.items()}
        return {kind: torch.stack(maps).mean(dim=0) for kind, maps in found.items() if maps}

    def remove(self) -> None:
        """Stop collecting."""
        for passes in self.passes.values():
            passes.remove()


def _attention(kind: str) -> Read:
    def read(inputs: tuple[Any, ...], output: Any) -> Tensor | None:
        attention = output[1].get(kind)
        if attention is None:
            return None
        present = inputs[1]
        mean = attention.float().mean(dim=1)
        if mean.dim() == 2:  # of one class token, which is always present
            return torch.where(present, mean, torch.nan).unsqueeze(1)
        return torch.where(present.unsqueeze(1) & present.unsqueeze(2), mean, torch.nan)

    return read


class FusedFeatures(Passes):
    """Collects the fused features of every case that passes through a network, until it is removed.

    * A network with a last layer (its attribute ``head``): the input of that layer, [B, F].
    * Fusion of decisions (its attribute ``combination``), where no vector is fused: the probabilities that
      each phase alone gives, side by side, F = M K; an absent phase has 1 / K for each class.
    * An ensemble: the features of its members side by side; a hybrid: those of its levels.
    * Any other network, such as one that reads the clinical table alone: none.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network, {"combination": _phase_probabilities, "head": lambda inputs, _: inputs[0]})

    def take(self) -> Tensor | None:  # type: ignore[override]
        """Return the features [B, F] of the cases since the last call, averaged over test-time augmentation.

        None if the network has none.
        """
        found = super().take()
        return torch.cat(found, dim=1) if found else None


def _phase_probabilities(inputs: tuple[Any, ...], output: Any) -> Tensor:
    phase_logits, present = inputs
    said = output[1].get("phase_logits", phase_logits).softmax(dim=2)
    uniform = torch.full_like(said, 1 / said.shape[2])
    return torch.where(present.unsqueeze(2), said, uniform).flatten(1)


class FusionWeights:
    """Collects the ``weights`` that a fusion gives to the tokens of every case, until it is removed.

    The fusion is the network's attribute ``fusion``, or ``combination`` where decisions are fused. The
    weights of an ensemble are the mean of its members'. In a hybrid those of each level are multiplied by the
    weight of the level; a level without weights (early fusion) is one more token, after the others.

    Attributes:
        levels_together: numbers, from 1, of the levels that read all phases together, in the order of their
        tokens; empty except in a hybrid.
    """

    def __init__(self, network: nn.Module) -> None:
        self.levels_together: list[int] = []
        self.hybrid = network if isinstance(network, HybridNetwork) else None
        parts = getattr(network, "members" if isinstance(network, Ensemble) else "levels", [])
        self.parts = [FusionWeights(part) for part in parts]
        self.passes = None if self.parts else Passes(network, {"combination": _weights, "fusion": _weights})

    def take(self) -> Tensor | None:
        """Return the weights [B, M] of the cases since the last call, averaged over test-time augmentation.

        None if the strategy gives no weights.
        """
        if self.passes is not None:
            own = self.passes.take()
            return own[0] if own else None
        found = [part.take() for part in self.parts]
        if self.hybrid is not None:
            return self._of_levels(found, self.hybrid)
        given = [weights for weights in found if weights is not None]
        self.levels_together = self.parts[0].levels_together
        return torch.stack(given).mean(dim=0) if given else None

    def remove(self) -> None:
        """Stop collecting."""
        if self.passes is not None:
            self.passes.remove()
        for part in self.parts:
            part.remove()

    def _of_levels(self, found: list[Tensor | None], network: HybridNetwork) -> Tensor | None:
        """Return the weights of the levels times those of their tokens, [B, M]; None if no level gives any."""
        together = [number for number, weights in enumerate(found, 1) if weights is None]
        if len(together) == len(found):
            return None
        self.levels_together = together
        shares = network.level_weights()
        given = [
            (_by_phase(weights, level), share)
            for weights, level, share in zip(found, network.levels, shares, strict=True)
            if weights is not None
        ]
        width = max(weights.shape[1] for weights, _ in given)
        tokens = sum(nn.functional.pad(w, (0, width - w.shape[1])) * share for w, share in given)
        assert isinstance(tokens, Tensor)
        rest = [tokens.new_full((len(tokens), 1), shares[number - 1]) for number in together]
        return torch.cat([tokens, *rest], dim=1)


def _weights(_: tuple[Any, ...], output: Any) -> Tensor | None:
    return output[1].get("weights")


def _by_phase(weights: Tensor, level: Any) -> Tensor:
    """Sum the weights of the views of each phase, and keep that of the table: [B, P V (+ 1)] -> [B, P (+ 1)]."""
    tokens = int(level.image_tokens)
    image = weights[:, :tokens].unflatten(1, (int(level.num_phases), -1)).sum(dim=2)
    return torch.cat([image, weights[:, tokens:]], dim=1)
