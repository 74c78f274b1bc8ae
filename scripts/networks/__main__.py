"""Command line: prints what the network of a strategy is made of.

python -m scripts.networks --fusion gated --phases pre arterial portal --grid_size 32 32 32
"""

from __future__ import annotations

import argparse

from scripts.networks.builder import build
from scripts.networks.summary import summary


def main() -> None:
    """Read the arguments, build and print."""
    parser = argparse.ArgumentParser(description="Parameters, work and shapes of a network, part by part.")
    parser.add_argument("--phases", nargs="+", default=["pre", "arterial", "portal"])
    parser.add_argument("--encoder", default="residual", help="name of a file in configs/encoder")
    parser.add_argument("--fusion", default="concat", help="name of a file in configs/fusion")
    parser.add_argument("--views", nargs="+", default=[], help="axial, coronal, sagittal, volume")
    parser.add_argument("--slices", type=int, default=1, help="slices per view; 0 is all of them")
    parser.add_argument("--clinical", nargs="+", default=[], help="columns of the clinical table, as numbers")
    parser.add_argument("--num_classes", type=int, default=2)
    parser.add_argument("--grid_size", type=int, nargs=3, default=[32, 32, 32], help="voxels")
    given = parser.parse_args()
    try:
        network = build(
            phases=given.phases,
            encoder=given.encoder,
            fusion=given.fusion,
            clinical=given.clinical,
            views=given.views,
            slices=given.slices,
            num_classes=given.num_classes,
        )
        print(summary(network, len(given.phases), given.grid_size))
    except ValueError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
