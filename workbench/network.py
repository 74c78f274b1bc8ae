# SPDX-License-Identifier: Apache-2.0
"""Command line: prints the parts of a strategy's network.

python -m workbench.network --fusion gated --phases pre arterial portal --grid_size 32 32 32
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from scripts.networks.builder import build
from scripts.networks.calibration import Calibration
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def main() -> None:
    """Run the command line: build a network and print its parts."""
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


@dataclass(frozen=True)
class Part:
    """A part of a network.

    Attributes:
        name: name of the attribute of the network.
        kind: class of the module.
        parameters: number of parameters.
        flops: floating-point operations for one case; a multiplication and an addition count as 2.
        shapes: shape of each output for one case, in the order of the calls.
    """

    name: str
    kind: str
    parameters: int
    flops: int
    shapes: list[list[int]]


def parts_of(network: nn.Module, num_phases: int, grid_size: Sequence[int]) -> list[Part]:
    """Run one case through the network and return its parts, then one row for the whole.

    Dropout and calibration are left out.

    Args:
        network: a network of this bundle.
        num_phases: P.
        grid_size: voxels along the three axes.
    """
    shapes: dict[str, list[list[int]]] = {}

    def recorder(name: str) -> Callable[..., None]:
        def record(module: nn.Module, arguments: Any, output: Any) -> None:
            first = output[0] if isinstance(output, (tuple, list)) else output
            if isinstance(first, Tensor):
                shapes.setdefault(name, []).append(list(first.shape))

        return record

    probe = copy.deepcopy(network).eval().requires_grad_(False)
    parts = dict(_named_parts(probe))
    for name, part in parts.items():
        part.register_forward_hook(recorder(name))
    device = next(network.parameters()).device
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        output = probe(torch.rand(1, num_phases, *grid_size, device=device))
    counted, root = counter.get_flop_counts(), type(network).__name__
    rows = [
        Part(
            name,
            type(part).__name__,
            sum(p.numel() for p in part.parameters()),
            sum(counted.get(f"{root}.{name}", {}).values()),
            shapes.get(name, []),
        )
        for name, part in parts.items()
    ]
    everything = sum(p.numel() for p in network.parameters())
    return [*rows, Part("all", root, everything, counter.get_total_flops(), [list(output.shape)])]


def _named_parts(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the children except dropout and calibration, and the members of module lists one by one."""
    for name, child in network.named_children():
        if isinstance(child, nn.ModuleList):
            yield from ((f"{name}.{number}", part) for number, part in enumerate(child))
        elif not isinstance(child, (nn.Dropout, Calibration)):
            yield name, child


def summary(network: nn.Module, num_phases: int, grid_size: Sequence[int]) -> str:
    """Return a table of a network's parts: parameters, MFLOP for one case, output shapes.

    Args:
        network: a network of this bundle.
        num_phases: P.
        grid_size: voxels along the three axes.
    """
    rows = [("part", "module", "parameters", "MFLOP", "output")]
    for part in parts_of(network, num_phases, grid_size):
        shape = " x ".join(str(size) for size in part.shapes[0]) if part.shapes else "while training"
        rows.append((part.name, part.kind, f"{part.parameters:,}", f"{part.flops / 1e6:,.2f}", shape))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = [
        f"{name:<{widths[0]}}  {kind:<{widths[1]}}  {parameters:>{widths[2]}}  {flops:>{widths[3]}}  {shape}"
        for name, kind, parameters, flops, shape in rows
    ]
    rule = "-" * max(len(line) for line in lines)
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


if __name__ == "__main__":
    main()
