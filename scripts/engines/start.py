"""First and last step of every run: refuse mistakes early, say where the results are."""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path

import yaml
from monai.utils import set_determinism

from scripts.processes import is_first_process, wait_for_all

from . import errors
from .config_check import check_keys, known_keys
from .metadata import record_metrics
from .running_config import bundle_folder, running_config, running_run_id
from .served import served_lists
from .twins import warn_of_stale_twins


def start(bundle_root: str | Path, dataset_dir: str | Path | None, seed: int) -> None:
    """Prepare a run: one-line errors, known keys, one seed, and the phantom where it is asked for.

    Args:
        bundle_root: folder of the bundle.
        dataset_dir: folder of the dataset; ``data/phantom`` is created on first use (not where a bundle is
            only loaded from another folder). None: no data is read.
        seed: the experiment's seed.

    Raises:
        ValueError: for a key that no configuration declares.
    """
    from scripts.data import ensure_phantom

    errors.install()
    warnings.filterwarnings("ignore", category=FutureWarning)
    bundle = bundle_folder(bundle_root)
    check_keys(running_config(), known_keys(bundle / "configs"), running_run_id())
    warn_of_stale_twins(bundle / "configs")
    logging.getLogger("ignite").setLevel(logging.CRITICAL)  # it would print every error a second time
    set_determinism(seed)
    if dataset_dir and bundle == Path(bundle_root).resolve() and served_lists(running_config()) is None:
        if is_first_process():
            ensure_phantom(dataset_dir)
        wait_for_all()


def start_tool(bundle_root: str | Path, config: str) -> None:
    """Prepare a command that trains nothing: one-line errors, and only the keys of its own configuration.

    Args:
        bundle_root: folder of the bundle.
        config: file below its configs, e.g. prepare.yaml.

    Raises:
        ValueError: a key that the file does not have; names the nearest.
    """
    errors.install()
    declared = yaml.safe_load((Path(bundle_root) / "configs" / config).read_text(encoding="utf-8"))
    check_keys(running_config(), declared, running_run_id())


def check_output(folder: str | Path) -> None:
    """Raise before any long work when a results folder could not be made; nothing is created.

    Raises:
        PermissionError: naming the folder that must be writable.
    """
    existing = Path(folder).resolve()
    while not existing.exists():
        existing = existing.parent
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise PermissionError(
            f"results folder {folder} cannot be written ({existing}: {error.strerror}): make {existing} a "
            "writable folder, or give another --output_dir"
        ) from None


def finish(output_dir: str | Path) -> None:
    """Note the figures in the metadata of a trained bundle, and print where the results are."""
    if not is_first_process():
        return
    record_metrics(output_dir)
    print(f"\nresults: {Path(output_dir).resolve()}")
