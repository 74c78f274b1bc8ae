# SPDX-License-Identifier: Apache-2.0
"""Results of an evaluation: predictions, metrics, ROC and confusion matrix, also in TensorBoard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
from scripts import engines, networks  # their modules are imported on first use, since few runs need them
from scripts.cases.positive import positive_index
from scripts.engines.case_handler import Case, CaseHandler, Prediction
from scripts.files.plain_text import note
from scripts.metrics import prediction_sets
from scripts.metrics.predictions import write_predictions
from scripts.networks.calibration import RawLogits
from scripts.networks.table_encoder import table_encoders
from torch import nn

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from scripts.cases.groups import CaseValues

FOLDER = "tensorboard"
"""Folder of the events, in a results folder."""


@contextmanager
def no_host() -> Iterator[None]:
    """Leave the machine's name out of the names of event files that are opened in this context."""
    from tensorboard.summary.writer import event_file_writer

    with patch.object(event_file_writer, "socket", SimpleNamespace(gethostname=lambda: "host")):
        yield


def show_figures(output_dir: Path, name: str, figures: Mapping[str, Figure]) -> None:
    """Write figures as TensorBoard events into `output_dir`/tensorboard, each with the tag `name`/<its name>."""
    from torch.utils.tensorboard import SummaryWriter

    with no_host(), SummaryWriter(str(output_dir / FOLDER)) as writer:
        for tag, figure in figures.items():
            writer.add_figure(f"{name}/{tag}", figure, close=False)


def clinical_lines(tables: Mapping[str, Sequence[float]], network: nn.Module | None) -> list[str]:
    """Return warnings: of clinical numbers that the network clips, and of cases without any clinical value.

    Args:
        tables: case -> its values in the order of the network's table, NaN where missing.
        network: the network that predicted; of an exported one it is not known what it clips.
    """
    if network is None or not (encoders := table_encoders(network)):
        return []
    encoder = encoders[0]
    far: dict[str, list[str]] = {}
    columns = [column["name"] for column in encoder.columns]
    for case, values in tables.items():
        for name in encoder.cut_off_columns(values) if values else ():
            far.setdefault(name, []).append(f"{case} ({values[columns.index(name)]:g})")
    lines = []
    if far:
        cases = "; ".join(note(name, values) for name, values in far.items())
        lines.append(
            f"warning: clinical values more than {encoder.cut_off:g} standard deviations from the mean of "
            f"the training cases, which count as {encoder.cut_off:g}: {cases}; check their unit and "
            "decimal mark, and empty cells whose number means missing"
        )
    blank = [case for case, values in tables.items() if np.isnan(values).all()]
    if blank and any(isinstance(part, networks.plain.TableNetwork) for part in network.modules()):
        what = "warning: this model reads clinical values alone, and knows nothing of the cases without any"
        lines.append(note(what, blank))
    return lines


