# SPDX-License-Identifier: Apache-2.0
"""Makes report.html and further figures at the end of a run, or again from the files of a folder."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ignite.engine import Engine
from scripts.engines.environment import environment, without_person
from scripts.engines.further import Further, OutlineFigures
from scripts.engines.labelled import LabelledPredictions
from scripts.files.atomic import write_text
from scripts.files.plain_text import from_literal
from scripts.files.processes import is_first_process
from workbench.pages import NOTHING, REPORT, configurations, write_page
from workbench.report.attention import AttentionReport
from workbench.report.cautions import Caution, run_cautions, score_cautions
from workbench.report.checklist import checklists, write_checklists
from workbench.report.comparison_page import comparison_section, report_comparison
from workbench.report.contents import Contents, read_contents
from workbench.report.data_cautions import data_cautions
from workbench.report.dataset import write_record
from workbench.report.errors import ErrorReport
from workbench.report.features import FeatureReport
from workbench.report.figures import figures
from workbench.report.headline import MEANING, again, facts, headline, provenance
from workbench.report.outline_figure import draw_outlines
from workbench.report.outlined import outlined_section
from workbench.report.outlined_figure import draw_outlined
from workbench.report.outlines import (
    metric_tables_of,
    outline_cautions,
    outline_facts,
    outline_headline,
    outline_meaning,
)
from workbench.report.probability_figures import decision_figure, precision_recall_figure, reliability_figure
from workbench.report.settings import show_settings
from workbench.report.subgroups import subgroup_cautions, subgroup_figure, subgroup_section
from workbench.report.tables import data_tables, metric_tables, split_table
from workbench.report.try_faults import try_faults
from workbench.report.weights import WeightReport
from workbench.report.withhold import WithholdPhases

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def cautions_about(contents: Contents) -> list[Caution]:
    """Return all warnings: about the scores and groups, then the data, then the run."""
    scores = outline_cautions if contents.outlines else score_cautions
    return [*scores(contents), *subgroup_cautions(contents), *data_cautions(contents), *run_cautions(contents)]


def report_run(
    output_dir: str | Path,
    model_file: str | Sequence[str],
    dataset_dir: str | Path,
    split: str,
    phases: Sequence[str],
    device: Any,
    regions: dict[str, Any] | None = None,
) -> Path:
    """Write evaluation.json and report.html at the end of a training or evaluation (first process only).

    TensorBoard gets the results and settings of the run, see `show_settings`.

    Args:
        output_dir: folder of metrics.json, predictions and figures.
        model_file: weights of the model, or of each member of an ensemble.
        regions: as for `write_record`.
    """
    folder = Path(output_dir)
    if not is_first_process():
        return folder / "report.html"
    files = [model_file] if isinstance(model_file, str | Path) else list(model_file)
    write_record(folder, [Path(file) for file in files], dataset_dir, split, phases, environment(device), regions)
    show_settings(read_contents(folder))
    return report_folder(folder)


def report_folder(folder: str | Path, comparison: str | Path | None = None, anonymous: bool = False) -> Path:
    """Write report.html from the files of a training, an evaluation, or a comparison.

    Args:
        comparison: folder of a comparison to show as well.
        anonymous: leave out the command and the paths of this machine.

    Raises:
        ValueError: `anonymous` with a comparison, whose page contains the command.
        FileNotFoundError: the folder holds none of them, or `comparison` holds no finished comparison.
    """
    folder = Path(folder)
    if anonymous and (comparison is not None or (folder / "comparison.json").is_file()):
        raise ValueError("--anonymous is for a training or evaluation; leave out the comparison")
    if (folder / "comparison.json").is_file():
        return report_comparison(folder)
    contents = read_contents(folder)
    data = data_tables(contents.reported, contents.config)
    if not contents.same_data:
        data = [*data_tables(contents.trained_on, contents.config), *data]
    trained = contents.model.name if contents.config else contents.folder.name
    cautions = cautions_about(contents)
    asked = [] if contents.metrics is None else checklists(contents, cautions)
    if asked:
        write_checklists(folder, asked)
    values = NOTHING | {
        "title": str(contents.config.get("name", trained)),
        **_words(contents),
        "cautions": cautions,
        "checklists": asked,
        "data": data,
        "splits": _split_tables(contents),
        "subgroups": subgroup_section(contents),
        "outlined": outlined_section(contents),
        "figures": figures(contents),
        "comparison": None if comparison is None else comparison_section(comparison),
        "provenance": provenance(contents, anonymous),
        "again": again(contents) if contents.config else None,
        "configurations": configurations([contents.model / "configs" / "train.yaml"], anonymous),
    }
    page = write_page(folder, values, REPORT)
    if anonymous:  # messages about unreadable files contain paths
        records = (contents.config, contents.training, contents.evaluation or {})
        places = {from_literal(str(record["dataset_dir"])) for record in records if record.get("dataset_dir")}
        places |= {str(folder.resolve())}
        text = page.read_text(encoding="utf-8")
        for place in sorted({*places, *map(without_person, places)}, key=len, reverse=True):
            text = text.replace(html.escape(place), html.escape(Path(place).name or place))
        write_text(page, text)
    return page


def _words(contents: Contents) -> dict[str, Any]:
    """Return what the page says first, and its tables of metrics: of a model that outlines, or that classifies."""
    if contents.outlines:
        return {
            "headline": outline_headline(contents),
            "facts": outline_facts(contents),
            "meaning": outline_meaning(contents) if contents.metrics else [],
            "headline_tables": metric_tables_of(contents),
        }
    return {
        "headline": headline(contents),
        "facts": facts(contents),
        "meaning": list(MEANING.values()) if contents.metrics else [],
        "headline_tables": metric_tables(contents),
    }


def _split_tables(contents: Contents) -> list[Any]:
    """Return the table of the splits, for both datasets if they differ."""
    chosen = [contents.reported] if contents.same_data else [contents.trained_on, contents.reported]
    return [split_table(summary) for summary in chosen if summary.get("splits")]


def follow(test: Further, engine: Engine) -> None:
    """Attach the reports that listen to the network during the test."""
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
    """Withhold phases, try faults of images, draw what was outlined, and write report.html."""
    WithholdPhases(
        test.missing_phases, test.network, test.dataloader, test.prepare_batch, test.inferer, test.device,
        test.phases, test.classes, test.output_dir, test.seed, test.split,
    ).run()  # fmt: skip
    if test.robustness:
        try_faults(test)
    regions = draw_outlined(test) if is_first_process() else None
    report_run(test.output_dir, test.model_file, test.dataset_dir, test.split, test.channels, test.device, regions)


def make_outlines(test: OutlineFigures) -> None:
    """Draw the pictures of outlines, and write report.html."""
    if is_first_process():
        place = Path(test.output_dir)
        draw_outlines(place, test.data, test.phases, test.structures, test.masks, test.reference)
    report_run(test.output_dir, test.model_file, test.dataset_dir, test.split, test.phases, test.device)


def probability_figures(
    output_dir: Path,
    found: LabelledPredictions,
    classes: Sequence[str],
    name: str,
    rows: Sequence[dict[str, Any]],
    random: dict[str, Any],
    subgroups: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Figure]:
    """Draw and write the figures of the probabilities: precision and recall, reliability, decision curve, subgroups.

    Args:
        found: the predictions.
        rows: rows of the metrics.
        random: patients, draws and seed of the bands.
        subgroups: metrics of groups, where any are asked for.
    """
    data = (found.probability, found.label, classes, name)
    changed = found.temperature is not None and found.temperature != 1
    groups = subgroup_figure(subgroups, name, output_dir / "subgroups.png")
    if groups is None:
        (output_dir / "subgroups.png").unlink(missing_ok=True)
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
        **({} if groups is None else {"subgroups": groups}),
    }
