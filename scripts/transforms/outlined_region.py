# SPDX-License-Identifier: Apache-2.0
"""The region of interest from an outline that a network draws, so that nobody has to."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scripts.files.plain_text import file_name, listing
from scripts.transforms.mask_region import Contour, MaskRegiond
from scripts.transforms.phases import case_name
from scripts.transforms.region import WholeVolumeRegiond, asked
from scripts.transforms.resample import ResamplePhasesd
from scripts.volumes.fingerprint import content_hash
from scripts.volumes.grid import field_of_view
from scripts.volumes.label_map import label_maps, read_label_map, united
from scripts.volumes.mask import largest_piece, pieces_of
from scripts.volumes.open import open_volume
from scripts.volumes.original_grid import GridVolume
from scripts.volumes.volume import Volume
from torch import nn

logger = logging.getLogger(__name__)

NOTHING = ("error", "whole")
ORIGIN = "origin.json"
"""Case -> the fold whose network outlined it, and the hash of its reference scan."""


class OutlinedRegiond(MaskRegiond):
    """The region is the box around what a network outlines in the whole scan.

    A region that the case brings goes first: ``box`` or ``point``, and, where `drawn` is true, its mask. Of an
    outline in several pieces the largest counts, as with ``component: largest`` of `MaskRegiond`.

    No case is outlined for its own training by a network that saw its patient: `outlines` holds the outlines
    of the training cases by networks that were trained without them (see `scripts.engines.Outliner`).

    Afterwards the item holds ``outline``, the piece that counts, as a `Volume` of the values of its structures,
    where the network was asked; where it found nothing, all 0.

    Args:
        keys: key of the phases.
        margin: mm added on every side.
        labels: values of the outline that count; None counts every structure.
        contour: whether what lies farther than the margin from the outline itself is 0 in all phases, as with
            `ContourRegiond`.
        network: outlines, [1, P, D, H, W] -> logits [1, M (S + 1), D, H, W].
        inferer: called as ``inferer(image, network, present=...)`` with a whole scan.
        steps: from opened phases to ``image`` and ``present``, behind the grid: intensity, stacking.
        spacing: mm per voxel of the grid that is outlined.
        orientation: where its axes run to.
        num_structures: S.
        outlines: folder of label maps of the training cases, ``<case>.nii.gz``, with ``origin.json``, which
            says of which scans; None, or no such file: all are outlined by the network.
        drawn: whether a mask that the case brings goes before the outline.
        nothing: where nothing is outlined: ``error``, or ``whole``, the whole volume.

    Raises:
        ValueError: nothing is outlined.
    """

    def __init__(
        self,
        keys: str = "image",
        margin: float = 0.0,
        labels: Sequence[int] | None = None,
        contour: bool = False,
        network: nn.Module | None = None,
        inferer: Callable[..., torch.Tensor] | None = None,
        steps: Sequence[Callable] = (),
        spacing: Sequence[float] = (1.0, 1.0, 1.0),
        orientation: str = "RAS",
        num_structures: int = 1,
        outlines: str | Path | None = None,
        drawn: bool = True,
        nothing: str = "error",
    ) -> None:
        super().__init__(keys, margin, labels, component="largest")
        if nothing not in NOTHING:
            raise ValueError(f"`nothing` must be one of {listing(str(nothing), NOTHING)}, found {nothing!r}")
        self.contour = contour
        self.network = network
        self.inferer = inferer
        self.steps = list(steps)
        self.whole = WholeVolumeRegiond(keys)
        self.grid = ResamplePhasesd(keys, spacing, None, orientation)
        self.num_structures = num_structures
        self.outlines = None if outlines is None else Path(outlines)
        self.origin: dict[str, str] | None = None
        self.drawn = drawn
        self.nothing = nothing

    def box(self, item: dict[Any, Any], reference: Volume, axes: np.ndarray) -> np.ndarray:
        brought = asked(item, "box") or asked(item, "point")
        if brought or (self.drawn and item.get("roi") is not None):
            return super().box(item | ({"roi": None} if brought else {}), reference, axes)
        labels, affine = self.outline(item)
        inside = self.counted(labels)
        if not inside.any():
            if self.nothing == "whole":
                logger.warning("%s: nothing is outlined in %s; all of it is looked at", case_name(item), reference.path)
                item["outline"] = GridVolume(inside.astype(np.uint8), affine)
                item["region_pieces"] = 0
                return field_of_view(reference.affine, reference.shape, axes)
            raise ValueError(
                f"{case_name(item)}: the network must outline something to look at, found nothing in "
                f"{reference.path}; give a 'box' or a 'point', or pass --where_nothing whole"
            )
        piece = largest_piece(inside, affine)
        item["outline"] = GridVolume(np.where(piece, labels, 0).astype(np.uint8), affine)
        if self.contour:
            item["contour"] = Contour(piece, affine, self.margin)
        item["pieces"] = pieces_of(inside, affine, axes, self.margin)
        return item["pieces"].boxes[0]

    def outline(self, item: Mapping[Any, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Return the outline of a case with opened phases, and its index -> mm.

        With one outline per phase, what any of them shows counts: the first of the structures by phase.
        """
        path = self._unseen(item)
        if path is not None:
            volume = open_volume(str(path), f"{case_name(item)}: outline")
            return read_label_map(volume), volume.affine
        return self.predicted(item)

    def _unseen(self, item: Mapping[Any, Any]) -> Path | None:
        """Return the outline of a scan of the training split, None of any other; scans are told by their content."""
        if self.origin is None:
            file = None if self.outlines is None else self.outlines / ORIGIN
            known = json.loads(file.read_text(encoding="utf-8")) if file is not None and file.is_file() else {}
            self.origin = {entry["sha256"]: case for case, entry in known.items()}
        if not self.origin or self.outlines is None:
            return None
        case = self.origin.get(content_hash(item["volumes"][item["reference"]].path))
        return None if case is None else self.outlines / f"{file_name(case)}.nii.gz"

    def predicted(self, item: Mapping[Any, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Outline a case with opened phases by the network."""
        assert self.network is not None
        assert self.inferer is not None
        scan = self.grid(self.whole({**item, "roi": None}))
        for step in self.steps:
            scan = step(scan)
        device = next((weight.device for weight in self.network.parameters()), torch.device("cpu"))
        image, present = (torch.as_tensor(scan[key])[None].to(device) for key in ("image", "present"))
        self.network.eval()
        with torch.no_grad():
            logits = self.inferer(image, self.network, present=present)[0]
        by_mask = label_maps(logits, len(logits) // (self.num_structures + 1)).to(torch.uint8).cpu().numpy()
        return united(by_mask), np.asarray(scan["grid_affine"])
