# SPDX-License-Identifier: Apache-2.0
"""After an evaluation: predicts images with faults, at stated strengths."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from scripts.engines.curves import progress_bar
from scripts.engines.evaluation import show_figures
from scripts.engines.further import Further
from scripts.files.processes import all_processes, is_first_process
from torch import Tensor
from workbench.report.perturb import FAULTS, perturb
from workbench.report.robustness import FILE, Setting, robustness_figure, robustness_rows, write_robustness

logger = logging.getLogger(__name__)


def try_faults(test: Further) -> None:
    """Write robustness.csv and robustness.png into the folder of the results.

    One pass over the cases for the images as they are, and one for each strength of each fault of `FAULTS`. Where
    planes are given as images, or without labels, the log says that there is nothing to try.
    """
    if len(test.channels) != len(test.phases):
        logger.warning("robustness is tried on volumes, found images of planes: no %s", FILE)
        return
    faults = [fault for fault in FAULTS if fault.phases <= len(test.phases)]
    settings = [(fault, strength) for fault in faults for strength in fault.strengths]
    cases = {name: seen for part in all_processes(_predict(test, settings)) for name, seen in part.items()}
    if not is_first_process():
        return
    if not cases:
        logger.warning("%s: no case has a label: no %s", test.split, FILE)
        return
    found = [cases[name] for name in sorted(cases)]
    rows = robustness_rows(
        np.stack([seen[2] for seen in found], axis=1),
        np.array([seen[0] for seen in found]),
        [seen[1] for seen in found],
        settings,
        test.classes,
        test.seed,
    )
    folder = Path(test.output_dir)
    write_robustness(folder / FILE, rows)
    figure = robustness_figure(rows, faults, test.split, folder / "robustness.png")
    show_figures(folder, test.split, {"robustness": figure})


def _predict(test: Further, settings: Sequence[Setting]) -> dict[str, tuple[int, str, np.ndarray]]:
    """Return label, patient and probabilities [1 + S, K] of each labelled case of this process."""
    found: dict[str, tuple[int, str, np.ndarray]] = {}
    test.network.eval()
    with torch.no_grad(), progress_bar(len(test.dataloader) * (len(settings) + 1), "faults of images") as bar:
        for batch in test.dataloader:
            image, label, _, optional = test.prepare_batch(batch, test.device)
            if label is None:
                continue
            names = [str(case) for case in batch["case"]]

            def said(given: Tensor, optional: dict[str, Tensor] = optional) -> Tensor:
                bar.update()
                return test.inferer(given, test.network, **optional).float().softmax(dim=1).cpu()

            passes = [said(image)]
            for fault, strength in settings:
                passes.append(
                    said(perturb(image, optional["present"], fault, strength, names, test.seed, test.spacing))
                )
            probability = torch.stack(passes, dim=1).numpy()
            patients = [str(patient) for patient in batch.get("patient", names)]
            found |= {case: (int(label[i]), patients[i], probability[i]) for i, case in enumerate(names)}
    return found
