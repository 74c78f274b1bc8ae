# SPDX-License-Identifier: Apache-2.0
"""First and last steps of every run: report mistakes early, prepare the cases, say where the results are."""

from __future__ import annotations

import logging
import shlex
import warnings
from pathlib import Path

import yaml
from monai.utils import set_determinism
from scripts import BUNDLE, from_workbench
from scripts.cases.cache import NoCache
from scripts.engines.command_line import command_line, config_files, settle_types, typed_options
from scripts.engines.ensemble import record
from scripts.engines.metadata import record_metrics
from scripts.engines.output_place import check_output, finish_output, place_note
from scripts.engines.randomness import keep_freed_memory
from scripts.engines.running import bundle_folder, from_here, running_config, running_parser, running_run_id
from scripts.engines.served import served_lists
from scripts.engines.twins import warn_of_stale_twins
from scripts.files import errors
from scripts.files.errors import error_chain
from scripts.files.plain_text import check_from_data
from scripts.files.processes import BadCases, is_first_process, wait_for_all
from scripts.keys.check import check_command, check_keys, check_order, check_values, help_text, known_keys
from scripts.keys.declared import TOOLS, command_of, declared_keys
from scripts.keys.key_types import check_range

SECTIONS = ("train", "validate", "test")


def prepare_splits() -> None:
    """Make the datasets of training, validation and test, which fills their caches, and try the calibration cases.

    The test split is not used before the training is over, but an unreadable image found only then would cost
    the whole training. Without a cache, every case is prepared once and discarded.

    Raises:
        BadCases: cases that cannot be prepared, of all three splits together.
        RuntimeError: called outside a configuration.
    """
    parser = running_parser()
    if parser is None:
        raise RuntimeError("prepare_splits() works only inside an expression of a bundle configuration")
    found: list[BadCases] = []
    total = 0
    for section in SECTIONS:
        if f"{section}#dataset" not in parser:
            continue
        try:
            dataset = parser.get_parsed_content(f"{section}#dataset")
            if section == "validate" and (more := getattr(parser.get_parsed_content("cases"), "calibration", None)):
                total += len(more)
                NoCache(list(more), dataset.transform).check()
            total += len(dataset)
            if isinstance(dataset, NoCache):
                dataset.check()
        except Exception as error:  # MONAI wraps what a constructor raises
            bad = next((one for one in error_chain(error) if isinstance(one, BadCases)), None)
            if bad is None or any(bad.lines == other.lines for other in found):
                raise  # if two splits report the same, dataset.json itself cannot be used
            found.append(bad)
            total += bad.of if not isinstance(error, BadCases) else 0
    if found:
        lines = [line for bad in found for line in bad.lines]
        raise BadCases(lines, total, bad=sum(bad.bad for bad in found))


MODEL = "configs/inference.yaml"


def settle() -> bool:
    """Report a user's mistakes in one line, refuse unknown keys and convert the values, before any is resolved.

    With ``--help`` the keys of the command are shown, and nothing is run.

    Returns:
        Whether a value changed.

    Raises:
        ValueError: a key that no configuration declares, a value that does not have the type or range of its
            key, an overlay that another file undoes, or a name from the data that would be an expression.
    """
    errors.install()
    errors.on_interrupt(lambda: "stopped; give the same command again")
    config = running_config()
    command = command_of(config, running_run_id())
    options = typed_options(command_line())
    configs = bundle_folder(options.get("bundle_root") or config.get("bundle_root", ".")) / "configs"
    if command in TOOLS:
        configs = BUNDLE / "configs"  # bundle_root may be the folder to be reported
    if options.keys() & {"help", "h"}:
        print(help_text(configs, command))
        raise SystemExit
    root = options.get("bundle_root")
    if root and command not in TOOLS and not Path(root).is_dir():
        raise ValueError(f"--bundle_root must be the folder of a bundle or of its results, found {root!r}; correct it")
    check_order(config_files())
    check_keys(config, known_keys(configs, command), running_run_id())
    check_command(options, config, configs, command, config_files())
    changed = settle_types(configs, command)
    check_values(running_config())
    check_from_data(running_config(), "the configuration")
    return changed


def start(bundle_root: str | Path, dataset_dir: str | Path | None, seed: int) -> None:
    """Prepare a run: one-line errors, known keys, one seed, and the phantom if it is the dataset.

    Args:
        bundle_root: folder of the bundle.
        dataset_dir: folder of the dataset; ``data/phantom`` is created on first use (not if the bundle is only
            loaded from another folder). None: no data are read.
        seed: the experiment's seed.

    Raises:
        ValueError: a key that no configuration declares, or a value that does not have the type of its key.
    """
    warnings.filterwarnings("ignore", category=FutureWarning)
    parser = running_parser()
    if settle() and parser is not None:  # MONAI had resolved these with the wrong types
        bundle_root, seed = (parser.get_parsed_content(key) for key in ("bundle_root", "seed"))
        dataset_dir = dataset_dir and parser.get_parsed_content("dataset_dir")
    declared = declared_keys(command_of(running_config(), running_run_id()))
    for key, value in (("bundle_root", bundle_root), ("dataset_dir", dataset_dir), ("seed", seed)):
        if value is not None:  # may be the result of an expression
            check_range(key, value, declared[key].kind)
    bundle = bundle_folder(bundle_root)
    warn_of_stale_twins(bundle / "configs")
    logging.getLogger("ignite").setLevel(logging.CRITICAL)  # it would print every error a second time
    set_determinism(seed)
    if dataset_dir and bundle == Path(bundle_root).resolve() and served_lists(running_config()) is None:
        lacking = is_first_process() and not (Path(dataset_dir) / "dataset.json").is_file()  # else nothing is imported
        if lacking and (phantom := from_workbench("prepare.phantom.dataset")):
            phantom.ensure_phantom(dataset_dir)
        wait_for_all()


def finish(output_dir: str | Path) -> None:
    """Copy the metrics into the metadata of a trained bundle; print where the results are and how to use it."""
    if not is_first_process():
        return
    record_metrics(output_dir)
    finish_output(output_dir)
    folder = Path(output_dir)
    print(f"\nresults: {folder.resolve()}")
    if (folder / "models" / "model.pt").is_file() and (folder / "configs" / "inference.yaml").is_file():
        note = place_note(output_dir)
        print((f"note: {note}\n" if note else "") + "\nnext, for new cases:")
        place, model = (shlex.quote(from_here(part.resolve())) for part in (folder, folder / MODEL))
        command = f"python -m monai.bundle run inferring --config_file {model} --bundle_root {place}"
        reads_table = yaml.safe_load((folder / MODEL).read_text(encoding="utf-8")).get("clinical")
        print(f"  {command} --dataset_dir FOLDER{' --clinical_table FILE.csv' if reads_table else ''}")


def begin_training(output_dir: str | Path) -> None:
    """Keep freed memory (see `keep_freed_memory`), and take the folder of a training (see `check_output`)."""
    keep_freed_memory()
    check_output(output_dir)


def end_training(output_dir: str | Path) -> None:
    """Say where the results are (see `finish`), and record that this user trained them (see `record`)."""
    finish(output_dir)
    record(output_dir)
