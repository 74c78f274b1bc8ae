"""Before `preparing`: a user's mistakes as one line."""

from __future__ import annotations

from pathlib import Path


def start_preparing(bundle_root: str | Path) -> None:
    """Show a user's mistakes as one line, and refuse keys that prepare.yaml does not have.

    Raises:
        ValueError: an unknown key; names the nearest.
    """
    import yaml

    from scripts.engines import errors
    from scripts.engines.config_check import check_keys
    from scripts.engines.running_config import running_config, running_run_id

    errors.install()
    declared = yaml.safe_load((Path(bundle_root) / "configs" / "prepare.yaml").read_text(encoding="utf-8"))
    check_keys(running_config(), declared, running_run_id())
