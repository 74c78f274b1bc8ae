# SPDX-License-Identifier: Apache-2.0
"""The share of the machine's computing power that a training step uses."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.performance.item import Figure, Figures, Item
from benchmarks.performance.ours import DEVICE, batch, our_step
from benchmarks.performance.timing import Step, measure

SIDE = 64
CASES = (8,) if DEVICE == "cpu" else (8, 16, 32, 64, 128)
"""Batch sizes; the best counts."""
ON = "" if DEVICE == "cpu" else "_gpu"
"""Suffix of the name of a share, whose goal depends on the device."""
PRODUCT = 2048 if DEVICE == "cpu" else 8192
"""Rows and columns of the matrices whose product gives the peak."""


def matrix_product(dtype: torch.dtype) -> tuple[Step, float]:
    """Return the product of two large matrices, and its floating-point operations."""
    left, right = (torch.rand(PRODUCT, PRODUCT, dtype=dtype, device=DEVICE) for _ in range(2))
    return lambda: left @ right, 2.0 * PRODUCT**3


def flops_of(step: Step) -> float:
    """Return the floating-point operations of matrix products and convolutions, forward and backward.

    A multiplication and an addition are 2 operations.
    """
    with FlopCounterMode(display=False) as counter:
        step()
    return float(counter.get_total_flops())


def measure_share(repeat: int, work: Path) -> Figures:
    """Return achieved operations per second over the peak of a matrix product, timed in turn, in percent."""
    torch.manual_seed(repeat)
    product, operations = matrix_product(torch.bfloat16)
    figures: Figures = {}
    for precision in ("bf16", "fp32"):
        best = 0.0
        for cases in CASES:
            step = our_step(*batch(cases, 3, SIDE), precision)
            work_of_step = flops_of(step)
            times = measure({"product": product, "step": step}, rounds=3, steps=2)
            shares = [
                100 * (work_of_step / own) / (operations / peak)
                for own, peak in zip(times["step"], times["product"], strict=True)
            ]
            if median(shares) > best:
                best = median(shares)
                figures |= {
                    f"{precision}_share{ON}": best,
                    f"{precision}_cases": cases,
                    f"{precision}_gflops": work_of_step / median(times["step"]) / 1e6,
                    "peak_gflops": operations / median(times["product"]) / 1e6,
                }
    return figures


MACHINE_SHARE = Item(
    "machine_share",
    (
        Figure("bf16_share", "bf16 step, share of the bf16 peak, CPU", "%", least=40.0),
        Figure("bf16_share_gpu", "bf16 step, share of the bf16 peak, GPU", "%", least=35.0),
        Figure("fp32_share", "fp32 step, share of the bf16 peak, CPU", "%"),
        Figure("fp32_share_gpu", "fp32 step, share of the bf16 peak, GPU", "%"),
        Figure("peak_gflops", "peak: the matrix product in bf16", "GFLOP/s", 0),
        Figure("bf16_gflops", "achieved in bf16", "GFLOP/s", 0),
        Figure("fp32_gflops", "achieved in fp32", "GFLOP/s", 0),
        Figure("bf16_cases", "cases per step, bf16", "", 0),
    ),
    measure_share,
)
