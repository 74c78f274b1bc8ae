# SPDX-License-Identifier: Apache-2.0
"""MedMNIST v2, the 3D sets: an npz file with train, val and test volumes, written as NIfTI.

`source` is the npz file, a folder that holds just one, or a name such as adrenalmnist3d (or
adrenalmnist3d_64 for 64 voxels per side), which the package `medmnist` then downloads into the output folder.

The files name no patients, so each case counts as one; AdrenalMNIST3D has two glands of each patient.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from scripts.cases.splits import Case
from scripts.files.atomic import write_atomically
from scripts.files.plain_text import listing
from workbench.prepare.layouts import Found, Source

PARTS = {"train": "training", "val": "validation", "test": "test"}
FRACTURES = ["buckle rib fracture", "nondisplaced rib fracture", "displaced rib fracture"]
ORGANS = "liver kidney-right kidney-left femur-right femur-left bladder heart lung-right lung-left spleen pancreas"
SETS: dict[str, tuple[str, list[str]]] = {
    "adrenalmnist3d": ("mask", ["normal", "hyperplasia"]),
    "fracturemnist3d": ("ct", FRACTURES),
    "nodulemnist3d": ("ct", ["benign", "malignant"]),
    "organmnist3d": ("ct", ORGANS.split()),
    "synapsemnist3d": ("em", ["inhibitory synapse", "excitatory synapse"]),
    "vesselmnist3d": ("mask", ["vessel", "aneurysm"]),
}
"""name -> (name of its one phase, classes in the order of the label numbers)"""
OVERLAYS = {"adrenalmnist3d": "configs/data/adrenalmnist3d.yaml"}


def find(source: Source) -> Found:
    """Write the volumes of a MedMNIST3D file below `source.output`/images, 1 mm voxels, and list them."""
    import nibabel
    from tqdm import tqdm

    file = _npz(source)
    flag = file.stem.removesuffix("_64")
    if flag not in SETS:
        raise ValueError(f"{file} must be named after a MedMNIST3D set of {listing(flag, SETS)}; rename the file")
    phase, classes = SETS[flag]
    folder = source.output / "images"
    folder.mkdir(parents=True, exist_ok=True)
    cases: list[Case] = []
    for part, split in PARTS.items():
        images, labels = _arrays(file, part, len(classes))
        for number, volume in enumerate(tqdm(images, desc=f"writing {split} volumes", unit="case")):
            case = f"{part}_{number:04d}"
            path = folder / f"{case}.nii.gz"
            image = nibabel.Nifti1Image(volume, np.eye(4))
            write_atomically(path, partial(nibabel.save, image))
            cases.append({"case": case, "image": {phase: str(path)}, "label": classes[labels[number]], "split": split})
    return Found(flag, [phase], cases, classes, overlay=OVERLAYS.get(flag))


def _npz(source: Source) -> Path:
    path = source.path
    if path.is_file():
        return path
    if path.is_dir():
        files = sorted(path.glob("*mnist3d*.npz"))
        if len(files) != 1:
            names = ", ".join(file.name for file in files) or "none"
            raise ValueError(f"{path} must hold one MedMNIST3D npz file, found {names}; pass the file as --source")
        return files[0]
    if path.name.removesuffix("_64") in SETS:
        return _download(path.name, source.output)
    raise FileNotFoundError(
        f"source {path} does not exist and is no name of a MedMNIST3D set {listing(path.name, SETS)}; "
        "pass an npz file or a name as --source"
    )


def _download(name: str, folder: Path) -> Path:
    """Let the package `medmnist` fetch the npz file of a set into `folder`."""
    by_hand = f"download {name}.npz from https://medmnist.com and pass it as --source"
    try:
        import medmnist

        dataset = getattr(medmnist, medmnist.INFO[name.removesuffix("_64")]["python_class"])
    except (ImportError, AttributeError) as error:  # medmnist hides its classes where torchvision is missing
        raise ValueError(
            f"downloading {name} needs the packages medmnist and torchvision ({error}); "
            f"`pip install medmnist`, or {by_hand}"
        ) from None
    folder.mkdir(parents=True, exist_ok=True)
    try:
        dataset(split="train", download=True, root=str(folder), size=64 if name.endswith("_64") else None)
    except RuntimeError:
        raise ValueError(f"medmnist could not download {name}; check the network, or {by_hand}") from None
    return folder / f"{name}.npz"


def _arrays(file: Path, part: str, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Read and check one part of the npz file: volumes [N, D, H, W] and label numbers [N]."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise ValueError(
            f"{file} must be a MedMNIST npz file with {part}_images and {part}_labels ({error}); download it again"
        ) from None
    if images.ndim != 4 or not len(images):
        raise ValueError(
            f"{file}: {part}_images must have the shape [cases, depth, height, width], found "
            f"{list(images.shape)}; take the 3D set"
        )
    if labels.shape != (len(images), 1) or labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"{file}: {part}_labels must be one number from 0 to {classes - 1} per case, found shape "
            f"{list(labels.shape)}, {labels.min()} to {labels.max()}; the name of the file must be that of "
            "the set"
        )
    return images, labels[:, 0]
