# SPDX-License-Identifier: Apache-2.0
"""The results folder of a run, and whether the run may use it: no results are ever mixed or lost."""

from __future__ import annotations

import atexit
import re
import tempfile
import weakref
from pathlib import Path
from typing import Any

from scripts.engines.running import bundle_folder, running_parser, running_run_id
from scripts.files.atomic import remove_empty
from scripts.files.processes import from_first_process, is_first_process, wait_for_all
from scripts.files.run_folder import (
    Check,
    bring_back,
    contents,
    forget_earlier,
    is_taken,
    record_of,
    refuse_bundle,
    release_folder,
    set_aside,
    take_folder,
)
from scripts.keys.kinds import is_folder_name
from scripts.volumes.fingerprint import content_hash

_made: set[Path] = set()
_notes: dict[str, str] = {}


def results_folder(bundle_root: str | Path, name: str, resume: bool = False) -> str:
    """Return the folder of a training: ``results/<name>``, or the next free ``results/<name>_2``, ``_3``, ...

    An earlier training is never overwritten. The folder is made here, so that two trainings that start at the
    same time get different ones; if nothing was written into it, it is removed when the process ends. With
    `resume` it is the newest interrupted training of this name, else the newest.
    """
    check_name(name)
    chosen = str(_choose(Path(bundle_root) / "results", name, resume)) if is_first_process() else ""
    return from_first_process(chosen)


def check_name(name: str) -> None:
    r"""Refuse a name of a training or comparison that cannot name a folder below ``results``.

    Raises:
        ValueError: an empty name, a line break, or a path that leaves the folder.

    >>> check_name("liver/2024-01-01")
    >>> check_name("..")
    Traceback (most recent call last):
    ValueError: name must be the name of a folder below results, found '..'; give another --name
    """
    if not is_folder_name(name):
        raise ValueError(f"name must be the name of a folder below results, found {name!r}; give another --name")


def place_note(folder: str | Path) -> str | None:
    """Return the note to repeat when the run ends, if the folder's name is not the one that was asked for."""
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
    """Return whether a training has finished an epoch but not its last step, `finish`."""
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
            return folder  # the same run asks again
        new = [part for part in (folder, *folder.parents) if not part.exists()]
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
            continue
        except OSError:  # `check_output` reports it, with what to do, before any long work
            return folder
        _made.add(folder)
        atexit.register(remove_empty, new)
        if number > 1:
            _say(folder, f"{parent / name} is there already: this training goes to {folder}")
        return folder


def _say(folder: Path, note: str) -> None:
    _notes[str(folder)] = note
    print(note, flush=True)


READERS = ("inferring", "evaluating", "explaining")
"""Commands that read a trained model and write results of their own."""

_runs: dict[Path, int] = {}


def check_output(folder: str | Path) -> None:
    """Take the results folder for the running command, before any long work.

    A training takes a new or empty folder, or that of the training it resumes. Results of `inferring` and
    `evaluating` are replaced by those of the same command: they are set aside, and restored if the run fails.
    `explaining` adds folders of cases to those of the same model.

    Raises:
        PermissionError: naming the folder that must be writable.
        ValueError: the folder holds something else, or another run is writing there.
    """
    if is_first_process():
        _check_writable(folder)
        parser, command = running_parser(), running_run_id()
        if parser is not None:
            place, root = Path(folder).resolve(), bundle_folder(parser.get_parsed_content("bundle_root"))
            if command in READERS:
                _take_for_results(place, root, command, str(parser.get_parsed_content("model_file")))
            else:
                _take_for_training(place, root, bool(parser.get_parsed_content("resume", default=False)))
            _runs[place] = _runs.get(place, 0) + 1
            atexit.register(end_runs)
            weakref.finalize(parser, give_up, place, _runs[place])  # in a process that goes on
    wait_for_all()


def _take_for_training(folder: Path, bundle_root: Path, resume: bool) -> None:
    refuse_bundle(folder, bundle_root, training=True)

    def check(record: dict[str, Any]) -> None:
        found = contents(folder)
        is_training = _is_training(folder) or record.get("command") == "training"
        if found and not (resume and is_training):
            what = "or --resume true to go on with its training" if is_training else "there is no training in it"
            raise ValueError(
                f"{folder} must be a new or empty folder, found {_listed(found)} in it; give another "
                f"--output_dir, {what}"
            )

    _take_checked(folder, "training", check)


def _is_training(folder: Path) -> bool:
    return (folder / "configs" / "train.yaml").is_file()


def _take_for_results(folder: Path, bundle_root: Path, command: str, model_file: str) -> None:
    if is_taken(folder) and record_of(folder).get("command") == "training":
        return  # a federated client evaluates where it trains
    refuse_bundle(folder, bundle_root)
    facts = {}
    if command == "explaining" and Path(model_file).is_file():
        facts = {"model": content_hash(model_file)}

    def check(record: dict[str, Any]) -> None:
        ours, found = record.get("command") == command, contents(folder)
        foreign = [path for path in found if not ours or path.name not in record.get("files", path.name)]
        if foreign:
            raise ValueError(
                f"{folder} must be a new or empty folder or hold results of {command} alone, found "
                f"{_listed(foreign)} in it; give another --output_dir"
            )
        if facts and found and record.get("model") != facts["model"]:
            raise ValueError(
                f"{folder} must hold explanations of one model, found those of another than {model_file}; "
                "give another --output_dir"
            )

    _take_checked(folder, command, check, **facts)
    if command != "explaining" and set_aside(folder):
        print(f"{folder} holds earlier results of {command}; the new ones replace them once they are complete")


def _take_checked(folder: Path, command: str, check: Check, **facts: str) -> None:
    """Take a folder that passes a check; it is checked before anything is written, and again once it is taken."""
    if not is_taken(folder):
        check(record_of(folder))
    take_folder(folder, command, check, **facts)


def finish_output(folder: str | Path) -> None:
    """Remove the earlier results, since the new ones are complete; a training releases its folder."""
    place = Path(folder).resolve()
    if is_taken(place):
        forget_earlier(place)
        if record_of(place).get("command") not in READERS:  # those may still add what they could not read
            release_folder(place)


def give_up(folder: Path, run: int) -> None:
    """Release the results folder of a command that ended; if it failed, restore what it had set aside.

    Args:
        folder: the results folder.
        run: number of the run; nothing happens if a later run has taken the folder.
    """
    if is_taken(folder) and _runs[folder] == run:
        command = record_of(folder).get("command")
        if command in ("inferring", "evaluating"):
            bring_back(folder)
        tells = _is_training(folder)  # its files tell what it is, without the record
        release_folder(folder, keep=bool(contents(folder)) and not tells)


def end_runs() -> None:
    """Release every results folder, as at the end of the process."""
    for folder, run in _runs.items():
        give_up(folder, run)


def _listed(found: list[Path]) -> str:
    names = [path.name for path in found]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _check_writable(folder: str | Path) -> None:
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
