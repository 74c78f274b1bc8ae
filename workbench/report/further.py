# SPDX-License-Identifier: Apache-2.0
"""The further figures of a test and report.html, for which `scripts.engines.further` asks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ignite.engine import Engine
from scripts.engines.further import Further
from scripts.engines.labelled import LabelledPredictions
from workbench.report.attention import AttentionReport
from workbench.report.errors import ErrorReport
from workbench.report.features import FeatureReport
from workbench.report.probability_figures import decision_figure, precision_recall_figure, reliability_figure
from workbench.report.report import report_run
from workbench.report.weights import WeightReport
from workbench.report.withhold import WithholdPhases

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def follow(test: Further, engine: Engine) -> None:
    """Attach the reports that watch the network while it is tested."""
    named: dict[str, Any] = {"output_dir": test.output_dir, "classes": test.classes, "name": test.split}
    by_phase: dict[str, Any] = {"network": test.network, "phases": test.phases, "views": test.views} | named
    for report in (
        FeatureReport(network=test.network, seed=test.seed, **named),
        WeightReport(**by_phase),
        AttentionReport(**by_phase),
        ErrorReport(phases=test.channels, spacing=test.spacing, orientation=test.orientation, **named),
    ):
        report.attach(engine)


def make(test: Further) -> None:
    """Withhold phases, and write report.html."""
    WithholdPhases(
        test.missing_phases, test.network, test.dataloader, test.prepare_batch, test.inferer, test.device,
        test.phases, test.classes, test.output_dir, test.seed, test.split,
    ).run()  # fmt: skip
    report_run(test.output_dir, test.model_file, test.dataset_dir, test.split, test.channels, test.device)


def probability_figures(
    output_dir: Path,
    found: LabelledPredictions,
    classes: Sequence[str],
    name: str,
    rows: Sequence[dict[str, Any]],
    random: dict[str, Any],
) -> dict[str, Figure]:
    """Draw and write what the probabilities are worth: precision and recall, reliability, decision curve.

    Args:
        found: the predictions.
        rows: of the metrics.
        random: patients, draws and seed of the bands.
    """
    data = (found.probability, found.label, classes, name)
    changed = found.temperature is not None and found.temperature != 1
    return {
        "precision_recall": precision_recall_figure(
            *data,
            intervals=[row.get("average_precision_interval") for row in rows],
            positive=found.positive,
            path=output_dir / "precision_recall.png",
        ),
        "reliability": reliability_figure(
            *data,
            uncalibrated=found.uncalibrated if changed else None,
            positive=found.positive,
            path=output_dir / "reliability.png",
        ),
        "decision_curve": decision_figure(
            *data, threshold=found.threshold, **random, positive=found.positive, path=output_dir / "decision_curve.png"
        ),
    }
