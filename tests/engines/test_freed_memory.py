# SPDX-License-Identifier: Apache-2.0
"""Memory that is freed is there for the next step, in a process of its own: the setting is the process's."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from scripts.engines.randomness import SETTINGS

pytestmark = pytest.mark.slow  # each has a process of its own

PROGRAM = """
import resource, runpy, sys

keep_freed_memory = runpy.run_path("scripts/engines/randomness.py")["keep_freed_memory"]
kept = keep_freed_memory() if sys.argv[1] == "keep" else None

def step():
    blocks = [bytearray(size << 20) for size in (40, 3, 40)]  # MB, filled with 0

step()
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    step()
pages = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() >> 20  # MB

start = resident()
volume = bytearray(300 << 20)
grown = resident() - start
del volume
print(kept, pages, grown, resident() - start)
"""
BUNDLE = Path(__file__).resolve().parents[2]
PAGES = 4 * 83 * 256
"""Of 4 KB, in four steps of 83 MB."""


def run(keep: bool, environment: dict[str, str] | None = None) -> list[str]:
    inherited = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM, "keep" if keep else "leave"],
        capture_output=True, text=True, check=True, cwd=BUNDLE, env=inherited | (environment or {}),
    )  # fmt: skip
    return found.stdout.split()


needs_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")


@needs_glibc
def test_no_page_is_brought_in_twice() -> None:
    assert int(run(keep=False)[1]) > PAGES / 2, "the setting is not needed any more"
    kept, pages, _, _ = run(keep=True)
    assert kept == "True"
    assert int(pages) < PAGES / 100


@needs_glibc
def test_a_whole_volume_is_handed_back() -> None:
    _, _, grown, left = run(keep=True)
    assert int(grown) > 250
    assert int(left) < 50


@pytest.mark.parametrize("name", SETTINGS)
def test_what_the_user_has_set_stays(name: str) -> None:
    value = "glibc.malloc.trim_threshold=131072" if name == "GLIBC_TUNABLES" else "131072"
    assert run(keep=True, environment={name: value})[0] == "False"
