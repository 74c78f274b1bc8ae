"""MONAI's DenseNets as encoders."""

from __future__ import annotations

from monai.networks import nets
from torch import nn

from scripts.networks.staged import StagedEncoder

MODELS = {"densenet121": "DenseNet121", "densenet169": "DenseNet169", "densenet201": "DenseNet201"}


class MonaiDenseNetEncoder(StagedEncoder):
    """A DenseNet of `monai.networks.nets` up to its last feature map, rectified, before pooling.

    Its transitions halve the volume by averages and need an even number of voxels to lose none. The stem's
    pooling is left out by default, as in `MonaiResNetEncoder`.

    Args:
        model: ``densenet121``, ``densenet169`` or ``densenet201``.
        in_channels: channels of the volume.
        pool_stem: halve the volume once more after the stem (for volumes of 64 voxels per side and more).

    Shape: [N, in_channels, D, H, W] -> [N, 1024, D/16, H/16, W/16] (densenet121).

    Raises:
        ValueError: for an unknown model, or a volume below `min_size`.

    Reference: Huang et al., Densely connected convolutional networks, CVPR 2017.
    """

    def __init__(self, model: str = "densenet121", in_channels: int = 1, pool_stem: bool = False) -> None:
        if model not in MODELS:
            raise ValueError(f"model must be one of {', '.join(MODELS)}, found '{model}'")
        densenet = getattr(nets, MODELS[model])(spatial_dims=3, in_channels=in_channels, out_channels=1)
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
