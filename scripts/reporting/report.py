"""Makes report.html: at the end of a run, or anew from what a folder holds."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.data.plain_text import from_literal
from scripts.evaluation.atomic import write_text
from scripts.evaluation.without_person import without_person
from scripts.processes import is_first_process

from .comparison_page import comparison_section, report_comparison
from .contents import Contents, read_contents
from .data_tables import data_tables, split_table
from .figures import figures
from .headline import MEANING, facts, headline
from .metric_tables import metric_tables
from .provenance import again, provenance
from .record import write_record
from .render import NOTHING, configurations, write_page
from .run_settings import show_settings
from .warnings import cautions_about


def report_run(
    output_dir: str | Path,
    model_file: str | Sequence[str],
    dataset_dir: str | Path,
    split: str,
    phases: Sequence[str],
    device: Any,
) -> Path:
    """Write evaluation.json and report.html at the end of a training or an evaluation, by the first process.

    TensorBoard gets the results and settings of the run, see `show_settings`.

    Args:
        output_dir: folder of metrics.json, predictions and figures.
        model_file: weights of the model, or of each member of an ensemble.
        dataset_dir: folder of the dataset that was evaluated.
        split: the split that was evaluated.
        phases: phases of the model.
        device: where the network ran.
    """
    from scripts.engines.environment import environment

    folder = Path(output_dir)
    if not is_first_process():
        return folder / "report.html"
    files = [model_file] if isinstance(model_file, str | Path) else list(model_file)
    write_record(folder, [Path(file) for file in files], dataset_dir, split, phases, environment(device))
    show_settings(read_contents(folder))
    return report_folder(folder)


def report_folder(folder: str | Path, comparison: str | Path | None = None, anonymous: bool = False) -> Path:
    """Write report.html from what a folder holds: of a training, an evaluation, or a comparison.

    Args:
        folder: the folder; receives report.html.
        comparison: folder of a comparison that is shown as well.
        anonymous: leave out the command and the paths of this machine.

    Raises:
        ValueError: `anonymous` with a comparison, whose pages hold the command.
        FileNotFoundError: the folder holds none of them, or `comparison` no finished comparison.
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
    values = NOTHING | {
        "title": str(contents.config.get("name", trained)),
        "headline": headline(contents),
        "facts": facts(contents),
        "meaning": list(MEANING.values()) if contents.metrics else [],
        "cautions": cautions_about(contents),
        "data": data,
        "splits": _split_tables(contents),
        "headline_tables": metric_tables(contents),
        "figures": figures(contents),
        "comparison": None if comparison is None else comparison_section(comparison),
        "provenance": provenance(contents, anonymous),
        "again": again(contents) if contents.config else None,
        "configurations": configurations([contents.model / "configs" / "train.yaml"], anonymous),
    }
    page = write_page(folder, values)
    if anonymous:  # what could not be read is told with its path
        records = (contents.config, contents.training, contents.evaluation or {})
        places = {from_literal(str(record["dataset_dir"])) for record in records if record.get("dataset_dir")}
        places |= {str(folder.resolve())}
        text = page.read_text(encoding="utf-8")
        for place in sorted({*places, *map(without_person, places)}, key=len, reverse=True):
            text = text.replace(html.escape(place), html.escape(Path(place).name or place))
        write_text(page, text)
    return page


def _split_tables(contents: Contents) -> list[Any]:
    """Return the table of the splits, of both datasets where they differ."""
    chosen = [contents.reported] if contents.same_data else [contents.trained_on, contents.reported]
    return [split_table(summary) for summary in chosen if summary.get("splits")]
