"""The files below a folder, links followed, and their names in messages."""

from __future__ import annotations

import os
from pathlib import Path

CLOSED = "folders that cannot be opened"


def shown(path: str | Path, root: Path | None = None) -> str:
    r"""Return a path as one line of plain text, below `root` if given; bytes of another encoding as \xNN.

    >>> shown(Path(os.fsdecode(b"a/spa" + bytes([0xe4]) + b"t")), Path("a"))
    'spa\\xe4t'
    """
    name = os.fsencode(Path(path).relative_to(root) if root else path).decode("utf-8", "backslashreplace")
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in name)


def files_below(root: Path, remarks: dict[str, list[str]]) -> list[Path]:
    """Return the files below a folder; each folder counts once, however many links lead to it.

    Args:
        root: the folder.
        remarks: receives what was left out, by reason.
    """
    files: list[Path] = []
    reached = {_identity(root)}

    def closed(error: OSError) -> None:
        remarks.setdefault(CLOSED, []).append(shown(Path(str(error.filename)), root))

    for place, folders, names in os.walk(root, onerror=closed, followlinks=True):
        inside = []
        for name in sorted(folders):
            folder = Path(place, name)
            if name.startswith("."):
                remarks.setdefault("hidden folders, left out", []).append(shown(folder, root))
            elif (identity := _identity(folder)) in reached:
                remarks.setdefault("folders to which several links lead, read once", []).append(
                    shown(folder, root)
                )
            else:
                reached.add(identity)
                inside.append(name)
        folders[:] = inside
        hidden = [name for name in names if name.startswith(".")]
        files += [Path(place, name) for name in sorted(set(names) - set(hidden))]
        if hidden:
            remarks.setdefault("hidden files, left out", []).extend(
                shown(Path(place, name), root) for name in hidden
            )
    return files


def _identity(folder: Path) -> tuple[int, int]:
    state = folder.stat()
    return state.st_dev, state.st_ino
