# SPDX-License-Identifier: Apache-2.0
"""A native reader that crashes or hangs costs its file and nothing else."""

from __future__ import annotations

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scripts.volumes import native, native_worker
from scripts.volumes.open import open_volume

# A worker whose readers take the name of a file for an order.
STUB = """
import ctypes, importlib.util, sys, time
spec = importlib.util.spec_from_file_location("native_worker", {worker!r})
worker = importlib.util.module_from_spec(spec)
spec.loader.exec_module(worker)

def obeying(read):
    def reader(path, *arguments):
        print("a library prints what it likes", flush=True)
        if "crash" in path:
            ctypes.string_at(0)
        if "hang" in path:
            time.sleep(1e6)
        if "greedy" in path:
            bytearray(2**50)
        if "count" in path:
            while True:  # without ever letting go of the interpreter's lock
                pass
        return read(path, *arguments)
    return reader

for name, read in list(worker.FUNCTIONS.items()):
    if name != "header":
        worker.FUNCTIONS[name] = obeying(read)
worker.main()
"""


@pytest.fixture
def stub(tmp_path, monkeypatch) -> Path:
    """Let workers obey the names of files, and end them after 2 s."""
    program = tmp_path / "stub_worker.py"
    program.write_text(STUB.format(worker=str(native.PROGRAM)))
    idle: list = []
    monkeypatch.setattr(native, "PROGRAM", program)
    monkeypatch.setattr(native, "SECONDS", 2.0)
    monkeypatch.setattr(native, "_idle", idle)
    yield tmp_path
    for worker in idle:
        worker.close()


@pytest.fixture
def voxels() -> np.ndarray:
    return np.random.default_rng(0).integers(-900, 1200, size=(9, 8, 7)).astype(np.int16)


def save(path: Path, voxels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(voxels.T), str(path))
    return path


@pytest.mark.parametrize(
    ("name", "reason", "tried"),
    [
        ("crash.nrrd", r"its reader crashed \(SIGSEGV\)", "a reader that crashes (segmentation fault)"),
        ("hang.mha", r"its reader did not finish within 2 s", "a reader that hangs"),
        ("count.mha", r"its reader did not finish within 2 s", "a reader that computes without end"),
        (
            "greedy.mhd",
            r"its reader asked for more memory than there is",
            "a reader that asks for more memory than there is",
        ),
    ],
)
def test_a_reader_that_dies_is_one_line_and_the_next_file_is_read(name, reason, tried, stub, voxels, say):
    bad, good = save(stub / name, voxels), save(stub / "good.mha", voxels)
    np.testing.assert_array_equal(open_volume(good).read(), voxels)
    volume = open_volume(bad, "case p017: phase 'portal'")
    with pytest.raises(
        ValueError, match=rf"^case p017: phase 'portal': the volume must be readable.*{reason}"
    ) as caught:
        volume.read()
    say("Readers that crash or hang", tried, caught.value)
    assert str(bad) in str(caught.value)
    np.testing.assert_array_equal(open_volume(good).read(), voxels)


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="the system has no files without a name")
def test_decoding_leaves_no_file_behind_however_the_reader_ends(monkeypatch):
    """Compressed pixels of a patient go to GDCM in a file that only the process has."""
    pydicom = pytest.importorskip("pydicom", reason="pip install -r requirements-dicom.txt")
    monkeypatch.setattr("tempfile.TemporaryDirectory", None)
    file = pydicom.data.get_testdata_file("MR_small_jpeg_ls_lossless.dcm")
    plain = pydicom.dcmread(pydicom.data.get_testdata_file("MR_small.dcm")).pixel_array
    np.testing.assert_array_equal(native_worker.dicom(file), plain[None])


def test_threads_read_at_the_same_time_while_readers_crash(stub, voxels):
    volumes = [save(stub / f"{number}.mha", voxels + number) for number in range(12)]
    volumes[3:3] = [save(stub / "crash1.mha", voxels), save(stub / "crash2.mha", voxels)]

    def mean(path: Path) -> float:
        try:
            return float(open_volume(path).read().mean())
        except ValueError:
            return np.nan

    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(mean, volumes))
    expected = [voxels.mean() + int(path.stem) if path.stem.isdigit() else np.nan for path in volumes]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert 1 <= len(native._idle) <= 3


def test_a_forked_process_has_workers_of_its_own(stub, voxels):
    first, second = save(stub / "a.mha", voxels), save(stub / "b.mha", voxels + 5)
    open_volume(first).read()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            good = all(np.array_equal(open_volume(second).read(), voxels + 5) for _ in range(3))
            status = 0 if good and len(native._idle) == 1 else 1
        finally:
            os._exit(status)
    for _ in range(3):
        np.testing.assert_array_equal(open_volume(first).read(), voxels)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_training_ends_with_one_line(stub, bundle, quick, small_phantom, tmp_path, say):
    """The reader of one phase crashes while the cases are prepared; the process stays and nothing is left."""
    from scripts.files.errors import message_of

    document = json.loads((small_phantom / "dataset.json").read_text())
    case = document["training"][0]
    for split in ("training", "validation", "test"):
        for item in document[split]:
            for key, value in item["image"].items():
                item["image"][key] = str(small_phantom / value)
            item["roi"] = str(small_phantom / item["roi"])
    file = tmp_path / "data" / case["case"] / "crash_portal.mha"
    file.parent.mkdir(parents=True)
    sitk.WriteImage(sitk.ReadImage(case["image"]["portal"]), str(file))
    case["image"]["portal"] = f"{case['case']}/{file.name}"
    (tmp_path / "data" / "dataset.json").write_text(json.dumps(document))
    output = tmp_path / "results" / "out"
    settings = quick | {"dataset_dir": str(tmp_path / "data"), "output_dir": str(output)}
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the line itself is asserted
        bundle("training", ["configs/train.yaml"], **settings)
    message = message_of(caught.value) or ""
    assert re.match(rf"case {case['case']}: phase 'portal'.*SIGSEGV.*{file.name}", message), message
    assert not output.parent.exists()
    say("Readers that crash or hang", "a training in which the reader of one phase crashes", message)


def test_the_check_of_the_images_goes_on_with_the_other_cases(stub, voxels):
    from workbench.prepare.quality.look import look_at_cases

    items = [
        {"case": name, "patient": name, "split": "training", "image": {"pre": str(save(stub / f"{name}.mha", voxels))}}
        | {"roi": None}
        for name in ("a", "crash", "b")
    ]
    seen = {case.case: case.phases["pre"] for case in look_at_cases(items, workers=2)}
    assert "SIGSEGV" in seen["crash"].problem
    assert [seen[name].problem for name in "ab"] == ["", ""]


def test_a_dicom_series_whose_decoder_crashes_is_left_out(stub, write_dicom, say):
    from workbench.prepare.dicom.convert import write_stack
    from workbench.prepare.dicom.geometry import Refused
    from workbench.prepare.dicom.scan import find_studies
    from workbench.prepare.dicom.stacks import stacks_of

    write_dicom(stub / "series", prefix="image_crash")
    (study,), _ = find_studies(stub / "series")
    (stack,) = stacks_of(study.series[0])
    with pytest.raises(Refused, match=r"image_crash000 cannot be decoded \(its reader crashed \(SIGSEGV\)") as caught:
        write_stack(stack, stub / "out.nii.gz")
    assert not list(stub.glob("*.nii.gz"))
    say("Readers that crash or hang", "a DICOM decoder that crashes (the series is left out)", caught.value)
