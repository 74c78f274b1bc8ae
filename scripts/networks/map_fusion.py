# SPDX-License-Identifier: Apache-2.0
"""Fusion of feature maps, one per phase or per view of a phase; and networks that fuse at several levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from scripts.networks.base import PhaseNetwork
from scripts.networks.calibration import Calibration
from scripts.networks.fusion.base import log_mixture
from scripts.networks.parts import Part, build_fusion, pool, width_of
from torch import Tensor, nn


class ViewwiseFusion(nn.Module):
    """Fuses the phases view by view, and concatenates the views.

    Axial and coronal maps have no positions in common, so maps of different views are never fused with each
    other: each view has its own fusion, whose result is averaged over space.

    Args:
        fusion: constructor (taking ``num_maps`` and ``in_dim``) of a `MapFusion`.
        num_phases: P.
        num_views: V.
        in_dim: C.

    Shape: P V maps [B, C, d, h, w], phases first, and present [B, P V] -> [B, V F, 1, 1, 1], and ``weights``
        [B, P V], scaled to sum to 1 over all views, where the strategy gives weights.
    """

    def __init__(self, fusion: Part | None, num_phases: int, num_views: int, in_dim: int) -> None:
        super().__init__()
        self.num_phases = num_phases
        self.num_views = num_views
        self.views = nn.ModuleList(build_fusion(fusion, num_maps=num_phases, in_dim=in_dim) for _ in range(num_views))
        self.out_dim = sum(width_of(view) for view in self.views)

    def forward(self, maps: list[Tensor], present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        by_view = present.reshape(-1, self.num_phases, self.num_views)
        fused: list[Tensor] = []
        weights: list[Tensor] = []
        for v, view in enumerate(self.views):
            one, aux = view(maps[v :: self.num_views], by_view[:, :, v])
            fused.append(pool(one))
            if "weights" in aux:
                weights.append(aux["weights"])
        joined = torch.cat(fused, dim=1).unsqueeze(2).unsqueeze(3).unsqueeze(4)
        found: dict[str, Tensor] = {}
        if len(weights) > 0:
            together = torch.stack(weights, dim=2).flatten(1)
            found["weights"] = together / together.sum(dim=1, keepdim=True).clamp_min(1e-30)
        return joined, found


class MapFusionNetwork(PhaseNetwork):
    """Encodes every phase into a feature map, fuses the maps, averages over space and classifies.

    image [B, P, D, H, W] -> encoder -> P maps [B, C, d, h, w] -> fusion -> [B, F, d, h, w]
    -> mean over space -> [B, F] -> head -> logits [B, K]

    The encoded clinical table is appended to the fused features before the last layer, 0 where a case has none.
    With V views each view has its own fusion, see `ViewwiseFusion`.

    The arguments are those of `PhaseNetwork`; `fusion` is a `MapFusion` (its constructor takes ``num_maps``
    and ``in_dim``).

    >>> from scripts.networks.fusion import SpatialGated
    >>> from scripts.networks import ResidualEncoder
    >>> network = MapFusionNetwork(ResidualEncoder, SpatialGated, num_phases=3, num_classes=2).eval()
    >>> network(torch.rand(4, 3, 28, 28, 28)).shape
    torch.Size([4, 2])
    """

    def make_head(self, fusion: Part | None, num_classes: int) -> None:
        """Build the fusion, one per view where there are several, and the last layer."""
        if self.num_views > 1:
            self.fusion: nn.Module = ViewwiseFusion(fusion, self.num_phases, self.num_views, self.token_dim)
        else:
            self.fusion = build_fusion(fusion, num_maps=self.num_phases, in_dim=self.token_dim)
        beside = 0 if self.table is None else self.token_dim
        self.head = self.last_layer(width_of(self.fusion) + beside, num_classes)

    def decide(self, maps: list[Tensor], present: Tensor, clinical: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse the maps, append the table to their mean, and classify."""
        fused, outputs = self.fusion(maps, present)
        outputs["present"] = present
        return self.head(self.dropout(self.beside_table(pool(fused), clinical))), outputs


class HybridNetwork(nn.Module):
    r"""Averages the probabilities of networks that fuse at different levels, trained together.

    .. math:: \log \sum_n w_n \, \mathrm{softmax}(f_n(x)), \qquad w = \mathrm{softmax}(s)

    Each level has its own encoder and its own prediction; `levels` in the configuration names them, e.g. early
    and late. The weights w are learned, equal at first and the same for all cases; `level_weights` returns
    them.

    Args:
        levels: two or more networks of this bundle, for the same phases and classes.
        num_classes: K.

        ordinal: the classes are ordered grades, for every level.

    Raises:
        ValueError: fewer than two levels, or one that differs in `ordinal`.

    Shape: image [B, P, D, H, W] -> logits [B, K].
    """

    __jit_unused_properties__ = ("encoder",)

    def __init__(self, levels: Sequence[nn.Module], num_classes: int, ordinal: bool = False) -> None:
        super().__init__()
        if len(levels) < 2:
            raise ValueError(f"a hybrid needs two levels or more, found {len(levels)}; give them in `levels`")
        if any(getattr(level, "ordinal", False) != ordinal for level in levels):
            raise ValueError(
                f"ordinal: {str(ordinal).lower()} must hold for every level of a hybrid, found one without; give each "
                "level `ordinal: '@ordinal'`, as in configs/fusion/hybrid.yaml"
            )
        self.levels = nn.ModuleList(levels)
        self.scores = nn.Parameter(torch.zeros(len(levels)))
        self.calibration = Calibration(num_classes)

    @property
    def encoder(self) -> nn.Module:
        """The encoder of the last level, from whose maps heat maps are made."""
        return self.levels[-1].get_submodule("encoder")

    def level_weights(self) -> list[float]:
        """Return the weight w of each level; they sum to 1."""
        return self.scores.detach().softmax(dim=0).tolist()

    def forward(
        self, image: Tensor, clinical: Tensor | None = None, present: Tensor | None = None
    ) -> Tensor | dict[str, Tensor]:
        """Classify; arguments and results as for `Classifier.forward`, in training with ``level_logits`` [B, N, K]."""
        if not torch.jit.is_scripting() and self.training:
            return self._training(image, clinical, present)
        said: list[Tensor] = []
        for level in self.levels:
            answer = level(image, clinical, present)
            assert isinstance(answer, Tensor)  # logits, in evaluation; TorchScript needs the type
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
