"""The workbench beside this package, which draws further figures and writes reports, where there is one."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from scripts import BUNDLE

PLACE = BUNDLE / "workbench" / "__init__.py"


def from_workbench(name: str) -> Any:
    """Return a module of the workbench, None where the bundle that runs has none.

    A results folder and the zip for the zoo hold ``scripts`` alone. A package of this name elsewhere on the
    path is not taken.

    Args:
        name: of the module, e.g. ``report.further``.
    """
    if not PLACE.is_file():
        return None
    found = find_spec("workbench")
    if found is None or found.origin is None or not PLACE.samefile(found.origin):
        return None
    return import_module(f"workbench.{name}")
