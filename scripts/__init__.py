"""Python package of the bundle; the configurations in ``configs/`` name its classes by ``_target_``.

Sub-packages are imported on first use, so that ``import scripts`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

__version__ = "0.1.0"

SUBPACKAGES = ("data", "engines", "evaluation", "fusion", "losses", "networks", "transforms")


def __getattr__(name: str) -> ModuleType:
    """Import a sub-package when ``scripts.<name>`` is first read (PEP 562)."""
    if name in SUBPACKAGES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
