"""Where a training leaves its results: a folder of its own, or that of the training it goes on with."""

from __future__ import annotations

import atexit
import re
from pathlib import Path

from scripts.files.atomic import remove_empty
from scripts.files.processes import from_first_process, is_first_process
from scripts.keys.kinds import is_folder_name

_made: set[Path] = set()
_notes: dict[str, str] = {}


def results_folder(bundle_root: str | Path, name: str, resume: bool = False) -> str:
    """Return the folder of a training: ``results/<name>``, or the next free ``results/<name>_2``, ``_3``, ...

    An earlier training is never overwritten. The folder is made here, so that of two trainings that start
    together each has its own; it goes again with the process if nothing was written into it. With `resume`
    it is the newest that was interrupted, else the newest.
    """
    check_name(name)
    chosen = str(_choose(Path(bundle_root) / "results", name, resume)) if is_first_process() else ""
    return from_first_process(chosen)


def check_name(name: str) -> None:
    r"""Refuse a name of a training or comparison that is no name of a folder below ``results``.

    Raises:
        ValueError: nothing, a line break, or a way out of the folder.

    >>> check_name("liver/2024-01-01")
    >>> check_name("..")
    Traceback (most recent call last):
    ValueError: name must be the name of a folder below results, found '..'; give another --name
    """
    if not is_folder_name(name):
        raise ValueError(
            f"name must be the name of a folder below results, found {name!r}; give another --name"
        )


def place_note(folder: str | Path) -> str | None:
    """Return what there is to say about a folder at the end: that it is not the one of its name."""
    return _notes.get(str(folder))


def earlier_folders(parent: Path, name: str) -> list[Path]:
    """Return the folders of trainings of this name, oldest first."""
    numbers = {parent / name: 1}
    pattern = re.compile(re.escape(Path(name).name) + r"_([2-9]|[1-9]\d+)")
    for folder in (parent / name).parent.glob("*"):
        match = pattern.fullmatch(folder.name)
        if match:
            numbers[folder] = int(match[1])
    return sorted((folder for folder in numbers if folder.is_dir()), key=numbers.__getitem__)


def is_interrupted(folder: Path) -> bool:
    """Say whether a training has finished an epoch, but not its last step, which is `finish`."""
    state, last = folder / "models" / "last.pt", folder / "configs" / "metadata.json"
    return state.is_file() and not (last.is_file() and last.stat().st_mtime >= state.stat().st_mtime)


def _choose(parent: Path, name: str, resume: bool) -> Path:
    earlier = earlier_folders(parent, name)
    if resume and earlier:
        interrupted = [folder for folder in earlier if is_interrupted(folder)]
        chosen = (interrupted or earlier)[-1]
        if chosen != earlier[-1] or len(earlier) > 1:
            state = "the training that was interrupted" if interrupted else "the newest training of this name"
            _say(chosen, f"{chosen}: goes on with {state}")
        return chosen
    number = 1
    while True:
        folder = parent / (name if number == 1 else f"{name}_{number}")
        if folder in _made and folder.is_dir() and not any(folder.iterdir()):
            return folder  # asked again by the same run
        new = [part for part in (folder, *folder.parents) if not part.exists()]
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
            continue
        except OSError:  # which is told, with what to do, before any long work (`check_output`)
            return folder
        _made.add(folder)
        atexit.register(remove_empty, new)
        if number > 1:
            _say(folder, f"{parent / name} is there already: this training goes to {folder}")
        return folder


def _say(folder: Path, note: str) -> None:
    _notes[str(folder)] = note
    print(note, flush=True)
