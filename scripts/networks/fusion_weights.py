"""How much a fusion let each phase count."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from scripts.networks.ensemble import Ensemble
from scripts.networks.hybrid import HybridNetwork
from scripts.networks.passes import Passes, Read


class FusionWeights:
    """Collects the ``weights`` that a fusion gives to the tokens of every case, until it is removed.

    The fusion is the network's attribute ``fusion``, or ``combination`` where decisions are fused. The
    weights of an ensemble are the mean of its members'. In a hybrid those of each level are multiplied by the
    weight of the level; a level without weights (early fusion) is one more token, behind the others.

    Args:
        network: in eval mode when cases pass.

    Attributes:
        levels_together: numbers, from 1, of the levels that read all phases together, in the order of their
            tokens; empty but in a hybrid.
    """

    def __init__(self, network: nn.Module) -> None:
        self.levels_together: list[int] = []
        self.hybrid = network if isinstance(network, HybridNetwork) else None
        self.passes: Passes | None = None
        parts = getattr(network, "members" if isinstance(network, Ensemble) else "levels", [])
        self.parts = [FusionWeights(part) for part in parts]
        if not self.parts:
            self.passes = Passes(network, _part)

    def take(self) -> Tensor | None:
        """Return the weights [B, M] of the cases since the last call, the mean over several views of a case.

        None: the strategy gives no weights.
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
        """Weigh the weights of the levels, [B, M]; None where no level gives any."""
        together = [number for number, weights in enumerate(found, 1) if weights is None]
        if len(together) == len(found):
            return None
        self.levels_together = together
        shares = network.level_weights()
        given = [
            (_by_phase(w, level), s)
            for w, level, s in zip(found, network.levels, shares, strict=True)
            if w is not None
        ]
        width = max(weights.shape[1] for weights, _ in given)
        tokens = sum(nn.functional.pad(w, (0, width - w.shape[1])) * share for w, share in given)
        assert isinstance(tokens, Tensor)
        rest = [tokens.new_full((len(tokens), 1), shares[number - 1]) for number in together]
        return torch.cat([tokens, *rest], dim=1)


def _by_phase(weights: Tensor, level: Any) -> Tensor:
    """Sum the weights of the views of each phase; that of the table stays: [B, P V (+ 1)] -> [B, P (+ 1)]."""
    tokens = int(level.image_tokens)
    image = weights[:, :tokens].unflatten(1, (int(level.num_phases), -1)).sum(dim=2)
    return torch.cat([image, weights[:, tokens:]], dim=1)


def _part(network: nn.Module) -> tuple[nn.Module, Read] | None:
    for name in ("combination", "fusion"):
        module = getattr(network, name, None)
        if isinstance(module, nn.Module):
            return module, _weights
    return None


def _weights(_: tuple[Any, ...], output: Any) -> Tensor | None:
    return output[1].get("weights")
