"""Python package of the bundle; the configurations in ``configs/`` name its classes by ``_target_``.

Sub-packages are imported on first use, so that ``import scripts`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

SUBPACKAGES = (
    "comparison", "data", "engines", "evaluation", "explain", "fusion", "losses", "networks", "packaging",
    "quality", "reporting", "serving", "transforms", "verify",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a sub-package, or `build`, when ``scripts.<name>`` is first read (PEP 562)."""
    if name in SUBPACKAGES:
        return import_module(f"{__name__}.{name}")
    if name == "build":
        return import_module(f"{__name__}.networks").build
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
