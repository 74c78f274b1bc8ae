"""What a network could not take from the clinical values of the cases that it predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import nn


def clinical_lines(tables: Mapping[str, Sequence[float]], network: nn.Module | None) -> list[str]:
    """Return a line about numbers that the network cuts off, and one about cases that it knows nothing of.

    Args:
        tables: case -> its values in the order of the network's table, NaN where missing.
        network: as it predicted; an exported one does not tell what it cuts off.
    """
    from scripts.data.note import note
    from scripts.networks import TableNetwork, table_encoders

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
    if blank and any(isinstance(part, TableNetwork) for part in network.modules()):
        what = "warning: this model reads clinical values alone, and knows nothing of the cases without any"
        lines.append(note(what, blank))
    return lines
