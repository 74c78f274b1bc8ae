# SPDX-License-Identifier: Apache-2.0
"""MONAI's convolutional networks as encoders: DenseNet, EfficientNet, ResNet and SE-ResNet."""

from __future__ import annotations

from collections import OrderedDict

import torch
from monai.networks import nets
from scripts.networks.encoders.stages import StagedEncoder
from scripts.networks.parts import check_size
from torch import Tensor, nn

DENSENETS = {"densenet121": "DenseNet121", "densenet169": "DenseNet169", "densenet201": "DenseNet201"}


class MonaiDenseNetEncoder(StagedEncoder):
    """A DenseNet of `monai.networks.nets` up to its last feature map, rectified, before pooling.

    Its transitions halve the volume by average pooling, which drops the last voxel of an odd axis. The pooling of
    the stem is left out by default, as in `MonaiResNetEncoder`.

    Args:
        model: ``densenet121``, ``densenet169`` or ``densenet201``.
        in_channels: channels of the volume.
        pool_stem: halve the volume once more after the stem (for volumes of 64 voxels per side and more).

    Shape: [N, in_channels, D, H, W] -> [N, 1024, D/16, H/16, W/16] (densenet121).

    Raises:
        ValueError: an unknown model, or a volume below `min_size`.

    Reference: Huang et al., Densely connected convolutional networks, CVPR 2017.
    """

    def __init__(self, model: str = "densenet121", in_channels: int = 1, pool_stem: bool = False) -> None:
        if model not in DENSENETS:
            raise ValueError(f"model must be one of {', '.join(DENSENETS)}, found '{model}'")
        densenet = getattr(nets, DENSENETS[model])(spatial_dims=3, in_channels=in_channels, out_channels=1)
        layers = dict(densenet.features.named_children())
        if not pool_stem:
            del layers["pool0"]
        layers["relu5"] = nn.ReLU(inplace=True)
        super().__init__(
            layers,
            ends=["denseblock1", "denseblock2", "denseblock3", "relu5"],
            out_dim=densenet.class_layers.out.in_features,
            smallest=32 if pool_stem else 16,
            title=model,
        )
        self.model = model


EFFICIENTNETS = tuple(f"efficientnet-b{size}" for size in range(8))


class MonaiEfficientNetEncoder(StagedEncoder):
    """An EfficientNet of `monai.networks.nets` up to its last feature map, before pooling.

    It has few weights, thanks to depthwise convolutions; on a CPU these take more time than their number
    suggests.

    MONAI pads for one image size, fixed when the network is built; other sizes may shrink to nothing. Here
    every convolution is padded by half its kernel on both sides, which is the same where sizes are odd.

    Args:
        model: ``efficientnet-b0`` to ``efficientnet-b7``.
        in_channels: channels of the volume.
        spatial_dims: 3 for volumes, 2 for planes.

    Shape: [N, in_channels, D, H, W] -> [N, 1280, D/32, H/32, W/32], rounded up (b0).

    Raises:
        ValueError: an unknown model, or a volume below `min_size`.

    Reference: Tan and Le, EfficientNet: rethinking model scaling for convolutional networks, ICML 2019.
    """

    def __init__(self, model: str = "efficientnet-b0", in_channels: int = 1, spatial_dims: int = 3) -> None:
        if model not in EFFICIENTNETS:
            raise ValueError(f"model must be one of {EFFICIENTNETS[0]} to {EFFICIENTNETS[-1]}, found '{model}'")
        efficientnet = nets.EfficientNetBN(
            model, pretrained=False, spatial_dims=spatial_dims, in_channels=in_channels, num_classes=1
        )
        efficientnet.set_swish(memory_efficient=False)  # the memory-efficient one neither scripts nor traces
        _pad_by_half_the_kernel(efficientnet)
        layers: dict[str, nn.Module] = {name: getattr(efficientnet, name) for name in ("_conv_stem", "_bn0", "_swish")}
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
        self.ends = [0, 1, 2, 4]  # the stacks of blocks (of seven) after which the volume is halved
        self.model = model

    @torch.jit.export
    def stage_maps(self, x: Tensor) -> list[Tensor]:
        """Encode volumes into the last map of each resolution, from fine to coarse."""
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
    """Pad every convolution by half its kernel, and remove the layers that pad for one image size."""
    for module in network.modules():
        for name in [name for name, _ in module.named_children() if name.endswith("_padding")]:
            setattr(module, name, nn.Identity())
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            module.padding = tuple(extent // 2 for extent in module.kernel_size)


RESNETS = ("resnet10", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet200")


class MonaiResNetEncoder(StagedEncoder):
    """A ResNet of `monai.networks.nets` up to its last feature map, before pooling.

    As in MONAI's own `ResNetFeatures`, the stem has stride 2. Shortcuts are of type B, even though MedicalNet's
    resnet18 and resnet34 have type A, which neither scripts nor passes gradients. The pooling of the stem, which
    has no weights, is left out by default: it suits whole scans, not regions of 30 voxels per side.

    Args:
        model: ``resnet10``, ``resnet18``, ... ``resnet200``.
        in_channels: channels of the volume.
        pool_stem: halve the volume once more after the stem (for volumes of 64 voxels per side and more).
        spatial_dims: 3 for volumes, 2 for planes.

    Shape: [N, in_channels, D, H, W] -> [N, 512 or 2048, D/16, H/16, W/16], rounded up; with `pool_stem` /32.

    Raises:
        ValueError: an unknown model, or a volume below `min_size`.

    Reference: Chen et al., Med3D, arXiv:1904.00625.
    """

    def __init__(
        self, model: str = "resnet10", in_channels: int = 1, pool_stem: bool = False, spatial_dims: int = 3
    ) -> None:
        if model not in RESNETS:
            raise ValueError(f"model must be one of {', '.join(RESNETS)}, found '{model}'")
        resnet = getattr(nets, model)(
            pretrained=False,
            spatial_dims=spatial_dims,
            n_input_channels=in_channels,
            conv1_t_stride=2,
            shortcut_type="B",
            bias_downsample=False,
            feed_forward=False,
        )
        stem = ["conv1", "bn1", "act", *(["maxpool"] if pool_stem else [])]
        stages = ["layer1", "layer2", "layer3", "layer4"]
        super().__init__(
            {name: getattr(resnet, name) for name in stem + stages},
            ends=stages,
            out_dim=resnet.in_planes,
            smallest=16 if pool_stem else 8,
            title=model,
            spatial_dims=spatial_dims,
        )
        self.model = model


class MonaiSEResNetEncoder(StagedEncoder):
    """SEResNet50 of `monai.networks.nets` up to its last feature map, before pooling.

    A ResNet-50 whose blocks weight their channels by means over the whole volume. The pooling of the stem is
    left out by default, as in `MonaiResNetEncoder`.

    Args:
        in_channels: channels of the volume.
        pool_stem: halve the volume once more after the stem (for volumes of 64 voxels per side and more).

    Shape: [N, in_channels, D, H, W] -> [N, 2048, D/16, H/16, W/16], rounded up; with `pool_stem` /32.

    Raises:
        ValueError: a volume below `min_size`.

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
