# SPDX-License-Identifier: Apache-2.0
"""Selection of the best checkpoint by a score on the validation split, which may be smoothed; early stopping."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from ignite.engine import Engine, Events
from ignite.exceptions import NotComputableError
from ignite.metrics import EpochMetric
from scripts.files.processes import all_processes
from scripts.metrics.calibration import SELECTION_RULES, selection_value
from torch import Tensor

logger = logging.getLogger(__name__)


def pooled_output(output: list[dict[str, Tensor]] | dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return probabilities [B, K] and labels [B] of an engine's output, decollated or not."""
    if isinstance(output, dict):
        return output["pred"].detach().float().cpu(), output["label"].cpu()
    probabilities = torch.stack([torch.as_tensor(case["pred"]).as_subclass(Tensor) for case in output])
    labels = torch.stack([torch.as_tensor(case["label"]).as_subclass(Tensor) for case in output])
    return probabilities.float().cpu(), labels.long().cpu()


class PooledScore(EpochMetric):
    """A score computed on the predictions of the whole split, not averaged over batches.

    The AUC of cases of a single class is NaN; `SelectionScore` then uses the loss, with a warning. This cannot
    happen with a dataset.json, whose splits are checked, but it can with the few labels of an annotation server.
    Several processes gather their predictions first, so all get the same score.

    Args:
        rule: ``auc``, ``accuracy``, ``loss`` (minus the mean log loss) or ``auc_accuracy`` (0.5 AUC + 0.5
            accuracy); higher is better.
        output_transform: from the evaluator's output to (probabilities, labels).

    Raises:
        ValueError: an unknown rule.
    """

    def __init__(self, rule: str, output_transform: Callable[[Any], Any] = pooled_output) -> None:
        if rule not in SELECTION_RULES:
            raise ValueError(f"selection_rule must be one of {', '.join(SELECTION_RULES)}, found '{rule}'")
        self.rule = rule
        super().__init__(self._score, output_transform=output_transform, check_compute_fn=False)

    def compute(self) -> float:
        """Return the score of the cases of all processes."""
        if not self._predictions:
            raise NotComputableError(f"{type(self).__name__} must have at least one case, found none")
        parts = all_processes((torch.cat(self._predictions), torch.cat(self._targets)))
        return self._score(*map(torch.cat, zip(*parts, strict=True)))

    def _score(self, probabilities: Tensor, labels: Tensor) -> float:
        if "auc" in self.rule and len(labels.unique()) < 2:
            return self._undefined(probabilities, labels)
        return float(selection_value(probabilities.numpy(), labels.numpy(), self.rule))

    def _undefined(self, probabilities: Tensor, labels: Tensor) -> float:
        return math.nan


class SelectionScore(PooledScore):
    r"""The validation score that selects the checkpoint, drives the plateau schedule and stops training early.

    With smoothing :math:`\beta` the score after validation `t` is the bias-corrected exponential mean

    .. math:: s_t = \beta s_{t-1} + (1 - \beta) x_t, \qquad \hat{s}_t = s_t / (1 - \beta^t)

    where the correction makes a constant curve stay constant; the running mean itself is kept uncorrected.

    Args:
        rule: as for `PooledScore`.
        smoothing: :math:`\beta` in [0, 1); 0 takes each validation as it is.

    Attributes:
        best: highest score so far; ``best_validation``: number of its validation, from 1.
        improved: whether the last validation was the best.
        since_best: number of validations since the best one.

    Raises:
        ValueError: smoothing outside [0, 1).

    Reference:
        Kingma and Ba, "Adam", ICLR 2015, section 3 (bias correction).
    """

    def __init__(
        self, rule: str, smoothing: float = 0.0, output_transform: Callable[[Any], Any] = pooled_output
    ) -> None:
        if not 0 <= smoothing < 1:
            raise ValueError(f"smoothing must lie in [0, 1), found {smoothing}")
        self.smoothing = smoothing
        self.running = 0.0
        self.validations = 0
        self.smoothed_values = 0
        self.best = -math.inf
        self.best_validation = 0
        self.improved = False
        self.warned = False
        super().__init__(rule, output_transform=output_transform)

    @property
    def since_best(self) -> int:
        """Number of validations since the best one."""
        return self.validations - self.best_validation

    def _undefined(self, probabilities: Tensor, labels: Tensor) -> float:
        if not self.warned:
            logger.warning(
                "the %d validation cases are all of one class, so that no AUC is defined: the best "
                "checkpoint is chosen by the loss", len(labels),
            )  # fmt: skip
            self.warned = True
        return float(selection_value(probabilities.numpy(), labels.numpy(), "loss"))

    def compute(self) -> float:
        """Return the smoothed score of the finished validation, and set `improved` if it is the best."""
        value = float(super().compute())
        self.validations += 1
        self.improved = False
        if not math.isfinite(value):  # would spoil the mean and every later comparison
            return value
        self.smoothed_values += 1
        self.running = self.smoothing * self.running + (1 - self.smoothing) * value
        smoothed = self.running / (1 - self.smoothing**self.smoothed_values)
        self.improved = smoothed > self.best
        if self.improved:
            self.best, self.best_validation = smoothed, self.validations
        return smoothed

    def state_dict(self) -> dict[str, float]:  # type: ignore[override]
        """Return the state that a resumed run needs."""
        names = ("running", "validations", "smoothed_values", "best", "best_validation")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict[str, float]) -> None:  # type: ignore[override]
        """Restore the state saved by `state_dict`."""
        for name, value in state.items():
            setattr(self, name, value)


def pooled_scores(rules: Sequence[str]) -> dict[str, PooledScore]:
    """Return one `PooledScore` per rule, by the name of the rule."""
    return {rule: PooledScore(rule) for rule in rules}


class EarlyStop:
    """Stops the trainer after `patience` validations without a new best selection score.

    Args:
        evaluator: the validation engine.
        selection: its key metric.
        patience: number of validations; 0 never stops early.
    """

    def __init__(self, evaluator: Engine, selection: SelectionScore, patience: int) -> None:
        self.evaluator = evaluator
        self.selection = selection
        self.patience = patience

    def attach(self, engine: Engine) -> None:
        """Check the score after every validation, and stop `engine`."""
        if self.patience > 0:
            self.evaluator.add_event_handler(Events.COMPLETED, self._check, engine)

    def _check(self, _: Any, trainer: Engine) -> None:
        if self.selection.since_best >= self.patience:
            logger.info(
                "early stop at epoch %d: no better validation score in the last %d validations (best %.4f)",
                trainer.state.epoch,
                self.patience,
                self.selection.best,
            )
            trainer.terminate()
