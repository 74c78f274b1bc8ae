# SPDX-License-Identifier: Apache-2.0
"""Files that are either complete or absent: written to a temporary file alongside, then moved into place."""

from __future__ import annotations

import csv
import errno
import os
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from scripts.files.csv_text import as_cell

PARTIAL = ".part-"
"""How the name of an unfinished file begins; one left behind by a killed process is worthless."""
FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota of this user is used up",
    errno.EFBIG: "it would be larger than files may be here",
}
"""Error number -> why there is no room for a file."""
SHARED_MEMORY = Path("/dev/shm")
LEAST_SHARED = 2**16
"""Free bytes of shared memory that worker processes need to start."""
NO_SHARED_MEMORY = (
    f"the shared memory {SHARED_MEMORY} is full, through which worker processes talk; remove what is left "
    "there by programs that have ended, or give a container more (docker run --shm-size 1g), and give the "
    "same command again"
)


def write_atomically(path: str | Path, write: Callable[[Path], Any], lasting: bool = True) -> Path:
    """Let `write` fill a temporary file in the folder of `path`, then move it onto `path`.

    Missing folders are created. When `write` fails, the old file (if any) stays as it was and the temporary
    file is removed.

    Args:
        path: the file to write.
        write: called once with the temporary path, which has the suffixes of `path`, e.g. ``.nii.gz``.
        lasting: wait (some milliseconds) until the data is on the disk before replacing `path`.

    Returns:
        The path written.

    Raises:
        ValueError: the folder cannot be written to.
        OSError: there is no room for the file.
    """
    target = Path(path)
    check_writable(target.parent)
    temporary = target.with_name(f"{PARTIAL}{uuid.uuid4().hex}{''.join(target.suffixes)}")
    try:
        write(temporary)
        if lasting:
            with temporary.open("rb+") as stream:
                os.fsync(stream.fileno())  # some file systems report a full disk only here
        os.replace(temporary, target)
    except IsADirectoryError:
        raise ValueError(
            f"{target} is a folder, but a file of that name must be written: remove or rename it"
        ) from None
    except Exception as error:  # libraries wrap the real reason in errors of their own
        if no_room(error) is None:
            raise
        raise OSError(no_room_message(target, error)) from None
    finally:
        with suppress(OSError):
            temporary.unlink()
    return target


def shared_memory_is_full() -> bool:
    """Return whether the system has shared memory and it is too full for worker processes to start."""
    try:
        return shutil.disk_usage(SHARED_MEMORY).free < LEAST_SHARED
    except OSError:
        return False


def no_room(error: BaseException) -> OSError | None:
    """Return the disk-full error in the chain of `error`, or None if there is none."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        if isinstance(current, OSError) and current.errno in FULL:
            return current
        seen.add(id(current))
        current = current.__cause__ or current.__context__
    return None


def no_room_message(path: str | Path | None, error: BaseException) -> str:
    """Return the one-line message about a full disk: which file has no room, why, and what to do."""
    cause = no_room(error)
    reason = FULL[cause.errno] if cause is not None and cause.errno else "the disk is full"
    file = path or getattr(cause, "filename", None)
    if str(file or SHARED_MEMORY).startswith(str(SHARED_MEMORY)) and shared_memory_is_full():
        return NO_SHARED_MEMORY
    return (
        f"{file or 'a file'} cannot be written, {reason}; free some space and give the same command again (a "
        "training goes on after its last finished epoch with --resume True)"
    )


def copy_atomically(source: str | Path, target: str | Path) -> Path:
    """Copy a file as `write_atomically` does, without waiting for the disk: the copy could be repeated."""
    return write_atomically(target, lambda temporary: shutil.copyfile(source, temporary), lasting=False)


def remove_partial(folder: str | Path, older_than: float = 0.0) -> None:
    """Remove what a killed process left half-written anywhere below `folder`.

    Args:
        folder: may be missing.
        older_than: seconds since the last write; above 0 where another process may be writing into the folder.
    """
    for file in list(Path(folder).rglob(f"{PARTIAL}*")):
        with suppress(OSError):  # another process may have removed it
            if time.time() - file.stat().st_mtime < older_than:
                continue
            if file.is_dir():
                shutil.rmtree(file, ignore_errors=True)
            else:
                file.unlink()


def write_text(path: str | Path, text: str) -> Path:
    """Write a text file in UTF-8, as `write_atomically` does."""

    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    return write_atomically(path, write)


def write_table(path: str | Path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> Path:
    """Write a CSV file with a header, as `write_atomically` does; None becomes an empty cell.

    Text that a spreadsheet would evaluate gets a leading apostrophe, which `from_cell` removes.
    """

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([as_cell(value) for value in row] for row in (header, *rows))

    return write_atomically(path, write)


def write_tensors(path: str | Path, state: Any, lasting: bool = True) -> Path:
    """Write a file for `torch.load`, as `write_atomically` does; the same state always gives the same bytes.

    Written through a stream, since given a path torch stores the file name in the file and hides why it fails.
    """
    import torch

    def write(temporary: Path) -> None:
        with temporary.open("wb") as stream:
            torch.save(_with_single_texts(state), stream)

    return write_atomically(path, write, lasting)


def _with_single_texts(state: Any) -> Any:
    """Return `state` with equal strings made one object: pickle stores an object once, but equal ones repeatedly."""
    if type(state) is dict:
        return {_with_single_texts(key): _with_single_texts(value) for key, value in state.items()}
    if type(state) is list:
        return [_with_single_texts(value) for value in state]
    return sys.intern(state) if type(state) is str else state


def check_writable(folder: str | Path, keep: bool = True) -> Path:
    """Make `folder` if needed and prove that a file can be written there, before any long work starts.

    Args:
        folder: the folder.
        keep: False removes the folders created here again; a later write creates them anew.

    Raises:
        ValueError: the folder cannot be created or written to; the message says which and why.
        OSError: there is no room for a file.
    """
    folder = Path(folder)
    probe = folder / f"{PARTIAL}{uuid.uuid4().hex}"
    made = [] if keep else [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            probe.touch()
        finally:  # runs even if the process is interrupted in between
            probe.unlink(missing_ok=True)
        remove_empty(made)
    except OSError as error:
        if no_room(error):
            raise OSError(no_room_message(folder, error)) from None
        raise ValueError(
            f"results folder {folder} cannot be written ({error.strerror}): choose another output_dir"
        ) from None
    return folder


@contextmanager
def not_left_empty(folder: str | Path) -> Iterator[None]:
    """If the block raises, remove the folders created inside it that hold no file.

    Args:
        folder: may be created inside the block, as may its parents.
    """
    folder = Path(folder)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        yield
    except BaseException:
        below = sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True) if made else []
        remove_empty([*below, *made])
        raise


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove the empty ones among folders listed from the innermost outwards."""
    for folder in folders:
        with suppress(OSError):  # not empty, or another process is writing there
            folder.rmdir()
