# SPDX-License-Identifier: Apache-2.0
"""The package needs nothing beyond the packages whose versions are pinned."""

from __future__ import annotations

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BEHIND = ("workbench/prepare/dicom/", "scripts/volumes/native_worker.py")
"""Where functions import pydicom behind `pydicom_reader`, which names its requirements file."""


def pinned() -> set[str]:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return {normal(line.partition("==")[0]) for line in lines if "==" in line and not line.startswith("#")}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(tree: ast.AST) -> set[str]:
    """Return the top-level modules that are imported, but for those whose absence is dealt with."""
    if isinstance(tree, ast.Import):
        return {alias.name.partition(".")[0] for alias in tree.names}
    if isinstance(tree, ast.ImportFrom):
        return set() if tree.level else {str(tree.module).partition(".")[0]}
    if isinstance(tree, ast.Try) and any("ImportError" in ast.dump(handler) for handler in tree.handlers):
        return set()
    return set().union(*map(imported, ast.iter_child_nodes(tree)))


def test_every_import_is_of_the_standard_library_or_a_pinned_package():
    providers, versions = packages_distributions(), pinned()
    unpinned = {
        f"{file.relative_to(ROOT)}: {module}"
        for floor in ("scripts", "workbench")
        for file in (ROOT / floor).rglob("*.py")
        if file.parent.name != "site"  # read by MONAI Label's own Python, with requirements-label.txt
        for module in imported(ast.parse(file.read_text())) - {"scripts", "workbench"} - sys.stdlib_module_names
        if not versions & {normal(name) for name in providers.get(module, [])}
        if not (module == "pydicom" and str(file.relative_to(ROOT)).startswith(BEHIND))
    }
    assert sorted(unpinned) == []


def test_only_what_is_pinned_passes():
    """The rule itself: an unguarded import is seen wherever it stands, a guarded one is not."""
    code = """
def f():
    from a.b import c
try:
    import d
except (ImportError, AttributeError):
    d = None
try:
    import e
except ValueError:
    pass
from .g import h
"""
    assert imported(ast.parse(code)) == {"a", "e"}
