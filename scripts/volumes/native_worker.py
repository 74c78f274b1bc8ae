# SPDX-License-Identifier: Apache-2.0
"""Reads images with SimpleITK (ITK, GDCM) in a separate process, which `native.py` starts by file name.

Nothing of the bundle is imported here, so that a worker starts in a fraction of a second. It reads pickled
requests (seconds, function name, arguments) from standard input and answers each with (None, result) or
(error name, error text). Two things stop even native code: a watchdog thread ends the process when a request
takes too long, and its memory is limited to that of the machine.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO


def header(path: str) -> dict[str, Any]:
    """Read the header of an image: its grid in LPS, bytes per voxel and number type."""
    import SimpleITK

    reader = _reader(path)
    rank, components = reader.GetDimension(), reader.GetNumberOfComponents()
    sample = SimpleITK.Image([1] * max(rank, 2), reader.GetPixelID(), components if components > 1 else 0)
    return {
        "rank": rank,
        "size": reader.GetSize(),
        "spacing": reader.GetSpacing(),
        "origin": reader.GetOrigin(),
        "direction": reader.GetDirection(),
        "components": components,
        "bytes": sample.GetSizeOfPixelComponent() * components,
        "type": str(SimpleITK.GetArrayViewFromImage(sample).dtype),
    }


def block(path: str, start: Sequence[int], size: Sequence[int]) -> Any:
    """Read a block of voxels, axes in file order."""
    import SimpleITK

    reader = _reader(path)
    rest = reader.GetDimension() - 3
    reader.SetExtractIndex([*start, *[0] * rest])
    reader.SetExtractSize([*size, *[0] * rest])
    return SimpleITK.GetArrayFromImage(reader.Execute()).T


def dicom(path: str) -> Any:
    """Decode the stored values of a DICOM file, without rescaling, [frames, rows, columns].

    Compressed pixels are passed to GDCM in a file without rescale or colour attributes, which GDCM would apply.
    """
    import warnings

    import numpy
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about values that violate the standard
        image = pydicom.dcmread(path, force=True)
        if "TransferSyntaxUID" not in image.file_meta:
            implicit, little = image.original_encoding
            name = "1.2.840.10008.1.2" + ("" if implicit else ".1" if little else ".2")
            image.file_meta.TransferSyntaxUID = pydicom.uid.UID(name)
        syntax = image.file_meta.TransferSyntaxUID
        if syntax.is_compressed and not syntax.is_deflated:
            pixels = _decompressed(image)
        else:
            pixels = pydicom.pixels.pixel_array(image, raw=True)
    frames = int(image.get("NumberOfFrames") or 1)
    return numpy.ascontiguousarray(pixels.reshape(frames, *pixels.shape[-2:]) if frames == 1 else pixels)


def _decompressed(image: Any) -> Any:
    """Return the pixels of a pydicom dataset as GDCM decodes them, without their other attributes."""
    import pydicom
    import SimpleITK

    kept = ("SamplesPerPixel", "NumberOfFrames", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit")
    bare = pydicom.Dataset()
    for name in (*kept, "PixelRepresentation", "PixelData"):
        if name in image:
            bare[name] = image[name]
    bare.PhotometricInterpretation = "MONOCHROME2"
    bare.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"  # MR Image Storage implies no rescaling
    bare.SOPInstanceUID = "1.2.3"
    bare.file_meta = pydicom.dataset.FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = image.file_meta.TransferSyntaxUID
    with _passing_file() as file:
        bare.save_as(file, enforce_file_format=True)
        return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(file, imageIO="GDCMImageIO"))


@contextmanager
def _passing_file() -> Iterator[str]:
    """Give the path of a temporary file, in memory where possible, so that it vanishes however the process ends."""
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
        number = os.memfd_create("image.dcm")
        try:
            yield f"/proc/self/fd/{number}"
        finally:
            os.close(number)
        return
    import tempfile

    with tempfile.TemporaryDirectory(prefix="dicom-") as folder:
        yield os.path.join(folder, "image.dcm")


READERS = {".mha": "MetaImageIO", ".mhd": "MetaImageIO", ".gipl": "GiplImageIO"}

FUNCTIONS = {function.__name__: function for function in (header, block, dicom)}


def _reader(path: str) -> Any:
    """Return SimpleITK's reader with the header already read."""
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    reader = SimpleITK.ImageFileReader()
    for ending, name in READERS.items():  # ITK itself knows these endings only in lower case
        if path.lower().endswith(ending) and not path.endswith(ending):
            reader.SetImageIO(name)
    reader.SetFileName(path)
    reader.ReadImageInformation()
    return reader


def limit_memory() -> None:
    """Make allocations beyond the machine's memory fail here, on systems that support such limits."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def end_with(parent: int) -> None:
    """End within a second after the parent process, even in the middle of a request."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until the input ends."""
    while True:
        try:
            seconds, name, arguments = pickle.load(requests)
        except EOFError:
            return
        faulthandler.dump_traceback_later(seconds, exit=True)
        try:
            answer: tuple[str | None, Any] = (None, FUNCTIONS[name](*arguments))
        except Exception as error:  # each library raises its own kinds
            answer = (type(error).__name__, str(error))
        pickle.dump(answer, answers, protocol=5)
        answers.flush()
        faulthandler.cancel_dump_traceback_later()


def main() -> None:
    """Import what every request needs, and keep library output out of the answer pipe."""
    limit_memory()
    threading.Thread(target=end_with, args=(int(sys.argv[1]),), daemon=True).start()
    with suppress(ImportError):  # the first request reports it
        import SimpleITK  # noqa: F401
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
