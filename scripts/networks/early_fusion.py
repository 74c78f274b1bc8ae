"""Early fusion: the phases are the channels of one volume."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scripts.fusion.base import zero_absent
from scripts.networks.calibration import Calibration
from scripts.networks.parts import Part, build_encoder, maps_per_volume, width_of
from scripts.networks.presence import image_channels, pool, token_presence
from scripts.networks.size import check_phases


class EarlyFusionNetwork(nn.Module):
    """Encodes all phases together, as channels of one volume, and classifies.

    image [B, P, D, H, W] -> encoder with P channels -> [B, C] -> head -> logits [B, K]

    An absent phase is read as zeros. Views of the volume stand side by side before the last layer, [B, V C].

    Args:
        encoder: constructor (taking ``in_channels``) or ready module with `num_phases` channels.
        num_phases: P.
        num_classes: K.
        dropout: fraction of the features dropped before the last layer.

    Raises:
        ValueError: when the image has another number of phases.

    >>> from scripts.networks import ResidualEncoder
    >>> network = EarlyFusionNetwork(ResidualEncoder, num_phases=3, num_classes=2).eval()
    >>> network(torch.rand(4, 3, 28, 28, 28)).shape
    torch.Size([4, 2])
    """

    __constants__ = ("several",)  # lets TorchScript leave the other branch out

    def __init__(self, encoder: Part, num_phases: int, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_phases = num_phases
        self.encoder = build_encoder(encoder, num_phases)
        self.dropout = nn.Dropout(dropout)
        self.several = maps_per_volume(self.encoder) > 0
        self.num_views = max(maps_per_volume(self.encoder), 1)
        self.channels = image_channels(self.encoder)
        self.head = nn.Linear(self.num_views * width_of(self.encoder), num_classes)
        self.calibration = Calibration(num_classes)

    def forward(
        self, image: Tensor, clinical: Tensor | None = None, present: Tensor | None = None
    ) -> Tensor | dict[str, Tensor]:
        """Classify; arguments and results as in `PhaseFusionNetwork`."""
        check_phases(image, self.num_phases, self.channels)
        present = token_presence(image, present, self.num_phases, self.num_views, self.channels)
        by_channel = [-1, self.num_phases * self.channels, self.num_views // self.channels]
        image = zero_absent(image, present.reshape(by_channel).any(dim=2))
        if self.several:
            views: list[Tensor] = []
            for maps in self.encoder(image):
                views.append(pool(maps))
            features = torch.cat(views, dim=1)
        else:
            features = pool(self.encoder(image))
        if torch.jit.is_scripting():
            return self.calibration(self.head(self.dropout(features)).float())
        with torch.autocast(image.device.type, enabled=False):
            logits = self.head(self.dropout(features))
        return {"logits": logits, "present": present} if self.training else self.calibration(logits)
