"""All warnings about one evaluated model."""

from __future__ import annotations

from scripts.reporting.contents import Contents

from .caution import Caution
from .data import data_cautions
from .run import run_cautions
from .scores import score_cautions


def cautions_about(contents: Contents) -> list[Caution]:
    """Return what is found, the scores first, then the data, then how they were made."""
    return [*score_cautions(contents), *data_cautions(contents), *run_cautions(contents)]
