"""Which cases are explained, and how they are loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from monai.transforms import Compose, DeleteItemsd

from scripts.data.splits import SPLITS
from scripts.transforms import MaskRegiond

Item = dict[str, Any]
GROUPS = (*SPLITS, "unlabelled")


def choose_cases(items: Sequence[Mapping[str, Any]], case: str | Sequence[str]) -> list[Mapping[str, Any]]:
    """Return the cases that a user asks for.

    Args:
        items: all cases of the dataset.
        case: the name of a case, a list of names, the name of a split (training, validation, test,
            unlabelled) for all its cases, or ``all``.

    Raises:
        ValueError: no such case; names the nearest ones.

    >>> items = [{"case": "p01", "split": "test"}, {"case": "p02", "split": "test"}]
    >>> [item["case"] for item in choose_cases(items, "p02")]
    ['p02']
    >>> choose_cases(items, "p1")
    Traceback (most recent call last):
    ...
    ValueError: case 'p1' is not among the 2 cases of the dataset; nearest: p01, p02; or give 'all' or a split
    """
    by_name = {str(item["case"]): item for item in items}
    names = [str(case)] if isinstance(case, str) or not isinstance(case, Sequence) else [str(n) for n in case]
    if len(names) == 1 and names[0] not in by_name:
        group = [item for item in items if names[0] in ("all", item.get("split"))]
        if group:
            return group
        if names[0] in GROUPS:
            raise ValueError(
                f"the dataset must have cases in the split '{names[0]}', found none; give another"
            )
    if not names:
        raise ValueError("`case` must name at least one case, found []; or give 'all' or a split")
    for name in names:
        if name not in by_name:
            close = get_close_matches(name, by_name, n=3, cutoff=0.0)
            raise ValueError(
                f"case '{name}' is not among the {len(items)} cases of the dataset; nearest: "
                f"{', '.join(close)}; or give 'all' or a split"
            )
    return [by_name[name] for name in names]


def located(preprocessing: Compose) -> Compose:
    """Return a preprocessing that keeps where every voxel came from.

    `DeleteItemsd`, which takes away what the network does not need, is left out.
    """
    steps = preprocessing.flatten().transforms
    return Compose([step for step in steps if not isinstance(step, DeleteItemsd)])


def lesion_labels(preprocessing: Compose) -> Sequence[int] | None:
    """Return the mask values that the region rule counts as lesion; None: all above 0."""
    rules = (step for step in preprocessing.flatten().transforms if isinstance(step, MaskRegiond))
    return next((rule.labels for rule in rules), None)
