"""The DICOM studies below a folder, whatever its nesting."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.data.declared_size import DEFLATE_RATIO, memory_bytes

from .slices import Slice, slices_of
from .tags import KEYWORDS, PRIVATE_TAGS, Tags

CONTENTS = "1.2.840.10008.1.3.10"
"""SOP class of a DICOMDIR."""
DEFLATED = b"1.2.840.10008.1.2.1.99"
"""Transfer syntax of a file that is packed as a whole."""
ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".7z", ".rar")


@dataclass(frozen=True)
class Study:
    """The images of one study.

    Attributes:
        patient_id: PatientID; stays on this machine.
        uid: StudyInstanceUID.
        date: StudyDate, YYYYMMDD.
        folder: folder that all its files share, below the source.
        series: the images of each series, by SeriesInstanceUID, in the order of the series numbers.
    """

    patient_id: str
    uid: str
    date: str
    folder: Path
    series: list[list[Slice]]

    @property
    def key(self) -> tuple[str, str]:
        """What tells the study from all others: after a careless anonymisation the UID alone may not."""
        return self.patient_id, self.uid


def find_studies(root: Path) -> tuple[list[Study], list[str]]:
    """Read the headers of all DICOM files below `root`, and `root` itself.

    A file that is there twice (same SOP Instance UID) counts once.

    Returns:
        The studies, by patient and date; and a line for the user about each kind of file that was left out.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: pydicom is not installed, or no DICOM file was found.
    """
    from tqdm import tqdm

    if not root.is_dir():
        raise FileNotFoundError(f"source folder {root} does not exist; correct --source")
    read = reader()
    found: dict[tuple[str, str], list[tuple[Path, str, Slice]]] = {}
    seen: set[tuple[str, str, int | None]] = set()
    left_out: dict[str, list[str]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of each value that breaks the standard
        for file in tqdm(_files(root), desc="reading DICOM headers", unit="file"):
            kind, dataset, truncated = _header(read, file)
            if dataset is None:
                left_out.setdefault(kind, []).append(str(file.relative_to(root)))
                continue
            tags = Tags([dataset])
            key = (tags.text("PatientID"), tags.text("StudyInstanceUID") or str(file.parent))
            for image in slices_of(dataset, file, truncated):
                if (image.series, image.uid, image.frame) in seen and image.uid:
                    left_out.setdefault("files that are there twice, taken once", []).append(file.name)
                    continue
                seen.add((image.series, image.uid, image.frame))
                found.setdefault(key, []).append((file, tags.text("StudyDate"), image))
    notes = [f"{kind}: {files[0]}" + _more(files) for kind, files in sorted(left_out.items())]
    if not found:
        raise ValueError(
            f"{root} must hold DICOM files, found none" + "".join(f"; {note}" for note in notes)
        )
    studies = [_study(root, key, images) for key, images in found.items()]
    return sorted(studies, key=lambda study: (study.patient_id, study.date, study.uid)), notes


def reader() -> Any:
    """Return pydicom's function `dcmread`.

    Raises:
        ValueError: pydicom is not installed.
    """
    try:
        from pydicom import dcmread
    except ImportError:
        raise ValueError(
            "layout 'dicom' needs the package pydicom, which is not installed: "
            "pip install -r requirements-dicom.txt"
        ) from None
    return dcmread


def _files(root: Path) -> list[Path]:
    files = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files += [Path(folder, name) for name in sorted(names) if not name.startswith(".")]
    return files


def _header(read: Any, file: Path) -> tuple[str, Any, str]:
    """Return (why the file is left out, None, "") or ("", its header, what its length lacks)."""
    try:
        with open(file, "rb") as stream:
            start = stream.read(1024)
            if start[128:132] != b"DICM":
                name = file.name.lower()
                packed = name.endswith(ARCHIVES) and not name.endswith(".nii.gz")
                return ("packed files, unpack them first" if packed else "files that are no DICOM"), None, ""
            size = os.path.getsize(file)
            if DEFLATED in start and size * DEFLATE_RATIO > memory_bytes() / 4:  # pydicom unpacks it whole
                return "deflated DICOM files that might not fit into memory, save them uncompressed", None, ""
            stream.seek(0)
            dataset = read(stream, stop_before_pixels=True, specific_tags=[*KEYWORDS, *PRIVATE_TAGS])
            if dataset.file_meta.get("MediaStorageSOPClassUID") == CONTENTS:
                return "lists of contents (DICOMDIR), not needed", None, ""
            return "", dataset, _missing_bytes(dataset, size - stream.tell())
    except Exception as error:  # pydicom meets broken files with errors of many types
        return f"DICOM files that cannot be read ({type(error).__name__})", None, ""


def _missing_bytes(dataset: Any, left: int) -> str:
    """Compare what follows the header with the size of uncompressed pixels; compressed ones tell later."""
    tags = Tags([dataset])
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is None or syntax.is_compressed:
        return ""
    sizes = [tags.number(name) or 0 for name in ("Rows", "Columns", "BitsAllocated")]
    frames, samples = tags.number("NumberOfFrames") or 1, tags.number("SamplesPerPixel") or 1
    left -= 8 if syntax.is_implicit_VR else 12  # the tag of the pixels, and their length
    needed = int(sizes[0] * sizes[1] * frames * samples * sizes[2] / 8)
    return f"truncated pixels, {max(left, 0)} of {needed} bytes" if left < needed else ""


def _study(root: Path, key: tuple[str, str], images: Sequence[tuple[Path, str, Slice]]) -> Study:
    series: dict[str, list[Slice]] = {}
    for _, _, image in images:
        series.setdefault(image.series, []).append(image)
    folder = Path(os.path.commonpath([file.parent for file, _, _ in images])).relative_to(root)
    ordered = sorted(series.values(), key=lambda items: (_number(items[0].number), items[0].series))
    return Study(key[0], key[1], images[0][1], folder, ordered)


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 10**9


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
