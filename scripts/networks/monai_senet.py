"""MONAI's squeeze-and-excitation ResNet as an encoder."""

from __future__ import annotations

from collections import OrderedDict

from monai.networks import nets
from torch import nn

from scripts.networks.staged import StagedEncoder


class MonaiSEResNetEncoder(StagedEncoder):
    """SEResNet50 of `monai.networks.nets` up to its last feature map, before pooling.

    A ResNet-50 whose blocks weigh their channels by what the whole volume shows. The stem's pooling is left
    out by default, as in `MonaiResNetEncoder`.

    Args:
        in_channels: channels of the volume.
        pool_stem: halve the volume once more after the stem (for volumes of 64 voxels per side and more).

    Shape: [N, in_channels, D, H, W] -> [N, 2048, D/16, H/16, W/16], rounded up; with `pool_stem` /32.

    Raises:
        ValueError: for a volume below `min_size`.

    Reference: Hu et al., Squeeze-and-excitation networks, CVPR 2018.
    """

    def __init__(self, in_channels: int = 1, pool_stem: bool = False) -> None:
        senet = nets.SEResNet50(spatial_dims=3, in_channels=in_channels, num_classes=1)
        stages = ["layer1", "layer2", "layer3", "layer4"]
        stem = {
            name: layer
            for name, layer in senet.layer0.named_children()
            if pool_stem or not isinstance(layer, nn.MaxPool3d)
        }
        super().__init__(
            {"layer0": nn.Sequential(OrderedDict(stem)), **{name: getattr(senet, name) for name in stages}},
            ends=stages,
            out_dim=senet.last_linear.in_features,
            smallest=16 if pool_stem else 8,
            title="seresnet50",
        )
        self.model = "seresnet50"
