"""The labels of a dataset: one spelling for one class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from scripts.data.column_values import is_code, is_missing
from scripts.data.same_name import folded, merged, slips


def one_spelling(
    cases: Sequence[dict[str, Any]], classes: Sequence[str] | None = None
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the cases with one spelling for labels that differ by case or spaces only, and what to say.

    Args:
        cases: entries of dataset.json.
        classes: names that were asked for, whose spelling counts; else that of most cases.

    Raises:
        ValueError: no case has a label, or all have the same.

    >>> one_spelling([{"label": label} for label in ("Benign", "benign", "benign", "malignant")])[1]
    ["warning: label: 'Benign' (1) and 'benign' (2) are taken for one, 'benign'"]
    """
    labels = [case["label"] for case in cases if "label" in case]
    spelling, lines = merged(labels, "label")
    wished = {folded(name): str(name) for name in classes or ()}
    spelling = {
        text: text if text in wished.values() else wished.get(folded(text), best)
        for text, best in spelling.items()
    }
    counts = Counter(spelling[text] for text in labels)
    if len(counts) < 2:
        found = f"{next(iter(counts))!r} for all {len(labels)} cases" if counts else "none"
        raise ValueError(
            f"the cases must have labels of at least two classes, found {found}; fill the labels of the "
            "source or the label file"
        )
    lines += [
        f"classes {rare!r} ({counts[rare]} cases) and {other!r} ({counts[other]} cases) are spelt nearly "
        "alike; if one is a slip, correct it"
        for rare, other in slips(counts)
    ]
    lines += [
        f"label {name!r} ({count} cases) is a class of its own; if it means that the label is not known, "
        "empty these cells"
        for name, count in counts.items()
        if is_missing(name) or is_code(name)
    ]
    changed = [case | {"label": spelling[case["label"]]} if "label" in case else case for case in cases]
    return changed, [f"warning: {line}" for line in lines]
