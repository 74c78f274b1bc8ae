# SPDX-License-Identifier: Apache-2.0
"""A folder that one run at a time writes into; the file ``.run`` in it names the command, process and host."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from scripts.files.atomic import PARTIAL, check_writable, remove_empty, remove_partial

RECORD = ".run"
"""Name of that file. It is locked while the run works, and stays behind if the run is killed."""

OF_BUNDLES = ("configs", "models", "scripts")
"""Folders of a bundle into which no run writes."""
OF_A_RUN = ("process", "host")
"""Entries that the file has only while a run works."""
EARLIER, MOVING = ".earlier", ".earlier-moving"
"""Folder of results that are set aside, and the one that holds them while they are moved there or back."""

Check = Callable[[dict[str, Any]], None]
_taken: dict[Path, tuple[int, list[Path], dict[str, Any]]] = {}


def take_folder(folder: str | Path, command: str, check: Check | None = None, **facts: str) -> None:
    """Hold a folder, created if missing, until `release_folder`.

    The operating system locks the file and knows whether its process lives. What a killed run left
    half-written is removed. A second call by the same process does nothing. Without file locks, no run is kept out.

    Args:
        folder: the folder.
        command: what the run is called, e.g. training.
        check: called with the content of the file once no other run can write there; if it raises, the
            folder is released unchanged.
        facts: further entries of the file.

    Raises:
        ValueError: another run writes there, or one on another host may still do so.
    """
    place = Path(folder).resolve()
    if place in _taken:
        return
    made = [path for path in (place, *place.parents) if not path.exists()]
    stream = _locked(place)
    before = _read(stream)
    mine = {"command": command, **facts, "process": os.getpid(), "host": socket.gethostname()}
    try:
        if before.get("host", mine["host"]) != mine["host"]:
            raise _in_use(place, before, f"if it no longer runs, remove {place / RECORD}, else ")
        if check is not None:
            check(before)
    except BaseException:
        _give_back(stream, place, made, remove=not before)
        raise
    if "process" in before:
        print(f"{folder}: {_named(before)} was killed; this run takes the folder over", flush=True)
    with suppress(OSError):  # disk full: the next write reports it, and the lock holds even without this text
        _write(stream, mine)
    _taken[place] = stream, made, mine
    remove_partial(place)


def release_folder(folder: str | Path, keep: bool = False) -> None:
    """Release a folder that this process holds; it is removed if it is empty and was created for the run.

    Args:
        folder: the folder.
        keep: leave the file behind, to say which command's results the folder holds.
    """
    place = Path(folder).resolve()
    if place not in _taken:
        return
    remove_partial(place)  # left by stopped worker processes
    stream, made, record = _taken.pop(place)
    if keep:
        record = {key: value for key, value in record.items() if key not in OF_A_RUN}
        with suppress(OSError):
            _write(stream, record | {"files": [path.name for path in contents(place)]})
    _give_back(stream, place, made, remove=not keep)


def _give_back(stream: int, place: Path, made: list[Path], remove: bool) -> None:
    with suppress(OSError):
        if remove:
            (place / RECORD).unlink()
    os.close(stream)
    remove_empty(made)


@contextmanager
def run_in(folder: str | Path, command: str, check: Check | None = None) -> Iterator[None]:
    """Hold a folder inside the block (see `take_folder`); if the run is stopped, its file stays behind."""
    take_folder(folder, command, check)
    try:
        yield
    except (KeyboardInterrupt, SystemExit):  # a signal raises SystemExit
        release_folder(folder, keep=bool(contents(folder)))
        raise
    except BaseException:
        release_folder(folder)
        raise
    release_folder(folder)


def keep_through_exec(folder: str | Path) -> None:
    """Let the program that replaces this process by exec hold the folder until it ends."""
    os.set_inheritable(_taken[Path(folder).resolve()][0], True)


def is_taken(folder: str | Path) -> bool:
    """Return whether this process holds the folder."""
    return Path(folder).resolve() in _taken


def record_of(folder: str | Path) -> dict[str, Any]:
    """Return the content of a folder's run file (its command and more), {} if there is none."""
    place = Path(folder).resolve()
    if place in _taken:  # opening and closing the file here would release its lock
        return _taken[place][2]
    try:
        found = json.loads((place / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def at_work(folder: str | Path) -> str:
    """Name the run of another process that works in a folder or was killed there; empty if there is none."""
    record = record_of(folder)
    return _named(record) if "process" in record and not is_taken(folder) else ""


def contents(folder: str | Path) -> list[Path]:
    """Return what a folder holds, except its run file and unfinished files."""
    try:
        found = sorted(Path(folder).iterdir())
    except FileNotFoundError:
        return []
    return [path for path in found if path.name != RECORD and not path.name.startswith(PARTIAL)]


def set_aside(folder: Path) -> bool:
    """Set the results in a folder aside and return whether there were any; results of a killed run are removed.

    Which results are complete is clear at every moment: those in `EARLIER` if it exists, otherwise the others.
    """
    bring_back(folder)
    found = contents(folder)
    if found:
        (folder / MOVING).mkdir()
        for path in found:
            path.rename(folder / MOVING / path.name)
        (folder / MOVING).rename(folder / EARLIER)
    return bool(found)


def bring_back(folder: Path) -> None:
    """Put back what was set aside in a folder, replacing whatever has been written since."""
    if (folder / EARLIER).exists():
        for path in (path for path in contents(folder) if path.name != EARLIER):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        (folder / EARLIER).rename(folder / MOVING)
    if (folder / MOVING).exists():
        for path in (folder / MOVING).iterdir():
            path.rename(folder / path.name)
        (folder / MOVING).rmdir()


def forget_earlier(folder: Path) -> None:
    """Remove what was set aside in a folder, now that the new results are complete."""
    if (folder / EARLIER).exists():
        old = (folder / EARLIER).rename(folder / f"{PARTIAL}earlier")  # from here on it is never brought back
        shutil.rmtree(old, ignore_errors=True)


def typed_folder(text: str) -> Path:
    """Parse a folder given as an option of `argparse`; an empty one is refused."""
    if not text:
        raise argparse.ArgumentTypeError("it must be a path, found ''; correct it")
    return Path(text)


def refuse_bundle(folder: str | Path, bundle_root: str | Path | None = None, training: bool = False) -> None:
    """Refuse to write results into a bundle's own folder or its configs, models or scripts.

    Args:
        folder: the results folder.
        bundle_root: the running bundle.
        training: allow the folder of another bundle, which may be the results folder of a training to resume.

    Raises:
        ValueError: the folder belongs to a bundle; the message names it.
    """
    place = Path(folder).resolve()
    for root in (place, *place.parents):
        below = place.relative_to(root).parts
        mine = bundle_root is not None and root == Path(bundle_root).resolve()
        is_bundle = mine or (root / "configs" / "metadata.json").is_file()
        if is_bundle and (below[0] in OF_BUNDLES if below else mine or not training):
            raise ValueError(
                f"results folder {place} must not be part of a bundle, found that of {root}; choose another"
            )


def _locked(place: Path) -> int:
    """Create the folder if missing, then open and lock its run file."""
    file = place / RECORD
    while True:
        check_writable(place)
        try:
            stream = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:  # the run that made the folder has just ended and removed it
            continue
        try:
            import fcntl

            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(stream), os.stat(file)):
                return stream
        except ImportError:  # a system without such locks, e.g. Windows
            return stream
        except FileNotFoundError:  # the run that held it has just ended
            pass
        except (BlockingIOError, PermissionError):
            end = time.monotonic() + 1.0
            while "process" not in (before := _read(stream)) and time.monotonic() < end:
                time.sleep(0.02)  # the other run has the lock but has not written its entry yet
            os.close(stream)
            raise _in_use(place, before) from None
        except OSError:  # a file system without locks
            return stream
        os.close(stream)


def _read(stream: int) -> dict[str, Any]:
    os.lseek(stream, 0, os.SEEK_SET)
    try:
        found = json.loads(os.read(stream, 1 << 20))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _write(stream: int, content: dict[str, Any]) -> None:
    text = json.dumps(content).encode()
    os.lseek(stream, 0, os.SEEK_SET)
    os.write(stream, text)
    os.ftruncate(stream, len(text))


def _named(record: dict[str, Any]) -> str:
    if "process" not in record:
        return "a run that has just begun"
    return f"{record.get('command')} (process {record['process']} on {record.get('host')})"


def _in_use(place: Path, record: dict[str, Any], more: str = "") -> ValueError:
    return ValueError(
        f"{place} must be written by one run at a time, found {_named(record)} at work there; {more}wait "
        "for its end, or give another folder"
    )
