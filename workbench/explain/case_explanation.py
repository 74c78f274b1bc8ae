# SPDX-License-Identifier: Apache-2.0
"""The explanation of one case."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scripts.files.plain_text import listing
from scripts.transforms.phases import need
from scripts.volumes.original_grid import GridVolume
from torch import Tensor
from workbench.explain.contributions import Contributions, phase_contributions
from workbench.explain.localisation import Localisation, lesion_volume, localise
from workbench.explain.occlusion import Occlusion, grad_cam, layer_cam, predict_case

ACTIVATION_MAPS = {"layer_cam": layer_cam, "grad_cam": grad_cam}
EXPLANATIONS = ("contribution", *ACTIVATION_MAPS, "occlusion")
DEFAULT = ("contribution", "layer_cam", "occlusion")


@dataclass(frozen=True)
class CaseExplanation:
    """What the network did with one case.

    Attributes:
        heat: {method: {phase: [D, H, W]}} on the network's grid, of the phases that the case has.
        localisation: {method: where its heat lies}, for a case with a mask.
    """

    case: str
    probabilities: Tensor  # float64 [K]
    explained: int  # index of the class that is explained
    label: int | None
    contributions: Contributions | None  # of each phase; None if not asked for
    heat: dict[str, dict[str, np.ndarray]]
    grid_affine: np.ndarray  # of that grid, index -> mm
    volumes: dict[str, Any]  # {phase: the opened file}
    reference: str  # the phase that defines the grid's axes
    lesion: GridVolume | None  # the lesion mask as a volume of 0 and 1, or None
    localisation: dict[str, Localisation] = field(default_factory=dict)

    @property
    def correct(self) -> bool:
        """Whether the most probable class is known to be the true one."""
        return self.label is not None and int(self.probabilities.argmax()) == self.label


@dataclass(frozen=True)
class CaseExplainer:
    """Explains what a network says about a case.

    Args:
        explained_class: class whose probability is explained; None: the class predicted for each case.

    Raises:
        ValueError: an unknown explanation or class.
    """

    network: Any  # in eval mode, with its calibration
    phases: Sequence[str]
    classes: Sequence[str]
    occlusion: Occlusion
    explanations: Sequence[str] = DEFAULT
    explained_class: str | None = None
    batch_size: int = 16
    labels: Sequence[int] | None = None  # mask values that are lesion; None: all above 0

    def __post_init__(self) -> None:
        for name in self.explanations:
            if name not in EXPLANATIONS:
                raise ValueError(
                    f"`explanations` must be among {listing(name, EXPLANATIONS)}, found '{name}'; correct it"
                )
        if self.explained_class is not None and self.explained_class not in self.classes:
            raise ValueError(
                f"`explained_class` must be null or one of {listing(self.explained_class, self.classes)}, "
                f"found '{self.explained_class}'; correct it"
            )

    def __call__(
        self, item: Mapping[str, Any], without: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
    ) -> CaseExplanation:
        """Explain one case.

        Args:
            item: result of the preprocessing without `DeleteItemsd` (see `located`).
            without: gives its image prepared from some phases alone (see `phase_contributions`).
        """
        device = next(self.network.buffers()).device
        image, present = (torch.as_tensor(item[key]).to(device) for key in ("image", "present"))
        image = image.as_subclass(Tensor)
        clinical = torch.as_tensor(item["clinical"]).to(device) if len(item.get("clinical", ())) else None
        probabilities = predict_case(self.network, image, present, clinical).double().cpu()
        explained = (
            int(probabilities.argmax())
            if self.explained_class is None
            else list(self.classes).index(self.explained_class)
        )
        contributions = None
        if "contribution" in self.explanations:
            contributions = phase_contributions(self.network, image, present, clinical, self.batch_size, without)
        inside = self._inside(item)
        maps: dict[str, np.ndarray] = {}
        for name, activation_map in ACTIVATION_MAPS.items():
            if name in self.explanations:
                found = activation_map(self.network, image, present, explained, clinical)
                maps[name] = np.where(inside, found.cpu().numpy(), np.float32(0))
        if "occlusion" in self.explanations:
            shown = torch.from_numpy(inside).to(device)
            drop = self.occlusion(self.network, image, present, shown, explained, clinical)
            maps["occlusion"] = drop.cpu().numpy()
        affine = np.asarray(need(item, "grid_affine", "ResamplePhasesd", self))
        lesion = None if item.get("roi") is None else lesion_volume(item["roi"], self.labels)
        places = {} if lesion is None else {m: localise(h, lesion, inside, affine) for m, h in maps.items()}
        return CaseExplanation(
            case=str(item["case"]),
            probabilities=probabilities,
            explained=explained,
            label=item.get("label"),
            contributions=contributions,
            heat={
                method: {phase: heat[self.phases.index(phase)] for phase in item["volumes"]}
                for method, heat in maps.items()
            },
            grid_affine=affine,
            volumes=dict(item["volumes"]),
            reference=item["reference"],
            lesion=lesion,
            localisation={method: place for method, place in places.items() if place is not None},
        )

    def _inside(self, item: Mapping[str, Any]) -> np.ndarray:
        """Return the voxels that show something, [P, D, H, W] bool."""
        shown = need(item, "inside", "ResamplePhasesd", self)
        nothing = np.zeros(item["image"].shape[1:], dtype=bool)
        return np.stack([np.asarray(shown[phase]) if phase in shown else nothing for phase in self.phases])
