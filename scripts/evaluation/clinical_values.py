"""What a network could not take from the clinical values of the cases that it predicted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

if TYPE_CHECKING:
    from scripts.evaluation.case_handler import Prediction


def clinical_lines(
    predictions: Sequence[Prediction], columns: Sequence[str], network: nn.Module | None
) -> list[str]:
    """Return a line about numbers that the network cuts off, and one about cases that it knows nothing of.

    Args:
        predictions: of all cases.
        columns: names of the clinical columns, in the order of the network's table.
        network: as it predicted; an exported one does not tell what it cuts off.
    """
    from scripts.data.note import note
    from scripts.networks import TableEncoder, TableNetwork

    parts = [] if network is None else list(network.modules())
    encoder = next((part for part in parts if isinstance(part, TableEncoder)), None)
    if encoder is None:
        return []
    far: dict[str, list[str]] = {}
    for one in predictions:
        for name in encoder.cut_off_columns(one.clinical) if one.clinical else ():
            far.setdefault(name, []).append(f"{one.case} ({one.clinical[columns.index(name)]:g})")
    lines = []
    if far:
        cases = "; ".join(note(name, values) for name, values in far.items())
        lines.append(
            f"warning: clinical values more than {encoder.cut_off:g} standard deviations from the mean of "
            f"the training cases, which count as {encoder.cut_off:g}: {cases}; check their unit and "
            "decimal mark, and empty cells whose number means missing"
        )
    blank = [one.case for one in predictions if np.isnan(one.clinical).all()]
    if blank and any(isinstance(part, TableNetwork) for part in parts):
        what = "warning: this model reads clinical values alone, and knows nothing of the cases without any"
        lines.append(note(what, blank))
    return lines
