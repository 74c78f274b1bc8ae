# SPDX-License-Identifier: Apache-2.0
"""Cross-entropy with class weights, focusing and label smoothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.losses.focal_loss import softmax_focal_loss
from torch import Tensor, nn
from torch.nn import functional


def class_weights_from(
    class_weights: str | Sequence[float] | None, class_counts: Sequence[int] | None
) -> Tensor | None:
    """Turn the option `class_weights` into one weight per class, or None.

    Args:
        class_weights: None, ``balanced`` (n / (K n_k) for n_k of n cases in class k of K, as in scikit-learn), or
            one weight per class.
        class_counts: training cases per class.

    Raises:
        ValueError: another word, a wrong number of weights, or a class without training cases.

    >>> class_weights_from("balanced", [30, 10])
    tensor([0.6667, 2.0000])
    """
    if class_weights is None:
        return None
    if isinstance(class_weights, str):
        if class_weights != "balanced":
            raise ValueError(f"class_weights must be null, balanced or one number per class, found '{class_weights}'")
        if not class_counts or min(class_counts) <= 0:
            found = None if class_counts is None else list(class_counts)
            raise ValueError(
                f"class_weights balanced needs training cases of every class, found class_counts {found}; "
                "remove the empty class from `classes` or give the weights as numbers"
            )
        counts = torch.tensor(class_counts, dtype=torch.float32)
        return counts.sum() / (len(counts) * counts)
    weights = torch.as_tensor([float(w) for w in class_weights])
    if (
        len(weights) == 0
        or weights.min() < 0
        or weights.sum() == 0
        or (class_counts is not None and len(weights) != len(class_counts))
    ):
        raise ValueError(
            f"class_weights must be non-negative numbers, not all zero, one for each of "
            f"{len(class_counts) if class_counts else 'the'} classes, found {list(class_weights)}"
        )
    return weights


class ClassificationLoss(nn.Module):
    """Weighted focal cross-entropy of logits.

    loss = sum_b c_b sum_k w_k t_bk (1 - p_bk)^gamma (-log p_bk) / sum_b c_b w_(label of b)

    with p = softmax(logits) and t the smoothed one-hot label. With gamma = 0 it equals `CrossEntropyLoss`.

    Args:
        class_weights: null, ``balanced``, or one weight per class.
        class_counts: training cases per class, for ``balanced``.
        focal_gamma: 0 is plain cross-entropy; larger values give less weight to cases that are already right.
        label_smoothing: fraction of the label spread evenly over all classes.

    Raises:
        ValueError: options out of range.

    Reference: Lin et al., Focal loss for dense object detection, ICCV 2017, eq. 4.

    >>> ClassificationLoss()(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor(0.6931)
    """

    def __init__(
        self,
        class_weights: str | Sequence[float] | None = None,
        class_counts: Sequence[int] | None = None,
        focal_gamma: float = 0.0,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        if focal_gamma != 0 and focal_gamma < 1:  # the gradient of (1 - p)^gamma is infinite at p = 1
            raise ValueError(f"focal_gamma must be 0 or at least 1, found {focal_gamma}")
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must be at least 0 and below 1, found {label_smoothing}")
        self.class_weights = class_weights_from(class_weights, class_counts)
        self.focal_gamma = focal_gamma
        self.label_smoothing = label_smoothing

    def forward(self, outputs: Tensor | dict[str, Tensor], label: Tensor, coefficients: Tensor | None = None) -> Tensor:
        """Compute the loss.

        Args:
            outputs: logits [B, K], or the network's dict with ``logits``.
            label: class index [B].
            coefficients: c, weight of each case [B]; None: all 1.

        Returns:
            A scalar; 0 if all coefficients are 0.
        """
        logits = (outputs["logits"] if isinstance(outputs, dict) else outputs).float()
        weights = torch.ones(logits.shape[1]) if self.class_weights is None else self.class_weights
        if len(weights) != logits.shape[1]:
            raise ValueError(f"class_weights has {len(weights)} numbers but there are {logits.shape[1]} classes")
        weights = weights.to(logits)
        per_case = self._per_case(logits, label, weights)
        importance = weights[label] if coefficients is None else coefficients.to(logits) * weights[label]
        scale = torch.ones_like(per_case) if coefficients is None else coefficients.to(logits)
        return (scale * per_case).sum() / importance.sum().clamp_min(torch.finfo(logits.dtype).tiny)

    def _per_case(self, logits: Tensor, label: Tensor, weights: Tensor) -> Tensor:
        if self.focal_gamma == 0:
            return functional.cross_entropy(
                logits, label, weights, reduction="none", label_smoothing=self.label_smoothing
            )
        target = functional.one_hot(label, logits.shape[1]).to(logits)
        target = target * (1 - self.label_smoothing) + self.label_smoothing / logits.shape[1]
        return (softmax_focal_loss(logits, target, gamma=self.focal_gamma) * weights).sum(dim=1)
