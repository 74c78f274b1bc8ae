# SPDX-License-Identifier: Apache-2.0
"""After the test: AUC and accuracy when phases are withheld."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from monai.inferers import Inferer
from scripts.engines.curves import progress_bar
from scripts.engines.evaluation import show_figures
from scripts.engines.removal import Removal
from scripts.files.processes import all_processes, is_first_process
from torch import Tensor, nn
from torch.utils.data import DataLoader
from workbench.report.missing_phases_figure import missing_phases_figure
from workbench.report.withheld import withheld_rows, withheld_subsets, write_withheld

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seen:
    """One case: label, patient, present phases [P], probabilities [S, K] for S sets of withheld phases, and
    which of these sets it can be prepared without, [S]."""

    label: int
    patient: str
    present: np.ndarray
    probabilities: np.ndarray
    possible: np.ndarray


@dataclass(frozen=True)
class WithholdPhases:
    """Withholds phases from every case of a split, and writes the resulting AUC and accuracy.

    A withheld phase is treated as if its file were missing: if the others depend on it, through a joint intensity
    rule or because it is the reference phase, they are prepared again (see `Removal`).

    For k = 0, 1, ..., P - 1 every choice of k of the P phases is withheld (of more than 20 choices, 20 are
    drawn): 2^P - 1 passes for up to 6 phases. With more than 8 phases only single ones are withheld. It writes
    into `output_dir`

        missing_phases.csv   one row per choice, and the mean over those of one k, with 95% intervals
        missing_phases.png   AUC and accuracy over k

    and shows the figure in TensorBoard. Phases that a case lacks anyway stay missing. A case without any phase
    left is excluded, and so is one that cannot be prepared from those left, which the log names. The clinical
    table is not changed. With one phase, or without labels, it does nothing.
    """

    enabled: bool  # whether to do anything at all
    network: nn.Module  # the network as it was evaluated, with its weights
    dataloader: DataLoader
    prepare_batch: Callable[..., tuple]  # from a batch to the network's arguments, without augmentation
    inferer: Inferer
    device: torch.device | str  # where the network runs
    phases: Sequence[str]
    classes: Sequence[str]
    output_dir: str | Path
    seed: int = 0
    name: str = "test"
    draws: int = 1000

    def run(self) -> None:
        """Withhold phases, if enabled and there is more than one, and write table and figure."""
        if not self.enabled or len(self.phases) < 2:
            return
        subsets = withheld_subsets(len(self.phases), self.seed)
        cases = {case: seen for part in all_processes(self._predict(subsets)) for case, seen in part.items()}
        if not is_first_process():
            return
        if not cases:
            logger.info("%s: no figure of missing phases, no case has a label", self.name)
            return
        self._tell(cases, subsets)
        found = list(cases.values())
        label = np.array([seen.label for seen in found])
        probabilities = np.stack([seen.probabilities for seen in found])
        rows = withheld_rows(
            {subset: probabilities[:, i] for i, subset in enumerate(subsets)},
            label,
            np.stack([seen.present for seen in found]),
            self.phases,
            self.classes,
            patients=[seen.patient for seen in found],
            draws=self.draws,
            seed=self.seed,
            possible=np.stack([seen.possible for seen in found]),
        )
        folder = Path(self.output_dir)
        write_withheld(folder / "missing_phases.csv", rows)
        majority, path = float(np.bincount(label).max() / len(label)), folder / "missing_phases.png"
        figure = missing_phases_figure(rows, self.phases, majority, self.name, path)
        show_figures(folder, self.name, {"missing_phases": figure})

    def _predict(self, subsets: Sequence[tuple[int, ...]]) -> dict[str, Seen]:
        """Return the predictions of each labelled case of this process."""
        hidden = torch.zeros(len(subsets), len(self.phases), dtype=torch.bool)
        for row, subset in zip(hidden, subsets, strict=True):
            row[list(subset)] = True
        self.network.eval()
        removal = Removal(getattr(self.dataloader, "dataset", None))
        cases: dict[str, Seen] = {}
        passes_in_all = len(self.dataloader) * len(subsets)
        with torch.no_grad(), progress_bar(passes_in_all, "withheld phases") as bar:
            for batch in self.dataloader:
                image, label, _, optional = self.prepare_batch(batch, self.device)
                if label is None:
                    continue
                names = [str(case) for case in batch["case"]]
                passes = []
                for withheld in hidden:
                    passes.append(self._pass(removal, names, image, optional, withheld))
                    bar.update()
                said, possible = (torch.stack(part, dim=1).numpy() for part in zip(*passes, strict=True))
                removal.forget()
                patients = [str(patient) for patient in batch.get("patient", names)]
                present = optional["present"].cpu().numpy()
                cases |= {
                    case: Seen(int(label[i]), patients[i], present[i], said[i], possible[i])
                    for i, case in enumerate(names)
                }
        return cases

    def _pass(
        self, removal: Removal, names: Sequence[str], image: Tensor, optional: dict[str, Tensor], withheld: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the probabilities [B, K] of a batch without some phases, and which cases allow it, [B]."""
        present = optional["present"]
        seen = present & ~withheld.to(present.device)
        image, errors = removal.batch(names, image, present, seen)
        logits = self.inferer(image, self.network, **optional | {"present": seen})
        possible = torch.tensor([error is None for error in errors])
        return logits.float().softmax(dim=1).cpu(), possible

    def _tell(self, cases: dict[str, Seen], subsets: Sequence[tuple[int, ...]]) -> None:
        """Log the names of the cases that cannot be prepared without some phases."""
        for i, subset in enumerate(subsets):
            names = [case for case, seen in cases.items() if not seen.possible[i]]
            if names:
                logger.warning(
                    "%s without %s: %d of %d cases cannot be prepared from the rest and are taken out: %s",
                    self.name, " + ".join(self.phases[p] for p in subset), len(names), len(cases),
                    ", ".join(names),
                )  # fmt: skip
