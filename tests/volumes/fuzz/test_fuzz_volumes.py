# SPDX-License-Identifier: Apache-2.0
"""Damaged NIfTI, NRRD, MetaImage and DICOM files are read, or refused in one line that names the file."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from scripts.volumes import native
from scripts.volumes.open import frames_of, open_volume

st = pytest.importorskip("hypothesis.strategies", reason="pip install -r requirements-dev.txt")
NAME = "case p017: phase 'portal'"
# Damages: (where, what is put there, bytes that it replaces); most hit the first 400 bytes: the headers.
BYTES = st.binary(max_size=8) | st.sampled_from([b"\xff" * 4, b"\xff\x7f", b"\0" * 8, b"9" * 12, b"-1", b"\n", b"nan"])
DAMAGE = st.tuples(st.integers(0, 400) | st.integers(0, 3000), BYTES, st.integers(0, 12))
DAMAGES = st.tuples(st.lists(DAMAGE, min_size=1, max_size=4), st.none() | st.integers(0, 3000))
QUICK, SLOW = 14, 900  # of each kind; with DICOM 118 and 7,650


def damaged(content: bytes, damages: tuple) -> bytes:
    """Return the bytes with some replaced, inserted or removed, and perhaps the end cut off."""
    found = bytearray(content)
    changes, end = damages
    for start, put, length in changes:
        at = start % max(1, len(found))
        found[at : at + length] = put
    return bytes(found if end is None else found[: end % max(1, len(found))])


def _packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


KINDS: dict[str, tuple[str, dict, Callable[[bytes], bytes]]] = {
    "NIfTI": (".nii", {}, bytes),
    "NIfTI, packed": (".nii.gz", {}, bytes),
    "NIfTI, damaged and then packed": (".nii", {}, _packed),
    "NRRD": (".nrrd", {"useCompression": False}, bytes),
    "NRRD, packed": (".nrrd", {"useCompression": True}, bytes),
    "MetaImage": (".mha", {"useCompression": False}, bytes),
    "MetaImage, packed": (".mha", {"useCompression": True}, bytes),
}


@pytest.fixture(scope="module")
def voxels() -> np.ndarray:
    return np.random.default_rng(0).integers(-900, 1200, size=(9, 8, 7)).astype(np.int16)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("examples", [QUICK, pytest.param(SLOW, marks=pytest.mark.slow)])
def test_a_damaged_volume(kind, examples, fuzz, one_line, voxels, tmp_path, monkeypatch):
    monkeypatch.setattr(native, "SECONDS", 20.0)
    ending, options, after = KINDS[kind]
    whole = tmp_path / f"whole{ending}"
    if options:
        sitk.WriteImage(sitk.GetImageFromArray(voxels.T), str(whole), **options)
    else:
        nibabel.save(nibabel.Nifti1Image(voxels, np.diag([0.7, 0.8, 2.5, 1])), whole)
    content = whole.read_bytes()
    file = tmp_path / f"damaged{ending}{'.gz' if after is _packed else ''}"
    outcomes = []

    def check(damages):
        file.write_bytes(after(damaged(content, damages)))
        try:
            frames = frames_of(file, NAME)
            read = open_volume(frames[0] if frames else file, NAME).read()
            assert read.dtype == np.float32
            assert read.nbytes < 2**24
            outcomes.append(True)
        except ValueError as error:
            one_line(error, str(file))
            if not str(error).startswith(NAME):
                raise
            outcomes.append(False)

    fuzz(examples, check, DAMAGES)
    assert not all(outcomes), "the damages must break something"


@pytest.mark.parametrize("examples", [20, pytest.param(3 * SLOW // 2, marks=pytest.mark.slow)])
def test_a_damaged_dicom_series(examples, fuzz, one_line, write_dicom, tmp_path, monkeypatch):
    """Scanned, stacked and converted as `preparing` does; other files of the series stay whole."""
    from workbench.prepare.dicom.convert import write_stack
    from workbench.prepare.dicom.geometry import Refused
    from workbench.prepare.dicom.scan import find_studies
    from workbench.prepare.dicom.stacks import stacks_of

    monkeypatch.setattr(native, "SECONDS", 20.0)
    files = write_dicom(tmp_path / "series")
    content, outcomes = files[2].read_bytes(), []

    def check(damages):
        files[2].write_bytes(damaged(content, damages))
        studies, notes = find_studies(tmp_path / "series")
        said = list(notes)
        for study in studies:
            for series in study.series:
                for stack in stacks_of(series):
                    if stack.refused:
                        said.append(stack.refused)
                        continue
                    try:
                        write_stack(stack, tmp_path / "out.nii.gz")
                        open_volume(tmp_path / "out.nii.gz").read()
                    except Refused as error:
                        one_line(error, "")
                        said.append(str(error))
        outcomes.append(SimpleNamespace(said=said))

    fuzz(examples, check, DAMAGES)
    assert any(outcome.said for outcome in outcomes), "the damages must break something"
