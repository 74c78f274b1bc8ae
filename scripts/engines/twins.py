"""JSON twins of the YAML files, which MONAI Label and `monai.bundle.load` read first."""

from __future__ import annotations

import json
import logging
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
            "%s in %s differ from their YAML, and MONAI Label reads the JSON: "
            "run `python -m scripts.engines.write_twins %s`",
            " and ".join(stale),
            configs,
            configs,
        )


def write_twins(configs: Path) -> None:
    """Write what follows from the YAML files and the declared keys, see `scripts.keys`.

    These are the JSON twins, the comments of the YAML files, ``docs/keys.md``, and what ``metadata.json`` has
    of ``train.yaml``.

    Raises:
        ValueError: something that came from data would be an expression or a reference.
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
