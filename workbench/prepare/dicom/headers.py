# SPDX-License-Identifier: Apache-2.0
"""Find the DICOM files below a folder, and read their headers whatever state they are in."""

from __future__ import annotations

import os
import warnings
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from scripts.volumes.headers import DEFLATE_RATIO, memory_bytes
from workbench.prepare.dicom.character_sets import mend
from workbench.prepare.dicom.tags import ESCAPE, KEYWORDS, Tags, private_tags

CLOSED = "folders that cannot be opened"


def shown(path: str | Path, root: Path | None = None) -> str:
    r"""Return a path as one line of plain text, below `root` if given; bytes that are not UTF-8 as \xNN.

    >>> shown(Path(os.fsdecode(b"a/spa" + bytes([0xe4]) + b"t")), Path("a"))
    'spa\\xe4t'
    """
    name = os.fsencode(Path(path).relative_to(root) if root else path).decode("utf-8", "backslashreplace")
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in name)


def files_below(root: Path, remarks: defaultdict[str, list[str]]) -> list[Path]:
    """Return the files below a folder; each folder counts once, however many links lead to it.

    Args:
        remarks: receives what was left out, by reason.
    """
    files: list[Path] = []
    reached = {_identity(root)}

    def closed(error: OSError) -> None:
        remarks[CLOSED].append(shown(Path(str(error.filename)), root))

    for place, folders, names in os.walk(root, onerror=closed, followlinks=True):
        inside = []
        for name in sorted(folders):
            folder = Path(place, name)
            if name.startswith("."):
                remarks["hidden folders, left out"].append(shown(folder, root))
            elif (identity := _identity(folder)) in reached:
                remarks["folders to which several links lead, read once"].append(shown(folder, root))
            else:
                reached.add(identity)
                inside.append(name)
        folders[:] = inside
        hidden = [name for name in names if name.startswith(".")]
        files += [Path(place, name) for name in sorted(set(names) - set(hidden))]
        if hidden:
            remarks["hidden files, left out"].extend(shown(Path(place, name), root) for name in hidden)
    return files


def _identity(folder: Path) -> tuple[int, int]:
    state = folder.stat()
    return state.st_dev, state.st_ino


CONTENTS = "1.2.840.10008.1.3.10"  # SOP class of a DICOMDIR
DEFLATED = b"1.2.840.10008.1.2.1.99"  # transfer syntax of a file that is compressed as a whole
DECODED = {
    f"1.2.840.10008.1.2.{name}" for name in ("4.50", "4.51", "4.57", "4.70", "4.80", "4.81", "4.90", "4.91", "5")
}
"""Compressed transfer syntaxes that GDCM decodes: JPEG, lossless JPEG, JPEG-LS, JPEG 2000, RLE."""
DAMAGED, EMPTY, DEAD_LINKS = "DICOM files that cannot be read", "empty files", "links that lead nowhere"
"""Files left out because something is wrong with them: each is listed by name."""
ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".7z", ".rar")


@dataclass(frozen=True)
class Header:
    """What was read from a file."""

    left_out: str = ""  # why the file is no image, or ""
    dataset: Any = None  # pydicom dataset without pixels, or None
    fault: str = ""  # what keeps its pixels from being read, or ""
    remarks: tuple[str, ...] = ()  # what was assumed to read it


def pydicom_reader() -> Any:
    """Return pydicom's function `dcmread`."""
    try:
        from pydicom import dcmread
    except ImportError:
        raise ValueError(
            "layout 'dicom' needs the package pydicom, which is not installed: pip install -r requirements-dicom.txt"
        ) from None
    return dcmread


def read_header(file: Path, character_set: str = "") -> Header:
    """Read the tags of `KEYWORDS` and the private ones; never raises, whatever the file holds.

    Args:
        character_set: of texts whose header names none or a wrong one; "" is Western European.
    """
    read = pydicom_reader()
    try:
        with open(file, "rb") as stream:
            start = stream.read(1024)
            bare = start[128:132] != b"DICM"
            if bare and not _begins_with_a_tag(start):
                return Header(_kind(file, start))
            size = os.fstat(stream.fileno()).st_size
            if DEFLATED in start and size * DEFLATE_RATIO > memory_bytes() / 4:  # pydicom unpacks it whole
                return Header("deflated DICOM files that might not fit into memory, save them uncompressed")
            stream.seek(0)
            try:
                dataset = read(stream, stop_before_pixels=True, specific_tags=_wanted(), force=bare)
            except Exception:
                if bare:
                    return Header("files that are no DICOM")
                raise
            if dataset.file_meta.get("MediaStorageSOPClassUID") == CONTENTS:
                return Header("lists of contents (DICOMDIR), not needed")
            if not (Tags([dataset]).text("SOPClassUID") or Tags([dataset]).text("Modality")):
                return Header("files that are no DICOM" if bare else DAMAGED + " (the header breaks off)")
            remarks = (
                *(["DICOM files without a file header, read all the same"] if bare else []),
                *mend(dataset, character_set),
            )
            return Header("", dataset, _fault(dataset, stream, size, shown(file.name)), remarks)
    except Exception as error:  # pydicom raises errors of many types for broken files
        if file.is_symlink() and not file.exists():
            return Header(DEAD_LINKS)
        return Header(f"{DAMAGED} ({type(error).__name__})")


