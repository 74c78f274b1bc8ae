"""The sections of `inference.yaml` that a training decides: they are those of `train.yaml`, word by word."""

from __future__ import annotations

import re
from pathlib import Path

from scripts.engines.results import INFERENCE_KEYS
from scripts.files.atomic import write_text

MARK = "# Every key that train.yaml has, too, and the steps of `preprocessing` are written by `make twins`."
"""A file with this line is kept up to date; results folders have their configurations written as a whole."""
OF_TRAINING = ("ReadLabeld", "SelectItemsd")
"""Steps of a training alone: a case to be predicted has no label, and keeps its geometry."""
_KEY = re.compile(r"^(?P<key>\w+):.*\n(?:[ -].*\n)*", re.MULTILINE)
_STEPS = re.compile(
    r"^ *preprocessing:\n *_target_: Compose\n *transforms:\n(?P<steps>(?: *- .*\n)+)", re.MULTILINE
)


def shared_from(train: str, inference: str) -> str:
    """Return the text of `inference.yaml` with what it shares with that of `train.yaml`.

    The last step of its own `preprocessing` stays.

    Raises:
        ValueError: a `preprocessing` is no list of steps, one per line.

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
        raise ValueError(
            "`preprocessing` must be a Compose of steps, one per line, in train.yaml and inference.yaml"
        )
    steps = [line for line in training["steps"].splitlines() if not any(name in line for name in OF_TRAINING)]
    text = "".join(f"  {line.strip()}\n" for line in steps) + own["steps"].splitlines(keepends=True)[-1]
    return _KEY.sub(shared, inference[: own.start("steps")] + text + inference[own.end("steps") :])


def write_inference(configs: Path) -> None:
    """Write what `inference.yaml` shares with `train.yaml`, where its text asks for it by `MARK`."""
    train, inference = (
        (configs / name).read_text(encoding="utf-8") for name in ("train.yaml", "inference.yaml")
    )
    if MARK in inference and (text := shared_from(train, inference)) != inference:
        write_text(configs / "inference.yaml", text)
