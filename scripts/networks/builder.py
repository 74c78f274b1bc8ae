# SPDX-License-Identifier: Apache-2.0
"""Builds a network in Python from the same configuration fragments as the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts import BUNDLE
from scripts.cases.clinical import check_columns
from scripts.files.errors import message_of
from scripts.files.plain_text import listing
from torch import nn

CONFIGS = BUNDLE / "configs"


def build(
    phases: Sequence[str],
    encoder: str | Mapping[str, Any] = "residual",
    fusion: str | Mapping[str, Any] | nn.Module = "concat",
    clinical: Sequence[str | Mapping[str, Any]] = (),
    num_classes: int = 2,
    share_encoder: bool = True,
    dropout: float = 0.2,
    views: Sequence[str] = (),
    slices: int = 1,
    plane_encoder: str | Mapping[str, Any] = "resnet18",
    share_views: bool = True,
    single_phase: str | None = None,
    ordinal: bool = False,
) -> nn.Module:
    """Build the network that a training with the same names would train.

    It is built from `configs/train.yaml` and the fragments `configs/encoder/<encoder>.yaml` and
    `configs/fusion/<fusion>.yaml`, so that Python and the command line always agree.

    Args:
        phases: names of the phases, in the order of the image's channels.
        encoder: name of a fragment, or a mapping with `_target_` and arguments.
        fusion: name of a fragment, a mapping with `_target_` and arguments, or a ready module that follows the
            contract of `scripts.networks.fusion.base.TokenFusion`.
        clinical: columns of the clinical table, declared as in dataset.json ({name, kind, values}); a plain
            name means a number. `network.table.fit(cases)` sets means and standard deviations.
        num_classes: K.
        share_encoder: True: one encoder for all phases; False: one per phase.
        dropout: probability before the last layer.
        views: any of axial, coronal and sagittal, read as 2D planes of volumes along R, A and S, and volume
            for the whole volume as well; none: the whole volume alone.
        slices: slices per view around the centre; 0: all of them.
        plane_encoder: name of a fragment in `configs/plane_encoder`, or a mapping with `_target_` and
            arguments.
        share_views: True: one plane encoder for all views; False: one per view.
        single_phase: the phase that ``fusion="single"`` reads; None: the first.
        ordinal: the classes are ordered grades, see `GradeHead`.

    Raises:
        ValueError: for an unknown name, with the nearest known one, and for settings that a part refuses.

    >>> import torch
    >>> network = build(phases=["t1", "t2"], fusion="gated", num_classes=3).eval()
    >>> network(torch.rand(1, 2, 16, 16, 16)).shape
    torch.Size([1, 3])
    """
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(CONFIGS / "train.yaml")
    for key, part in (("encoder", encoder), ("plane_encoder", plane_encoder), ("fusion", fusion)):
        if isinstance(part, str):
            parser.update(ConfigParser.load_config_file(_fragment(key, part)))
        elif isinstance(part, Mapping):
            parser[key] = {"_mode_": "callable", **part}
        else:
            parser[key] = part
    parser.update(
        {
            "phases": list(phases),
            "columns": _columns(clinical),
            "num_phases": len(phases),
            "num_classes": num_classes,
            "share_encoder": share_encoder,
            "dropout": dropout,
            "views": list(views),
            "slices": slices,
            "share_views": share_views,
            "single_phase": single_phase or phases[0],
            "ordinal": ordinal,
        }
    )
    try:
        return parser.get_parsed_content("network_def")
    except RuntimeError as error:  # MONAI's wrapper around the component's own error
        message = message_of(error)
        raise error if message is None else ValueError(message) from None


def _columns(clinical: Sequence[str | Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the declarations of the columns, checked."""
    declared = [{"name": c, "kind": "number"} if isinstance(c, str) else dict(c) for c in clinical]
    return check_columns(declared, "clinical")


def _fragment(kind: str, name: str) -> Path:
    """Return the file of a fragment."""
    file = CONFIGS / kind / f"{name}.yaml"
    if not file.is_file():
        known = sorted(path.stem for path in (CONFIGS / kind).glob("*.yaml"))
        raise ValueError(f"{kind} must be one of {listing(name, known)}, found '{name}'; correct the name")
    return file
