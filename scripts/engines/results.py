# SPDX-License-Identifier: Apache-2.0
"""The results folder: every training writes a complete small bundle."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from ignite.engine import Engine, Events
from monai.bundle import ConfigParser
from scripts import BUNDLE
from scripts.engines.environment import environment
from scripts.engines.metadata import own_metadata
from scripts.engines.running import bundle_folder
from scripts.engines.served import case_options, served_lists, without_data
from scripts.engines.twins import INFERENCE_KEYS, write_twins
from scripts.files.atomic import copy_atomically, remove_partial, write_text
from scripts.files.plain_text import check_from_data, literal
from scripts.files.processes import is_first_process, process_count
from scripts.files.yaml_files import read_yaml
from scripts.volumes.fingerprint import content_hash

_COMMENT = re.compile(r"^(\w+):.*?\s#\s(.*)$")
COPIED = ("evaluate.yaml", "logging.conf")
"""Configuration files of the bundle that are copied unchanged into every results folder."""


def _comments(file: Path) -> dict[str, str]:
    matches = map(_COMMENT.match, file.read_text(encoding="utf-8").splitlines())
    return {match[1]: match[2] for match in matches if match}


def write_yaml(file: Path, config: dict[str, Any], documented: Sequence[Path], title: str) -> None:
    """Write a configuration with the comments that its keys have in the files it came from, if they are there.

    Raises:
        ValueError: a text that came from data would be an expression or a reference.
    """
    check_from_data(config, file.name)
    comments = {key: text for one in documented if one.is_file() for key, text in _comments(one).items()}
    lines = [f"# {title}", ""]
    for key, value in config.items():
        if key in comments:
            lines.append(f"# {comments[key]}")
        flow = None if isinstance(value, (dict, list)) else False
        text = yaml.safe_dump({key: value}, sort_keys=False, width=110, default_flow_style=flow, allow_unicode=True)
        lines.append(text.rstrip())
    write_text(file, "\n".join(lines) + "\n")


def _referred(part: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of a configuration that a part of it refers to."""
    text = json.dumps(part)
    return {key: value for key, value in config.items() if re.search(rf"@{key}\b", text)}


def write_bundle(folder: Path, config: dict[str, Any], source: Path) -> None:
    """Write everything but the weights and results of a trained bundle.

    Args:
        folder: results folder.
        config: merged configuration of the training.
        source: the bundle that trains, from which configurations, package and licence are copied.
    """
    configs = folder / "configs"
    configs.mkdir(parents=True, exist_ok=True)
    documented = source / "configs" / "train.yaml"
    general = read_yaml(documented)
    trained = config | {
        "bundle_root": ".",
        "dataset_dir": literal(str(Path(config["dataset_dir"]).resolve())),
        "output_dir": general["output_dir"],  # training again must not overwrite this folder
    }
    lists = served_lists(config)
    if lists is not None:  # nor may it train on a server's cases, which are kept in a file of their own
        trained |= {key: without_data(trained[key], general[key]) for key in ("train", "validate")}
        text = json.dumps(lists, indent=2, default=str)
        write_text(folder / "server_cases.json", text + "\n")
    overlays = [source / "configs" / name for name in ("segment.yaml", "outline.yaml")]
    if "segmenting" not in config or not all(file.is_file() for file in overlays):  # a results folder has them merged
        overlays = []
    write_yaml(configs / "train.yaml", trained, [documented, *overlays[:1]], "Resolved training configuration")
    files = [source / "configs" / "inference.yaml", *overlays[1:]]
    inference = ConfigParser.load_config_files(files) if overlays else read_yaml(files[0])
    shared = {key: trained[key] for key in inference if key in trained and key not in INFERENCE_KEYS}
    while more := _referred(shared, trained).keys() - shared.keys() - inference.keys():
        shared |= {key: trained[key] for key in trained if key in more}
    head = {key: inference.pop(key) for key in ("imports", "bundle_root", "dataset_dir", "output_dir")}
    head["dataset_dir"] = trained["dataset_dir"]
    inference["displayable_configs"] = case_options(trained)
    own = {key: value for key, value in inference.items() if key not in shared}
    title = "Inference with the model trained here"
    write_yaml(configs / "inference.yaml", head | shared | own, files, title)
    for name in COPIED:
        copy_atomically(source / "configs" / name, configs / name)
    meta = json.loads((source / "configs" / "metadata.json").read_text(encoding="utf-8"))
    write_text(configs / "metadata.json", json.dumps(own_metadata(meta, trained)))
    write_twins(configs)
    package = BUNDLE / "scripts"
    if package != (folder / "scripts").resolve():
        for file in sorted(package.rglob("*")):  # not by copytree, which hides that the disk is full
            if file.is_file() and "__pycache__" not in file.parts:
                copy_atomically(file, folder / "scripts" / file.relative_to(package))
    if (source / "LICENSE").is_file():
        copy_atomically(source / "LICENSE", folder / "LICENSE")


class ResultsFolder:
    """Creates the results folder when training starts, after all data have been read and checked.

    Args:
        output_dir: results folder.
        bundle_root: the bundle that trains.
        config: merged configuration.
        dataset_dir: folder of ``dataset.json``, whose hash is recorded.
        seed: the experiment's seed.
    """

    def __init__(
        self,
        output_dir: str | Path,
        bundle_root: str | Path,
        config: dict[str, Any],
        dataset_dir: str | Path,
        seed: int,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.bundle_root = bundle_folder(bundle_root)
        self.config = config | {"dataset_dir": str(dataset_dir)}
        self.dataset_file = Path(dataset_dir) / "dataset.json"
        self.seed = seed

    def attach(self, engine: Engine) -> None:
        """Write the folder at the start of training; of several processes only the first does."""
        if is_first_process():
            engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Any) -> None:
        """Write configurations, package, metadata and environment; remove half-written files of a killed run."""
        remove_partial(self.output_dir)
        write_bundle(self.output_dir, self.config, self.bundle_root)
        record = {"seed": self.seed, "processes": process_count(), **environment(engine.state.device)}
        if self.dataset_file.is_file():
            record["dataset_sha256"] = content_hash(self.dataset_file)
        write_text(self.output_dir / "environment.json", json.dumps(record, indent=2) + "\n")
