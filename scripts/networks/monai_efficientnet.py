"""MONAI's EfficientNets as encoders."""

from __future__ import annotations

from collections import OrderedDict

import torch
from monai.networks import nets
from torch import Tensor, nn

from scripts.networks.size import check_size
from scripts.networks.staged import StagedEncoder

MODELS = tuple(f"efficientnet-b{size}" for size in range(8))


class MonaiEfficientNetEncoder(StagedEncoder):
    """An EfficientNet of `monai.networks.nets` up to its last feature map, before pooling.

    Few weights, of convolutions channel by channel; on a CPU these take more time than their number says.

    MONAI pads for one image size, fixed when the network is built; other sizes may end as nothing at all.
    Here every convolution is padded by half its kernel on both sides, which is the same where sizes are odd.

    Args:
        model: ``efficientnet-b0`` to ``efficientnet-b7``.
        in_channels: channels of the volume.
        spatial_dims: 3 for volumes, 2 for planes.

    Shape: [N, in_channels, D, H, W] -> [N, 1280, D/32, H/32, W/32], rounded up (b0).

    Raises:
        ValueError: for an unknown model, or a volume below `min_size`.

    Reference: Tan and Le, EfficientNet: rethinking model scaling for convolutional networks, ICML 2019.
    """

    def __init__(self, model: str = "efficientnet-b0", in_channels: int = 1, spatial_dims: int = 3) -> None:
        if model not in MODELS:
            raise ValueError(f"model must be one of {MODELS[0]} to {MODELS[-1]}, found '{model}'")
        efficientnet = nets.EfficientNetBN(
            model, pretrained=False, spatial_dims=spatial_dims, in_channels=in_channels, num_classes=1
        )
        efficientnet.set_swish(memory_efficient=False)  # the other one neither scripts nor traces
        _pad_by_half_the_kernel(efficientnet)
        layers: dict[str, nn.Module] = {
            name: getattr(efficientnet, name) for name in ("_conv_stem", "_bn0", "_swish")
        }
        stages = {str(number): stack for number, stack in enumerate(efficientnet._blocks)}
        layers["_blocks"] = nn.Sequential(OrderedDict(stages))
        layers |= {name: getattr(efficientnet, name) for name in ("_conv_head", "_bn1")}
        layers["_head_swish"] = efficientnet._swish
        super().__init__(
            layers,
            ends=["_head_swish"],
            out_dim=efficientnet._fc.in_features,
            smallest=16,
            title=model,
            spatial_dims=spatial_dims,
        )
        self.ends = [0, 1, 2, 4]  # of the seven stacks of blocks, those before the next halving
        self.model = model

    @torch.jit.export
    def stage_maps(self, x: Tensor) -> list[Tensor]:
        """Encode volumes into the last map of every size, from fine to coarse."""
        check_size(x, self.least, self.title)
        x = self.net._swish(self.net._bn0(self.net._conv_stem(x)))  # type: ignore[operator]
        found: list[Tensor] = []
        for i, stack in enumerate(self.net._blocks):  # type: ignore[arg-type]
            x = stack(x)
            if i in self.ends:
                found.append(x)
        found.append(self.net._head_swish(self.net._bn1(self.net._conv_head(x))))  # type: ignore[operator]
        return found


def _pad_by_half_the_kernel(network: nn.Module) -> None:
    """Give every convolution its own padding, and take out the layers that padded for one size."""
    for module in network.modules():
        for name in [name for name, _ in module.named_children() if name.endswith("_padding")]:
            setattr(module, name, nn.Identity())
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            module.padding = tuple(extent // 2 for extent in module.kernel_size)
