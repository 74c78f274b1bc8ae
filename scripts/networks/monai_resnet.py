"""MONAI's ResNets as encoders."""

from __future__ import annotations

from monai.networks import nets

from scripts.networks.staged import StagedEncoder

MODELS = ("resnet10", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet200")


class MonaiResNetEncoder(StagedEncoder):
    """A ResNet of `monai.networks.nets` up to its last feature map, before pooling.

    As in MONAI's own `ResNetFeatures`, the stem has stride 2. Shortcuts are of type B, also where
    MedicalNet's resnet18 and resnet34 have type A: type A neither scripts nor lets gradients through. The
    stem's pooling, which has no weights, is left out by default: it suits whole scans, not regions of 30
    voxels per side.

    Args:
        model: ``resnet10``, ``resnet18``, ... ``resnet200``.
        in_channels: channels of the volume.
        pool_stem: halve the volume once more after the stem (for volumes of 64 voxels per side and more).
        spatial_dims: 3 for volumes, 2 for planes.

    Shape: [N, in_channels, D, H, W] -> [N, 512 or 2048, D/16, H/16, W/16], rounded up; with `pool_stem` /32.

    Raises:
        ValueError: for an unknown model, or a volume below `min_size`.

    Reference: Chen et al., Med3D, arXiv:1904.00625.
    """

    def __init__(
        self,
        model: str = "resnet10",
        in_channels: int = 1,
        pool_stem: bool = False,
        spatial_dims: int = 3,
    ) -> None:
        if model not in MODELS:
            raise ValueError(f"model must be one of {', '.join(MODELS)}, found '{model}'")
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
