"""Before `preparing`: a user's mistakes as one line."""

from __future__ import annotations

from pathlib import Path


def start_preparing(bundle_root: str | Path) -> None:
    """Show a user's mistakes as one line, and refuse keys that prepare.yaml does not have.

    Raises:
        ValueError: an unknown key; names the nearest.
    """
    from scripts.engines.start import start_tool

    start_tool(bundle_root, "prepare.yaml")