def read_in_unicode(file: Path, character_set: str = "") -> tuple[Any, list[str]]:
    """Read all of a header but the pixels, with every text decoded, and declared as UTF-8 (ISO_IR 192).

    Returns:
        The dataset, and what was removed from it because it breaks the standard.
    """
    read = pydicom_reader()
    from pydicom.datadict import keyword_for_tag
    from pydicom.valuerep import DA, TM

    checks: dict[str, Any] = {"DA": DA, "TM": TM}  # numbers are converted when they are read
    removed = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that break the standard
        dataset = read(file, stop_before_pixels=True, force=True)
        mend(dataset, character_set)
        for tag in list(dataset.keys()):
            try:
                element = dataset[tag]
                for value in element.value if element.VM > 1 else [element.value]:
                    checks.get(element.VR, str)(value)
            except Exception:  # pydicom raises errors of many types for broken values
                name = keyword_for_tag(tag) or str(tag)
                removed.append(f"{name} is no valid value, left out of the report")
                del dataset[tag]
        dataset.decode()
        for element in dataset:
            if element.VR in ("PN", "LO", "SH", "LT", "ST", "UT") and ESCAPE in str(element.value):
                element.value = str(element.value).replace(ESCAPE, "")
    dataset.SpecificCharacterSet = "ISO_IR 192"
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = bare_syntax(dataset)
    return dataset, removed


def bare_syntax(dataset: Any) -> str:
    """Return the transfer syntax of a file that does not state it: never a compressed one."""
    implicit, little = dataset.original_encoding
    return "1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1" if little else "1.2.840.10008.1.2.2"


@lru_cache(maxsize=1)
def _wanted() -> list[Any]:
    from pydicom.tag import Tag

    return [*(Tag(name) for name in KEYWORDS), *private_tags()]


def _kind(file: Path, start: bytes) -> str:
    name = file.name.lower()
    if not start:
        return EMPTY
    packed = name.endswith(ARCHIVES) and not name.endswith(".nii.gz")
    return "packed files, unpack them first" if packed else "files that are no DICOM"


def _begins_with_a_tag(start: bytes) -> bool:
    """Whether a file begins with a low element of group 0002 or 0008, in either byte order."""
    return (start[:2] in (b"\x02\0", b"\x08\0") and start[3:4] == b"\0") or start[:3] in (b"\0\x02\0", b"\0\x08\0")


def _fault(dataset: Any, stream: BinaryIO, size: int, name: str) -> str:
    """Say why the pixels cannot be read, or are cut off where uncompressed; compressed ones are checked on decoding."""
    from pydicom.uid import UID

    tags = Tags([dataset])
    syntax = UID(dataset.file_meta.get("TransferSyntaxUID") or bare_syntax(dataset))
    if not syntax.is_transfer_syntax or syntax.is_private:
        return f"{name}: pixels in a format that is not known here ({syntax}); export uncompressed"
    if syntax.is_deflated:
        return ""  # as a whole; pydicom has unpacked it
    if syntax.is_compressed:
        lost = f"{name}: pixels compressed by {syntax.name}, for which there is no decoder"
        return "" if syntax in DECODED else f"{lost}; export uncompressed"
    sizes = [tags.number(name) or 0 for name in ("Rows", "Columns", "BitsAllocated")]
    frames, samples = tags.number("NumberOfFrames") or 1, tags.number("SamplesPerPixel") or 1
    left = size - stream.tell() - (8 if syntax.is_implicit_VR else 12)  # the tag of the pixels, and their length
    needed = int(sizes[0] * sizes[1] * frames * samples * sizes[2] / 8)
    return f"truncated pixels, {max(left, 0)} of {needed} bytes" if left < needed else ""
