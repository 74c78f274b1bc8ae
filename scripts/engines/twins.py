# SPDX-License-Identifier: Apache-2.0
"""Files generated from `train.yaml`: `inference.yaml`, JSON twins (which servers prefer), comments, docs/keys.md."""

from __future__ import annotations

import argparse
import json
import logging
import re
from pathlib import Path
from typing import Any

from scripts.engines.metadata import metadata
from scripts.files.atomic import write_text
from scripts.files.plain_text import check_from_data
from scripts.files.yaml_files import read_yaml
from scripts.keys.check import page, with_comments
from scripts.keys.declared import FILES

logger = logging.getLogger(__name__)

TWINS = ("train", "inference")
# Keys of inference.yaml that are its own; it shares all others with train.yaml, with the same values.
INFERENCE_KEYS = frozenset(
    [
        "imports",
        "bundle_root",
        "dataset_dir",
        "output_dir",
        "model_file",
        "network",
        "config",
        "initialize",
        "run",
        "inferring",
        "deep_supervision",
    ]
)


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=4) + "\n"


def stale_twins(configs: Path) -> list[str]:
    """Return the names of the JSON files that differ from their YAML."""
    stale = []
    for name in TWINS:
        yaml_file, json_file = configs / f"{name}.yaml", configs / f"{name}.json"
        both = yaml_file.is_file() and json_file.is_file()
        if both and json.loads(json_file.read_text(encoding="utf-8")) != read_yaml(yaml_file):
            stale.append(json_file.name)
    return stale


def warn_of_stale_twins(configs: Path) -> None:
    """Log one line when a JSON twin differs from its YAML."""
    stale = stale_twins(configs)
    if stale:
        logger.warning(
            "%s in %s differ from their YAML, and MONAI Label reads the JSON: run `python -m scripts.engines.twins %s`",
            " and ".join(stale),
            configs,
            configs,
        )


def write_twins(configs: Path) -> None:
    """Write everything that is generated from the YAML files and the declared keys, see `scripts.keys`.

    These are the JSON twins, the comments of the YAML files, ``docs/keys.md``, and the fields of
    ``metadata.json`` that come from ``train.yaml``.

    Raises:
        ValueError: a text that came from data would be an expression or a reference.
    """
    for name in TWINS:
        content = read_yaml(configs / f"{name}.yaml")
        check_from_data(content, f"{name}.yaml")
        write_text(configs / f"{name}.json", _json(content))
    for name in FILES:
        text = (configs / name).read_text(encoding="utf-8") if (configs / name).is_file() else ""
        if (commented := with_comments(text, name)) != text:
            write_text(configs / name, commented)
    if (docs := configs.parent / "docs" / "keys.md").is_file():
        write_text(docs, page(configs))
    file = configs / "metadata.json"
    base = json.loads(file.read_text(encoding="utf-8"))
    write_text(file, _json(metadata(base, read_yaml(configs / "train.yaml"))))


MARK = "# Every key that train.yaml has, too, and the steps of `preprocessing` are written by `make twins`."
"""A file with this line is kept up to date; the configurations of results folders are written as a whole."""
OF_TRAINING = ("ReadLabeld", "SelectItemsd")
"""Steps of training alone: a case to be predicted has no label, and keeps its geometry."""
_KEY = re.compile(r"^(?P<key>\w+):.*\n(?:[ -].*\n)*", re.MULTILINE)
_STEPS = re.compile(
    r"^ *preprocessing:(?:  #.*)?\n *_target_: Compose\n *transforms:\n(?P<steps>(?: *- .*\n)+)", re.MULTILINE
)


def shared_from(train: str, inference: str) -> str:
    """Return the text of `inference.yaml` with the keys that it shares with `train.yaml` copied from there.

    The last step of its own `preprocessing` is kept.

    Raises:
        ValueError: a `preprocessing` is not a list of steps, one per line.

    >>> steps = "preprocessing:\\n  _target_: Compose\\n  transforms:\\n"
    >>> own = "# own\\nseed: 0\\n" + steps + "  - a\\n  - c\\n"
    >>> print(shared_from("seed: 1  # new\\n" + steps + "  - b\\n", own))
    # own
    seed: 1  # new
    preprocessing:
      _target_: Compose
      transforms:
      - b
      - c
    <BLANKLINE>
    """
    given = {found["key"]: found[0] for found in _KEY.finditer(train)}

    def shared(found: re.Match[str]) -> str:
        key = found["key"]
        return given[key] if key in given and key not in {*INFERENCE_KEYS, "preprocessing"} else found[0]

    training, own = _STEPS.search(train), _STEPS.search(inference)
    if not training or not own:
        raise ValueError("`preprocessing` must be a Compose of steps, one per line, in train.yaml and inference.yaml")
    steps = [line for line in training["steps"].splitlines() if not any(name in line for name in OF_TRAINING)]
    text = "".join(f"  {line.strip()}\n" for line in steps) + own["steps"].splitlines(keepends=True)[-1]
    return _KEY.sub(shared, inference[: own.start("steps")] + text + inference[own.end("steps") :])


def write_inference(configs: Path) -> None:
    """Update the keys that `inference.yaml` shares with `train.yaml`, if it contains the line `MARK`."""
    train, inference = ((configs / name).read_text(encoding="utf-8") for name in ("train.yaml", "inference.yaml"))
    if MARK in inference and (text := shared_from(train, inference)) != inference:
        write_text(configs / "inference.yaml", text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Regenerate the JSON twins of a bundle's YAML files.")
    parser.add_argument("configs", nargs="?", type=Path, default=Path("configs"), help="the bundle's configs folder")
    configs = parser.parse_args().configs
    write_inference(configs)
    write_twins(configs)
