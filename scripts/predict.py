# SPDX-License-Identifier: Apache-2.0
"""`python -m workbench.predict` under its former name."""

from __future__ import annotations

from runpy import run_module
from typing import Any

from scripts.moved import moved


def __getattr__(name: str) -> Any:
    return moved(__name__, name)


if __name__ == "__main__":
    run_module("workbench.predict", run_name="__main__", alter_sys=True)
