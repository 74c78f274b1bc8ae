# SPDX-License-Identifier: Apache-2.0
"""Contenders timed in turn, A B A B ..., so that other load on the machine affects all of them alike."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import torch

Step = Callable[[], object]


def measure(contenders: Mapping[str, Step], rounds: int, steps: int) -> dict[str, list[float]]:
    """Time every contender once per round; return milliseconds per step, one number per round.

    Args:
        contenders: steps by name; each runs once before, untimed, since a first step includes set-up.
        rounds: rounds, each timing every contender.
        steps: steps that are timed together.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for step in contenders.values():
        step()
    for _ in range(rounds):
        for name, step in contenders.items():
            start = now()
            for _ in range(steps):
                step()
            times[name].append(1000 * (now() - start) / steps)
    return times


def now() -> float:
    """Return the time in s after all GPU work is finished."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def seconds(work: Step, times: int = 1) -> float:
    """Return the time of a piece of work, the mean if it is repeated."""
    start = now()
    for _ in range(times):
        work()
    return (now() - start) / times


def times_faster(slow: Sequence[float], fast: Sequence[float]) -> float:
    """Return the median over the rounds of how many times longer one contender takes than another.

    >>> times_faster([8.0, 12.0, 30.0], [1.0, 2.0, 3.0])
    8.0
    """
    return statistics.median(other / own for other, own in zip(slow, fast, strict=True))


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, smallest and largest value."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def growth_exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    r"""Return k of cost = c size^k, the least-squares line through the logarithms.

    .. math:: k = \mathrm{cov}(\log n, \log y) / \mathrm{var}(\log n)

    Args:
        sizes: above 0, at least two different ones.
        costs: above 0, one for each size.

    >>> round(growth_exponent([1, 2, 4], [5, 10, 20]), 6)
    1.0
    >>> round(growth_exponent([1, 2, 4], [3, 12, 48]), 6)
    2.0
    """
    x, y = [math.log(size) for size in sizes], [math.log(cost) for cost in costs]
    return statistics.linear_regression(x, y).slope
