# SPDX-License-Identifier: Apache-2.0
"""The bundle: all that a trained model needs. The configurations in ``configs/`` name its parts by ``_target_``.

Modules are imported on first use, so that ``import scripts`` costs nothing.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from scripts.moved import know_packages_of_before, moved

__version__ = "0.1.0"

BUNDLE = Path(__file__).resolve().parents[1]
"""Folder of the bundle that runs."""


def exports(package: str, **names: str) -> tuple[Callable[[str], Any], list[str]]:
    """Return the ``__getattr__`` (PEP 562) and ``__all__`` of a package whose modules are imported on use.

    A class that is not in the table is looked up in the file named after it: ``Abaf`` in ``abaf.py``. Former
    names are resolved by `scripts.moved`.

    Args:
        package: the package.
        names: module -> the names that configurations use, separated by spaces.
    """
    places = {name: module for module, listed in names.items() for name in listed.split()}

    def get(name: str) -> Any:
        module = places.get(name) or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
        if f"{package}.{name}" in sys.modules:
            return sys.modules[f"{package}.{name}"]
        if not name.startswith("_") and find_spec(f"{package}.{module}") is not None:
            found = import_module(f"{package}.{module}")
            if module == name:
                return found
            if hasattr(found, name):
                return getattr(found, name)
        return moved(package, name)

    return get, sorted(places)


_WORKBENCH = BUNDLE / "workbench" / "__init__.py"


def from_workbench(name: str) -> Any:
    """Return a module of the workbench, or None where the running bundle has no workbench.

    A results folder and the zip for the model zoo hold ``scripts`` alone. Another package called workbench on
    the path is ignored.

    Args:
        name: the module, e.g. ``report.further``.
    """
    if not _WORKBENCH.is_file():
        return None
    found = find_spec("workbench")
    if found is None or found.origin is None or not _WORKBENCH.samefile(found.origin):
        return None
    return import_module(f"workbench.{name}")


__getattr__, __all__ = exports(__name__, **{"networks.builder": "build"})
know_packages_of_before()
