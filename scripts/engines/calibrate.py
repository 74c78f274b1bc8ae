# SPDX-License-Identifier: Apache-2.0
"""Calibration after training: temperature, threshold, and the cases behind the prediction sets."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import DataLoader, Dataset
from monai.inferers import Inferer
from scripts.cases.positive import positive_index
from scripts.engines.checkpoint import save_weights
from scripts.engines.network import load_trained
from scripts.files.processes import all_processes, is_first_process, process_count, process_number, wait_for_all
from scripts.metrics.calibration import temperature_probabilities, trusted_temperature, trusted_threshold
from scripts.metrics.prediction_sets import SOURCES, write_evidence
from scripts.networks.calibration import Calibration, RawLogits
from scripts.networks.grades import is_ordinal
from torch import nn

logger = logging.getLogger(__name__)


class CalibrateModel:
    """Fits temperature and threshold of a trained model on the validation split, and stores them in its file.

    Then it writes `evidence.npz` beside it, for prediction sets, from cases that had no part in either.

    A value that the cases are too few to determine is not fitted, and a warning says so (`trusted_temperature`,
    `trusted_threshold`).

    It uses the logits before any division, so that calibrating a calibrated model gives the same result, and a
    run that was killed can calibrate again. The file is replaced as a whole or not at all.

    Args:
        enabled: whether to fit temperature and threshold.
        network: the network, with a `Calibration`; the weights of the file are loaded into it.
        model_file: flat state dict of the best checkpoint.
        dataloader: labelled validation cases.
        prepare_batch: from a batch to the network's arguments, without augmentation.
        inferer: the inferer of the test.
        device: where the network runs.
        classes: names of the classes; with two, the threshold is on the probability of the positive one.
        positive: name of the positive class; None means the last.
        held_out: cases of the calibration split, for prediction sets; without any, the validation cases serve.
    """

    def __init__(
        self,
        enabled: bool,
        network: nn.Module,
        model_file: str | Path,
        dataloader: Iterable[Any],
        prepare_batch: Callable[..., tuple],
        inferer: Inferer,
        device: torch.device | str,
        classes: Sequence[str] = (),
        positive: str | None = None,
        held_out: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.enabled = enabled
        self.network = network
        self.model_file = Path(model_file)
        self.dataloader = dataloader
        self.prepare_batch = prepare_batch
        self.inferer = inferer
        self.device = device
        self.positive = positive_index(classes, positive) if classes else 1
        self.classes = list(classes)
        self.held_out = list(held_out)

    def run(self) -> None:
        """Calibrate, if enabled, and gather the evidence for prediction sets."""
        if self.enabled:
            self.fit()
        if self.classes:
            self.gather()

    def fit(self) -> None:
        """Fit temperature and threshold."""
        calibration = self._calibration()
        load_trained(self.network, self.model_file)
        logits, label = self._validation_logits()
        temperature, reason = trusted_temperature(logits, label)
        calibration.temperature.fill_(temperature)
        calibration.threshold.fill_(0.5)
        kept = [f"the temperature stays 1, {reason}"] if reason else []
        if logits.shape[2] == 2:
            risk = temperature_probabilities(logits, float(calibration.temperature))[:, self.positive]
            threshold, reason = trusted_threshold(risk, label == self.positive)
            calibration.threshold.fill_(threshold)
            kept += [f"the threshold stays 0.5, {reason}"] if reason else []
        if is_first_process():
            save_weights(self.network, self.model_file)
        wait_for_all()
        logger.info(
            "calibrated on %d validation cases: temperature %.3f, threshold %.3f",
            len(label), temperature, float(calibration.threshold),
        )  # fmt: skip
        if kept:
            logger.warning("%d validation cases tell too little: %s", len(label), "; ".join(kept))

    def gather(self) -> None:
        """Write evidence.npz: the probabilities of the calibration split, else of the validation split.

        Raises:
            ValueError: neither has a case.
        """
        load_trained(self.network, self.model_file)
        source, loader = "validation", self.dataloader
        if self.held_out:
            own: Any = self.dataloader
            share = self.held_out[process_number() :: process_count()]
            source, loader = "calibration", DataLoader(Dataset(share, own.dataset.transform), batch_size=own.batch_size)
        probability, label, cases, patients = list[list[float]](), list[int](), list[str](), list[str]()
        for batch, logits, labels in self._passes(loader):
            probability += logits.double().softmax(dim=1).cpu().tolist()
            label += labels.tolist()
            cases += map(str, batch["case"])
            patients += map(str, batch.get("patient", batch["case"]))
        parts = all_processes((probability, label, cases, patients))
        if not any(part[0] for part in parts):
            raise ValueError("prediction sets need cases of the split calibration or validation, found none; add them")
        pooled = [[one for part in column for one in part] for column in zip(*parts, strict=True)]
        if is_first_process():
            write_evidence(
                self.model_file, pooled[0], pooled[1], pooled[2], pooled[3], source, ordered=is_ordinal(self.network)
            )
        wait_for_all()
        logger.info("prediction sets: from %d cases of %s", len(pooled[1]), SOURCES[source])

    def _calibration(self) -> Calibration:
        found = getattr(self.network, "calibration", None)
        if not isinstance(found, Calibration):
            raise ValueError(
                f"{type(self.network).__name__} must have a Calibration to store the temperature in: add one "
                "as its attribute `calibration`, or set calibrate: false"
            )
        return found

    @torch.no_grad()
    def _passes(self, loader: Iterable[Any]) -> Iterator[tuple[Any, torch.Tensor, torch.Tensor]]:
        """Yield each batch with the network's logits [B, K] and the labels [B] on the CPU."""
        self.network.eval()
        for batch in loader:
            image, label, _, optional = self.prepare_batch(batch, self.device)
            yield batch, self.inferer(image, self.network, **optional), label.cpu()

    def _validation_logits(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the raw logits [n, V, K] and the labels [n] of the validation cases of all processes."""
        logits, labels = [], []
        raw = RawLogits(self.network)
        try:
            for _, _, label in self._passes(self.dataloader):
                logits.append(raw.take())
                labels.append(label)
        finally:
            raw.remove()
        parts = all_processes((torch.cat(logits), torch.cat(labels)))
        pooled, label = map(torch.cat, zip(*parts, strict=True))
        return pooled.double().numpy(), label.numpy()
