# SPDX-License-Identifier: Apache-2.0
"""From the loader's batch to the network's output: arguments, precision, test-time augmentation."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

import torch
from monai.inferers import Inferer
from monai.transforms import MapTransform
from scripts.engines.served import chosen_row
from scripts.files.plain_text import listing
from torch import Tensor, nn

if TYPE_CHECKING:
    from scripts.engines.removal import Removal

logger = logging.getLogger(__name__)


class PrepareBatch:
    """Moves a batch to the device, augments it there, and names the network's optional inputs.

    An instance is the ``prepare_batch`` of a MONAI trainer or evaluator.

    Args:
        augmentation: called as ``augmentation(image, present)`` on the device; None for evaluation.
        phase_dropout: called as ``phase_dropout(present)``, returns the phases that stay; None for evaluation.
        removal: prepares a case with hidden phases as if their files were missing; None only marks them as
            absent. If the other phases depend on the hidden ones, phases are drawn before augmentation, which
            then sees the same as without the files. A case that cannot be prepared without a phase keeps it,
            and is named once in the log.
        clinical_dropout: called as ``clinical_dropout(clinical)``, returns the table with some values hidden;
            None for evaluation.

    Shape:
        batch with ``image [B, P, D, H, W]``, ``present [B, P]`` and, where known, ``clinical [B, T]`` and
        ``label [B]`` -> ``(image, label or None, (), {"present": ...})``, and ``clinical`` where T > 0
    """

    def __init__(
        self,
        augmentation: Callable[[Tensor, Tensor], Tensor] | None = None,
        phase_dropout: Callable[[Tensor], Tensor] | None = None,
        clinical_dropout: Callable[[Tensor], Tensor] | None = None,
        removal: Removal | None = None,
    ) -> None:
        self.augmentation = augmentation
        self.phase_dropout = phase_dropout
        self.removal = removal
        self.told: set[str] = set()
        self.clinical_dropout = clinical_dropout
        self.seen: Tensor | None = None  # phases of the last batch that are not hidden, [B, P]

    def __call__(
        self, batch: dict[str, Any], device: torch.device | str | None = None, non_blocking: bool = False, **kwargs: Any
    ) -> tuple[Tensor, Tensor | None, tuple, dict[str, Tensor]]:
        def move(value: Any) -> Tensor:
            return torch.as_tensor(value).to(device=device, non_blocking=non_blocking, **kwargs)

        image, present = move(batch["image"]), move(batch["present"])
        early = self.removal is not None and self.removal.early
        if early:
            image, present = self._hide(batch, image, present)
        image = self.augment(batch, image, present)
        if self.phase_dropout is not None and not early:
            present = self.phase_dropout(present)
        label = move(batch["label"]).long() if "label" in batch else None
        self.seen = present
        optional = {"present": present}
        if "clinical" in batch and batch["clinical"].shape[1] > 0:
            clinical = move(batch["clinical"])
            optional["clinical"] = clinical if self.clinical_dropout is None else self.clinical_dropout(clinical)
        return image, label, (), optional

    def augment(self, batch: dict[str, Any], image: Tensor, present: Tensor) -> Tensor:
        """Augment the images of a batch."""
        return image if self.augmentation is None else self.augmentation(image, present)

    def _hide(self, batch: dict[str, Any], image: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Hide phases as if their files were missing; return the image and the phases that are left."""
        if self.phase_dropout is None or self.removal is None:
            return image, present
        shown = self.phase_dropout(present)
        image, errors = self.removal.batch(batch["case"], image, present, shown)
        for row, error in enumerate(errors):
            if error is not None:
                shown = shown.clone() if shown is present else shown
                shown[row] = present[row]
                if batch["case"][row] not in self.told:
                    self.told.add(batch["case"][row])
                    logger.warning("phase_dropout keeps phases that it would hide, since without them: %s", error)
        return image, shown


PRECISIONS = ("auto", "bf16", "fp32")


