# SPDX-License-Identifier: Apache-2.0
"""The machine of the figures: processor, memory, GPU, versions; no names of hosts or users."""

from __future__ import annotations

import os
from typing import Any

from scripts.engines.environment import describe_machine

from benchmarks.performance.ours import DEVICE


def machine() -> dict[str, Any]:
    """Return threads, machine and versions as evaluations record them, and the memory in GB.

    Cores are those that this process may use.
    """
    found = describe_machine(DEVICE)
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    found["machine"] |= {"memory_gb": round(pages * size / 2**30), "cores": len(os.sched_getaffinity(0))}
    return found