class EvaluationReport(CaseHandler):
    """Writes the predictions and, where labels are known, metrics and figures.

    When an evaluation ends it writes into `output_dir`

        predictions.csv         case, [patient], [split], [true], predicted, with two classes positive_class
                                and called_positive, one probability per class; with a clinical table also
                                which columns the case had and lacked; with evidence.npz, prediction sets
        metrics.json            the metrics per class and macro, with intervals, seed, versions and machine
        subgroups.csv           the metrics of each site or other group; subgroup_gaps.csv: their largest gaps
        roc.png                 one curve per class against the rest, a single one for two classes
        confusion_matrix.png    cases, and rates per true class

    and, if the workbench is there, subgroups.png, precision_recall.png, reliability.png (observed frequency over
    predicted probability) and decision_curve.png (net benefit of following the model). It prints the tables. If no case
    has a label it writes predictions.csv only; if some have none, the metrics are those of the others. Every file is
    complete or untouched. Intervals resample patients where the batch has `patient`, cases otherwise.

    Args:
        output_dir: folder of the results, made if missing.
        classes: K class names.
        seed: seed of the evaluated run; recorded, and used for the bootstrap (0 when None).
        name: what is evaluated, e.g. "test"; heads the table and the figures.
        draws: number of bootstrap resamples for the intervals; 0 for none.
        network: the network that the evaluator runs, with a `Calibration`: adds its temperature, the scores
            before it, and with two classes the threshold; None: they are not known.
        tensorboard: also show the figures in TensorBoard, by an event file in `output_dir`/tensorboard.
        prediction_key: key of the probabilities in the output.
        columns: declarations of the clinical columns that the network reads, in the order of its table.
        positive: with two classes, the name of the positive one; None means the last.
        model_file: the weights, or those of each member of an ensemble, beside which evidence.npz may lie.
        groups: what the cases have in the columns by which metrics are shown as well; None shows none.

    Attributes:
        rows: rows of the last table; None before the first one and without labels.

    Raises:
        ValueError: as for `CaseHandler`; evidence.npz of other weights.
    """

    def __init__(
        self,
        output_dir: str | Path,
        classes: Sequence[str],
        seed: int | None = None,
        name: str = "test",
        draws: int = 1000,
        network: nn.Module | None = None,
        tensorboard: bool = False,
        prediction_key: str = "pred",
        columns: Sequence[Mapping[str, Any]] = (),
        positive: str | None = None,
        model_file: str | Path | Sequence[str] | None = None,
        groups: CaseValues | None = None,
    ) -> None:
        super().__init__(output_dir, classes, name, prediction_key)
        self.columns = [str(column["name"]) for column in columns]
        self.seed = seed
        self.positive = list(classes)[positive_index(classes, positive)] if len(classes) == 2 else None
        self.draws = draws
        self.network = network
        self.tensorboard = tensorboard
        self.rows: list[dict[str, Any]] | None = None
        self.raw_logits: RawLogits | None = None
        self.model_file = model_file
        self.groups = groups
        self.evidence: prediction_sets.Evidence | None = None
        self.members: list[tuple[nn.Module, RawLogits]] = []

    def start(self) -> None:
        """Discard the last table, read the evidence, and start collecting the logits before calibration."""
        self.rows = None
        self.evidence = None if self.model_file is None else prediction_sets.evidence_of(self.model_file)
        if self.evidence is not None and len(self.evidence.parts) > 1 and self.network is not None:
            models = list(self.network.get_submodule("members").children())
            self.members = [(model, RawLogits(model)) for model in models]
        self.raw_logits = None if self.network is None else RawLogits(self.network)

    def stop(self) -> None:
        if self.raw_logits is not None:
            self.raw_logits.remove()
        for _, logits in self.members:
            logits.remove()
        self.members = []

    def note(self, batch: Sequence[Case], predictions: Sequence[Prediction]) -> None:
        """Note each case's probabilities before the division by the network's temperature, and of each fold's model.

        They are [1 + M, K], with M = 0 unless the models of an ensemble have evidence of their own.
        """
        if self.raw_logits is None or not self.raw_logits.passes:  # an exported network divides inside its file
            return
        found = [self.raw_logits.take()]
        for model, logits in self.members:
            if logits.passes:
                found.append(logits.take() / model.get_buffer("calibration.temperature").cpu())
        rows = np.stack([one.softmax(dim=-1).mean(dim=1).numpy() for one in found], axis=1)
        self.notes |= {p.case: row for p, row in zip(predictions, rows, strict=True)}

    def _by_model(self, found: Sequence[Prediction]) -> np.ndarray | None:
        """Return the probabilities that the evidence is about, [M, n, K]; None without evidence."""
        if self.evidence is None:
            return None
        if len(self.evidence.parts) == 1:
            return np.stack([p.probabilities for p in found])[None].astype(np.float64)
        each = np.stack([self.notes[p.case][1:] for p in found], axis=1).astype(np.float64)
        return each if len(each) == len(self.evidence.parts) else None

    def write(self, device: str) -> None:
        """Write the predictions and, where there are labels, metrics and figures."""
        found = self.predictions
        sets: dict[str, list[str]] = {}
        if self.evidence is not None and (by_model := self._by_model(found)) is not None:
            sets = prediction_sets.columns(self.evidence, by_model, self.classes)
        write_predictions(
            self.output_dir / "predictions.csv",
            cases=[p.case for p in found],
            probabilities=np.stack([p.probabilities for p in found]),
            classes=self.classes,
            labels=[p.label for p in found] if any(p.label is not None for p in found) else None,
            splits=[p.split or "" for p in found] if any(p.split for p in found) else None,
            patients=[p.patient or p.case for p in found] if any(p.patient for p in found) else None,
            clinical=[self._clinical(p) for p in found] if self.columns else None,
            positive=self.positive,
            threshold=self._threshold(),
            sets=sets,
        )
        labelled = [p for p in found if p.label is not None]
        if labelled:
            self._write_results(labelled, device)
        for line in clinical_lines({p.case: p.clinical for p in found}, self.network):
            print(line)
        print(f"{self.name}: results of {len(found)} cases in {self.output_dir}", flush=True)

    def _clinical(self, prediction: Prediction) -> tuple[list[str], list[str]]:
        """Return the clinical columns that a case has, and those that it lacks."""
        given = dict(zip(self.columns, prediction.clinical, strict=False))
        had = [name for name in self.columns if not np.isnan(given.get(name, np.nan))]
        return had, [name for name in self.columns if name not in had]

    def _members(self) -> int:
        """Return how many models predict together, each with its own temperature."""
        members: Any = getattr(self.network, "members", None)
        return 1 if members is None else len(members)

    def _threshold(self) -> float | None:
        """Return the network's threshold on the probability of the positive class, where there is one."""
        calibration: Any = getattr(self.network, "calibration", None)
        return None if calibration is None or self.positive is None else float(calibration.threshold)

    def _write_results(self, labelled: Sequence[Prediction], device: str) -> None:
        """Compute, print and write everything that needs labels."""
        known = bool(self.notes) and self.network is not None
        calibration: Any = getattr(self.network, "calibration", None)
        found = engines.labelled.LabelledPredictions(
            probability=np.stack([p.probabilities for p in labelled]),
            label=np.array([p.label for p in labelled]),
            patients=[p.patient or p.case for p in labelled],
            uncalibrated=np.stack([self.notes[p.case][0] for p in labelled]) if known else None,
            temperature=float(calibration.temperature) if known and self._members() == 1 else None,
            threshold=self._threshold(),
            positive=self.positive,
            members=self._members(),
            evidence=self.evidence,
            by_model=self._by_model(labelled),
            groups=[] if self.groups is None else self.groups.of([p.case for p in labelled]),
        )
        self.rows, figures = engines.labelled.write_results(
            self.output_dir, found, self.classes, self.name, self.seed, self.draws, device
        )
        if self.tensorboard:
            show_figures(self.output_dir, self.name, figures)