def has_fast_bf16(device: torch.device) -> bool:
    """Return whether `device` computes bfloat16 in hardware (AVX512-BF16 or AMX on a CPU)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return False


def autocast(device: torch.device, precision: str = "auto") -> AbstractContextManager:
    """Return the autocast context of a forward pass.

    It replaces MONAI's own ``amp`` option, which works on CUDA only and is switched off on a CPU.

    Args:
        device: where the network runs.
        precision: ``auto`` (bfloat16 where the hardware has it, else float32), ``bf16`` or ``fp32``.

    Raises:
        ValueError: an unknown precision.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, found '{precision}'")
    enabled = precision == "bf16" or (precision == "auto" and has_fast_bf16(device))
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


class SelectLogitsd(MapTransform):
    """Replaces the dictionary that a network returns in training by its ``logits``.

    Args:
        keys: entries that may hold such a dictionary; tensors are left unchanged.

    Example:
        >>> SelectLogitsd(keys="pred")({"pred": {"logits": 3, "weights": 4}})
        {'pred': 3}
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            if isinstance(result[key], dict):
                result[key] = result[key]["logits"]
        return result


class Geometry(Protocol):
    """What test-time augmentation needs: a fixed list of geometric transforms, the identity first."""

    def fixed(self, number: int, seed: int = 0) -> Sequence[Callable[[Tensor], Tensor]]:
        """Return `number` transforms."""
        ...


class PhaseInferer(Inferer):
    """Runs the network on a batch of cases in mixed precision.

    The memory layout of the batch is not changed: convolutions follow the layout of their weights
    (`channels_last`), and for volumes of one channel both layouts are the same.

    Args:
        precision: ``auto`` (bfloat16 where the hardware has it), ``bf16`` or ``fp32``.

    Shape:
        inputs ``[B, P, D, H, W]`` -> whatever the network returns (logits ``[B, K]`` in eval mode).
    """

    def __init__(self, precision: str = "fp32") -> None:
        super().__init__()
        self.precision = precision

    def __call__(self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if not isinstance(inputs, Tensor):
            raise ValueError(
                "the network reads an image [B, P, D, H, W], found that `preprocessing` leaves a "
                f"{type(inputs).__name__}; end it with StackPhasesd"
            )
        with autocast(inputs.device, self.precision):
            return network(inputs, *args, **kwargs)


class TestTimeInferer(PhaseInferer):
    r"""Averages the predicted probabilities over fixed geometric transforms of each case.

    .. math:: \log \frac{1}{N} \sum_{n=1}^{N} \mathrm{softmax}(f(T_n x))

    The transforms are drawn once from `seed` and are the same for every case, so a prediction does not depend
    on which cases share its batch. The result is again a vector of logits, whose softmax is the averaged
    probability.

    Args:
        geometry: source of the transforms, e.g. the training's `RandomGeometry`.
        number: transforms per case, the identity first; 0 or 1 means none.
        seed: seed of the draw.
        precision: as for `PhaseInferer`.
        columns: full declarations of the clinical columns.
        options: clinical values by column, for a server that passes no table of its own; see `chosen_row`. They
            never replace a table that comes with the batch.

    Raises:
        ValueError: a negative number, an option that is no column, or a value that its column does not allow.
    """

    __test__ = False  # the name begins with Test, yet this is not a test

    def __init__(
        self,
        geometry: Geometry | None = None,
        number: int = 0,
        seed: int = 0,
        precision: str = "fp32",
        columns: Sequence[Mapping[str, Any]] = (),
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(precision)
        if number < 0:
            raise ValueError(f"test_time_augmentation must be 0 or more transforms per case, found {number}")
        self.views = list(geometry.fixed(number, seed)) if geometry is not None and number > 1 else []
        names = ["point", *(column["name"] for column in columns)]
        for name in options or {}:
            if name not in names:
                raise ValueError(f"displayable_configs must be among {listing(name, names)}, found {name!r}")
        self.row = chosen_row(columns, options or {})

    def __call__(self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.row is not None and "clinical" not in kwargs:
            kwargs["clinical"] = self.row.to(inputs.device).expand(len(inputs), -1)
        if not self.views or (isinstance(network, nn.Module) and network.training):
            return super().__call__(inputs, network, *args, **kwargs)
        mean: Tensor | float = 0.0
        for view in self.views:
            logits = super().__call__(view(inputs), network, *args, **kwargs)
            mean = mean + logits.float().softmax(dim=-1) / len(self.views)
        # a probability that underflows to 0 would give -inf
        return torch.as_tensor(mean).clamp_min(torch.finfo(torch.float32).tiny).log()
