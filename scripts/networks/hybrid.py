"""Two levels of fusion at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from scripts.networks.calibration import Calibration
from scripts.networks.fusion.base import log_mixture


class HybridNetwork(nn.Module):
    r"""Averages the probabilities of networks that fuse at different levels, trained together.

    .. math:: \log \sum_n w_n \, \mathrm{softmax}(f_n(x)), \qquad w = \mathrm{softmax}(s)

    Each level has its own encoder and its own answer; `levels` of the configuration names them, such as early
    and late. The weights w are learned, equal at first and the same for all cases; `level_weights`
    reads them.

    Args:
        levels: two or more networks of this bundle, for the same phases and classes.
        num_classes: K.

    Raises:
        ValueError: fewer than two levels.

    Shape: image [B, P, D, H, W] -> logits [B, K].
    """

    __jit_unused_properties__ = ("encoder",)

    def __init__(self, levels: Sequence[nn.Module], num_classes: int) -> None:
        super().__init__()
        if len(levels) < 2:
            raise ValueError(f"a hybrid needs two levels or more, found {len(levels)}; give them in `levels`")
        self.levels = nn.ModuleList(levels)
        self.scores = nn.Parameter(torch.zeros(len(levels)))
        self.calibration = Calibration(num_classes)

    @property
    def encoder(self) -> nn.Module:
        """The encoder of the last level: heat maps are those of its maps."""
        return self.levels[-1].get_submodule("encoder")

    def level_weights(self) -> list[float]:
        """Return how much each level counts; they sum to 1."""
        return self.scores.detach().softmax(dim=0).tolist()

    def forward(
        self, image: Tensor, clinical: Tensor | None = None, present: Tensor | None = None
    ) -> Tensor | dict[str, Tensor]:
        """Classify; arguments and results as in `PhaseFusionNetwork`, with ``level_logits`` [B, N, K]."""
        if not torch.jit.is_scripting() and self.training:
            return self._training(image, clinical, present)
        said: list[Tensor] = []
        for level in self.levels:
            answer = level(image, clinical, present)
            assert isinstance(answer, Tensor)  # evaluation gives logits; TorchScript must be told
            said.append(answer)
        return self.calibration(self.mixture(torch.stack(said, dim=1)))

    def mixture(self, level_logits: Tensor) -> Tensor:
        """Return the log of the weighted mean probability: [B, N, K] -> [B, K]."""
        scores = self.scores.expand(level_logits.size(0), -1)
        return log_mixture(level_logits, scores, torch.ones_like(scores, dtype=torch.bool))

    @torch.jit.unused
    def _training(self, image: Tensor, clinical: Tensor | None, present: Tensor | None) -> dict[str, Tensor]:
        answers: list[Any] = [level(image, clinical, present) for level in self.levels]
        with torch.autocast(image.device.type, enabled=False):
            level_logits = torch.stack([answer["logits"].float() for answer in answers], dim=1)
            logits = self.mixture(level_logits)
        return {"logits": logits, "present": answers[0]["present"], "level_logits": level_logits}
