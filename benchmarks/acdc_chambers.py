# SPDX-License-Identifier: Apache-2.0
"""Write a dataset.json of ACDC whose images are the experts' masks of the heart chambers.

    python -m benchmarks.acdc_chambers --dataset data/acdc --output data/acdc_chambers

0 is the background, 1 the right ventricle, 2 the myocardium, 3 the left ventricle. Labels, splits and regions
stay as they are.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.subset import Case, write_subset

MARKS = ("_gt", "_seg")
"""Suffixes that masks add to the name of their image: in the official archive, in a copy."""


def mask_of(image: Path) -> Path:
    """Return the mask of the chambers that belongs to an image.

    Raises:
        FileNotFoundError: the image has no such file beside it.
    """
    stem, ending = image.name.split(".", 1)
    masks = [image.with_name(f"{stem}{mark}.{ending}") for mark in MARKS]
    for mask in masks:
        if mask.is_file():
            return mask
    raise FileNotFoundError(
        f"{image} must have the experts' chambers beside it as {masks[0].name} or {masks[1].name}, found "
        "neither; take the training part of ACDC, which has them"
    )


def with_chambers(dataset: Path, output: Path) -> Path:
    """Write the dataset.json whose images are masks, and return it."""

    def replace(_: str, cases: list[Case]) -> list[Case]:
        return [
            case | {"image": {phase: str(mask_of(dataset / path)) for phase, path in case["image"].items()}}
            for case in cases
        ]

    return write_subset(dataset, output, replace)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, default=Path("data/acdc"), help="folder with dataset.json")
    parser.add_argument("--output", type=Path, default=Path("data/acdc_chambers"))
    given = parser.parse_args(arguments)
    print(with_chambers(given.dataset.resolve(), given.output))


if __name__ == "__main__":
    main()
