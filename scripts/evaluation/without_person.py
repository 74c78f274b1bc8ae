"""Records and pages that name neither the user nor the machine."""

from __future__ import annotations

import getpass
import re
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

BUNDLE = Path(__file__).resolve().parents[2]
"""The bundle, or results folder, that runs."""


START, END = r"(?<![\w.~-])", r"(?![\w-]|\.\w)"
"""Where a path begins, and where the name of a folder ends."""


def without_person(value: Any) -> Any:
    """Return a text, or all texts of lists and mappings, without home folder, user and host.

    Beside what `without_home` does, ``user`` stands for any other folder of the user's name, and ``host`` for
    the machine in an address.
    """
    if isinstance(value, dict):
        return {key: without_person(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(without_person(item) for item in value)
    if not isinstance(value, str):
        return value
    text = without_home(value)
    with suppress(OSError, KeyError):  # a user without a name
        text = re.sub(rf"(?<=[/\\]){re.escape(getpass.getuser())}(?=[/\\])", "user", text)
    host = re.escape(socket.gethostname())
    return re.sub(rf"(?<=//){host}(?=[.:/])|(?<![\w./-]){host}(?=:\d)", "host", text)


def without_home(text: str, bundle: Path = BUNDLE) -> str:
    """Return a text with paths below a bundle relative to it, and ``~`` in the place of the home folder.

    >>> without_home(f"['{BUNDLE}/configs/train.yaml'] {Path.home()}/liver")
    "['configs/train.yaml'] ~/liver"
    """
    if bundle != Path(bundle.anchor):
        root = START + re.escape(str(bundle))
        text = re.sub(rf"{root}{END}(?![/\\]\w)", ".", re.sub(rf"{root}[/\\](?=[\w.])", "", text))
    with suppress(RuntimeError):  # a user without a home
        for home in sorted({Path.home(), Path.home().resolve()}):
            if home != Path(home.anchor):
                text = re.sub(rf"{START}{re.escape(str(home))}{END}", "~", text)
    return text
