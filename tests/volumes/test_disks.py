# SPDX-License-Identifier: Apache-2.0
"""A full disk and a read-only folder are one line, and leave no corrupt and no temporary file."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.transforms import Compose, Lambdad
from scripts.cases.cache import cached_dataset
from scripts.engines.checkpoint import save_weights
from scripts.files.atomic import PARTIAL, remove_partial, write_text
from scripts.files.errors import message_of
from workbench.prepare.derived import write_nifti
from workbench.prepare.preparing import prepare
from workbench.prepare.settings import Settings

from tests.conftest import ROOT

FULL = r"cannot be written, the disk is full; free some space and give the same command again"


@pytest.fixture
def disk(tmp_path) -> Iterator[Callable[[int], Path]]:
    """Return a function that mounts an empty disk of so many KiB, or skips where only root may."""
    mounted: list[Path] = []

    def mount(size: int) -> Path:
        folder = tmp_path / f"disk{len(mounted) or ''}"
        folder.mkdir()
        line = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(folder)]
        try:
            done = subprocess.run(line, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("no `mount` on this system")
        if done.returncode:
            pytest.skip(f"mounting a small disk needs root: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def read_only(folder: Path) -> Path:
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    return folder


def fill(folder: Path, free: int) -> Path:
    """Fill a disk but for `free` bytes."""
    filler = folder / "filler"
    filler.write_bytes(bytes(max(0, shutil.disk_usage(folder).free - free)))
    return filler


def tree(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def assert_whole(folder: Path) -> None:
    """No temporary file, and every file of a known kind can be read to its end."""
    assert not list(folder.rglob(f"{PARTIAL}*"))
    for file in folder.rglob("*"):
        if file.suffix == ".pt":
            torch.load(file, weights_only=True)
        elif file.suffix == ".json":
            json.loads(file.read_text())
        elif file.name.endswith(".nii.gz"):
            np.asarray(nibabel.load(file).dataobj)


def failing(run: Callable[[], object]) -> str:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the line itself is asserted
        run()
    message = message_of(caught.value)
    assert message, repr(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture
def source(tmp_path, save_volume) -> Path:
    """Eight cases in folders, with labels."""
    for number in range(8):
        save_volume(tmp_path / "source" / f"p{number}" / "pre.nii.gz")
        save_volume(tmp_path / "source" / f"p{number}" / "portal.nii.gz")
    rows = [f"p{number},{'ab'[number % 2]}" for number in range(8)]
    (tmp_path / "labels.csv").write_text("\n".join(["case,label", *rows]))
    return tmp_path


def preparing(source: Path, output: Path, **settings) -> Path | None:
    settings = {"labels": source / "labels.csv", "fractions": [0.5, 0.25, 0.25], "quality": False} | settings
    return prepare(Settings(source / "source", "folders", output, **settings))


@pytest.mark.slow
def test_a_training_whose_checkpoint_finds_no_room_goes_on_later(disk, trained, bundle, quick, say):
    """The disk fills up in the second epoch; with room again, the result is that of a run without trouble."""
    folder = disk(60_000) / "out"
    run = {"files": ["configs/train.yaml"], "output_dir": str(folder), "lr_schedule#max_epochs": 2}
    run |= {"run": ["$@train#trainer.run()"]}
    bundle("training", **run | quick | {"max_epochs": 1})
    before = torch.load(folder / "models" / "last.pt", weights_only=True)
    filler = fill(folder.parent, 1_000_000)
    message = failing(lambda: bundle("training", **run, resume=True, **quick))
    assert "models/model.pt" in message or "models/last.pt" in message  # the first only at a new best
    said = message.replace("models/model.pt", "models/last.pt")
    say("Disks", "a disk that fills up while the checkpoint of a training is written", said)
    assert_whole(folder)
    assert torch.load(folder / "models" / "last.pt", weights_only=True)["epoch"] == before["epoch"] == 1
    filler.unlink()
    bundle("training", **run, resume=True, **quick)
    assert (folder / "learning_curves.csv").read_bytes() == (trained / "learning_curves.csv").read_bytes()


def test_a_package_that_finds_no_room(disk, bundle, quick):
    folder = disk(600) / "out"
    message = failing(lambda: bundle("training", ["configs/train.yaml"], output_dir=str(folder), **quick))
    assert "out/scripts/" in message
    assert FULL in message


def test_predictions_that_find_no_room(disk, trained, bundle, tmp_path, say):
    folder = disk(300)
    fill(folder, 0)
    files = [str(trained / "configs" / "inference.yaml")]
    run = {"files": files, "bundle_root": str(trained), "output_dir": str(folder / "out")}
    message = failing(lambda: bundle("inferring", **run))
    say("Disks", "predictions on a full disk", message)
    assert "free some space" in message
    assert os.listdir(folder) == ["filler"]


def test_a_cache_that_finds_no_room(disk, say):
    folder = disk(400)
    chain = Compose([Lambdad("value", func=lambda value: torch.full((10_000,), float(value)))])
    items = [{"case": f"p{number}", "value": number} for number in range(20)]
    message = failing(lambda: cached_dataset(items, chain, cache="disk", cache_dir=folder, progress=False))
    assert "free some space" in message
    entries = list(folder.glob("*.pt"))
    assert len(entries) >= 5
    assert_whole(folder)
    say("Disks", "a disk cache that fills its disk", message.replace(Path(message.split()[0]).name, "0123abcd.pt"))


@pytest.mark.parametrize("present", [False, True])
def test_a_dataset_that_finds_no_room(present, disk, source, say):
    folder = disk(400)
    if present:
        preparing(source, folder)
    fill(folder, 0)
    before = tree(folder)
    message = failing(lambda: preparing(source, folder, overwrite=True))
    assert tree(folder) == before
    assert_whole(folder)
    assert "free some space" in message
    say("Disks", f"`preparing` on a full disk{', where an older dataset.json stays as it is' * present}", message)


def test_converted_volumes_that_find_no_room(disk, write_dicom, tmp_path, say):
    from workbench.prepare.dicom.convert import write_stack
    from workbench.prepare.dicom.scan import find_studies
    from workbench.prepare.dicom.stacks import stacks_of

    folder = disk(200)
    fill(folder, 0)
    write_dicom(tmp_path / "series")
    (study,), _ = find_studies(tmp_path / "series")
    message = failing(lambda: write_stack(stacks_of(study.series[0])[0], folder / "case_0001" / "pre.nii.gz"))
    say("Disks", "a volume converted from DICOM on a full disk", message)
    noise = np.random.default_rng(0).normal(size=(32, 32, 32)).astype(np.float32)
    message = failing(lambda: write_nifti(folder / "p1" / "portal.nii.gz", noise, np.eye(4)))
    say("Disks", "a volume without bias field, or registered, on a full disk", message)
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["filler"]


def test_a_limit_of_the_size_of_files(tmp_path, say):
    """As a full disk, where only root may mount one."""
    network = torch.nn.Linear(300, 300)
    save_weights(network, tmp_path / "model.pt")
    before = tree(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        for write in (
            lambda: save_weights(torch.nn.Linear(400, 400), tmp_path / "model.pt"),
            lambda: write_text(tmp_path / "dataset.json", "x" * 200_000),
        ):
            message = failing(write)
            assert "it would be larger than files may be here; free some space" in message
            assert tree(tmp_path) == before
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    say("Disks", "a file larger than the system allows", message)


def test_a_read_only_folder(disk, trained, bundle, quick, source, say):
    folder = disk(60_000)
    shutil.copytree(trained, folder / "run")
    before = tree(read_only(folder))
    train, inference = ["configs/train.yaml"], [str(folder / "run" / "configs" / "inference.yaml")]
    evaluate = [str(folder / "run" / "configs" / name) for name in ("train.yaml", "evaluate.yaml")]
    own = {"bundle_root": str(folder / "run"), "output_dir": str(folder / "out")}
    cache = {"cache": "disk", "cache_dir": str(folder / "cache"), "output_dir": str(source / "out")}
    tries = {
        "a training": lambda: bundle("training", train, **quick, output_dir=str(folder / "new")),
        "a training that is resumed": lambda: bundle(
            "training", train, **quick | {"max_epochs": 3}, output_dir=str(folder / "run"), resume=True
        ),
        "a disk cache": lambda: bundle("training", train, **quick | cache),
        "`inferring`": lambda: bundle("inferring", inference, **own),
        "`evaluating`": lambda: bundle("evaluating", evaluate, **own),
        "`preparing`": lambda: preparing(source, folder / "prepared"),
    }
    for tried, run in tries.items():
        message = failing(run)
        assert "Read-only file system" in message, tried
        assert str(folder) in message, tried
        say("Disks", f"{tried} on a read-only disk", message)
    assert tree(folder) == before
    assert not (source / "out").exists()


def test_what_a_kill_left_behind_is_removed_and_nothing_else(tmp_path):
    for name in (".part-1.pt", "models/.part-2.pt", "models/model.pt", ".partial.txt", "deep/.part-3/file"):
        write_text(tmp_path / name, "x")
    os.utime(tmp_path / ".part-1.pt", (0, 0))
    remove_partial(tmp_path, older_than=3600)
    assert not (tmp_path / ".part-1.pt").exists()
    assert (tmp_path / "models" / ".part-2.pt").exists()
    remove_partial(tmp_path)
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert left == [".partial.txt", "models/model.pt"]
    remove_partial(tmp_path / "none")


@pytest.mark.parametrize("what", ["preparing", "cache"])
def test_preparing_and_caching_remove_what_a_kill_left_behind(what, source):
    folder = source / "out"
    write_text(folder / "images" / ".part-1.nii.gz", "x")
    os.utime(folder / "images" / ".part-1.nii.gz", (0, 0))
    if what == "preparing":
        preparing(source, folder)
    else:
        cached_dataset([], [], cache="disk", cache_dir=folder, progress=False)
    assert not list(folder.rglob(".part-*"))


WORKERS = """
import operator
from scripts.files import errors
from scripts.files.processes import work_through

errors.install()
work_through(operator.neg, [1, 2], 2, processes=True)
"""


def test_a_full_shared_memory_is_told_as_such():
    """joblib would go on in threads, in which trainings disturb each other."""
    filled = 'mount -t tmpfs -o size=64k tmpfs /dev/shm && head -c 65536 /dev/zero >/dev/shm/filler && exec "$@"'
    command = ["unshare", "-m", "sh", "-c", filled, "sh", sys.executable, "-c", WORKERS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    if "Operation not permitted" in done.stderr:
        pytest.skip("mounting a small disk needs root")
    first = done.stderr.splitlines()[-2]
    assert done.returncode == 1
    assert first.startswith("error: the shared memory /dev/shm is full")
    assert "--resume" not in first
    assert "Traceback" not in done.stderr
