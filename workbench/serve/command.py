# SPDX-License-Identifier: Apache-2.0
"""Start MONAI Label with this bundle, or with a results folder.

    make label                                   the shipped model, on cases of the phantom
    make label RUN=results/mine STUDIES=scans    your model, on your cases

The server listens only on this machine and answers only requests with the token that it prints. It recognises
folders with one file per phase, files <case>_<phase>.nii.gz side by side, and 4D files.
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import re
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts import BUNDLE
from scripts.cases.folder import MASK_NAMES, case_folders, read_case_folder
from scripts.cases.read import read_unlabelled
from scripts.files.run_folder import keep_through_exec, release_folder, take_folder
from scripts.transforms.server_inputs import phase_of, stem_of
from scripts.volumes.open import image_ending, image_files
from workbench.prepare.phantom.dataset import ensure_phantom
from workbench.serve.app import lay_out
from workbench.verify.folder import require_verified

SITE = Path(__file__).resolve().parent / "site"


def environment(studies: Path, configs: Path, token: str) -> dict[str, str]:
    """Return the environment of the server: which files are cases, the token, and no tracking elsewhere."""
    inference = json.loads((configs / "inference.json").read_text(encoding="utf-8"))
    patterns = study_patterns(studies, inference["phases"], inference["reference_phase"])
    path = os.pathsep.join(filter(None, [str(SITE), os.environ.get("PYTHONPATH", "")]))
    return os.environ | {
        "MONAI_LABEL_DATASTORE_FILE_EXT": json.dumps(patterns),
        "MONAI_LABEL_TRACKING_ENABLED": "false",
        "PHASE_FUSION_TOKEN": token,
        "PYTHONPATH": path,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m workbench.serve", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, default=BUNDLE, help="results folder; default: the shipped model")
    parser.add_argument("--studies", type=Path, help="folder of cases; default: some of the phantom")
    parser.add_argument("--app", type=Path, help="folder of the server; default: .label/<name of the run>")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--trust", action="store_true", help="serve a folder that verifying refuses")
    given = parser.parse_args(arguments)
    token = os.environ.get("PHASE_FUSION_TOKEN") or secrets.token_urlsafe(24)
    try:
        studies = given.studies or phantom_studies(BUNDLE / "data" / "label_studies")
        bundle = given.run.resolve()
        require_verified(bundle, given.trust)
        app = (given.app or BUNDLE / ".label" / bundle.name).resolve()
        take_folder(app, "serving")
        atexit.register(release_folder, app)  # if the server does not start
        models = lay_out(app, bundle)
        variables = environment(studies, app / "model" / models[0] / "configs", token)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    address = f"http://127.0.0.1:{given.port}"
    print(f"studies {studies}, app {app}")
    print(f"3D Slicer: server {address}, any user name, password {token}")
    print(f"browser: {address}/?token={token}", flush=True)
    command = [
        *[sys.executable, str(SITE / "phase_fusion_start.py"), "start_server"],
        *["--app", str(app), "--studies", str(studies.resolve())],
        *["--host", "127.0.0.1", "--port", str(given.port), "--uvicorn_app", "phase_fusion_server:app"],
        *["--conf", "models", ",".join(models), "--conf", "zoo_source", "local", "--conf", "sam2", "false"],
    ]
    keep_through_exec(app)
    os.chdir(app)  # the server writes its logs to its working directory
    os.execve(sys.executable, command, variables)


def phantom_studies(folder: Path, count: int = 10) -> Path:
    """Make a folder of phantom cases, files side by side, unless it exists."""
    import shutil
    import tempfile

    if folder.is_dir():
        return folder
    phantom = BUNDLE / "data" / "phantom"
    ensure_phantom(phantom)
    document = json.loads((phantom / "dataset.json").read_text(encoding="utf-8"))
    test = {entry["case"] for entry in document["test"][:count]}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, ignore_cleanup_errors=True) as place:
        part = Path(place) / folder.name
        part.mkdir()
        for case in read_unlabelled(phantom, document["phases"]):
            if case["case"] in test:
                for name, file in {**case["image"], "lesion": case["roi"]}.items():
                    shutil.copyfile(file, part / f"{case['case']}_{name}.nii.gz")
        try:
            part.rename(folder)
        except OSError:  # another server was faster
            if not folder.is_dir():
                raise
    return folder


LABEL_FOLDER = "labels"
"""Where MONAI Label keeps the labels, in the folder of the studies."""


def study_patterns(folder: Path, phases: Sequence[str], reference: str) -> list[str]:
    """Return the file patterns by which MONAI Label lists each case once.

    - One folder per case: the folders.
    - Files side by side, ``<case>_<phase>.nii.gz``: the file of the reference phase; for a case without it,
      its first phase.
    - One 4D file per case: the files. New ones are seen at once unless masks lie beside them.

    Args:
        folder: the studies.
        phases: names of all phases, in order.
        reference: the reference phase.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: it holds no case, or two layouts at once.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"studies {folder} must be a folder, found none; give --studies")
    folders = [
        entry.name
        for entry in case_folders(folder)
        if entry.name != LABEL_FOLDER and read_case_folder(entry, phases).images
    ]
    files, _ = image_files(folder)
    images = [path for path in files if not is_mask(path)]
    side_by_side = {path: phase_of(stem_of(path), phases) for path in images}
    beside = [path for path, phase in side_by_side.items() if phase]
    single = [path for path, phase in side_by_side.items() if not phase]
    found = {"folders": folders, "files per phase": beside, "4D files": single}
    layouts = [name for name, entries in found.items() if entries]
    if len(layouts) != 1:
        what = " and ".join(layouts) or "none"
        raise ValueError(
            f"studies {folder} must hold cases of one layout (a folder per case, files "
            f"<case>_<phase>.nii.gz, or a 4D file per case), found {what}; the phases are {', '.join(phases)}"
        )
    if folders:
        return [exactly(name) for name in folders]
    if beside:
        return listed_by_reference(side_by_side, reference)
    if len(images) == len(files):
        return sorted({f"*{image_ending(path)}" for path in single})
    return [exactly(path.name) for path in single]


def listed_by_reference(phase_of_file: dict[Path, str | None], reference: str) -> list[str]:
    """Return the patterns of the reference phase, and the first file of each case that lacks it."""
    cases: dict[str, dict[str, Path]] = {}
    for path, phase in phase_of_file.items():
        if phase:
            cases.setdefault(stem_of(path)[: -len(phase) - 1], {})[phase] = path
    having = [files[reference] for files in cases.values() if reference in files]
    patterns = sorted({f"*_{reference}{image_ending(path)}" for path in having})
    return patterns + [exactly(next(iter(files.values())).name) for files in cases.values() if reference not in files]


def is_mask(path: Path) -> bool:
    """Return whether the name of a file is that of a mask."""
    return stem_of(path).lower().rpartition("_")[2] in MASK_NAMES


def exactly(name: str) -> str:
    """Return a pattern that matches only this name, and that MONAI Label does not take for a file extension.

    >>> exactly("p001"), exactly("p[1].nii.gz")
    ('p00[1]', 'p[[]1[]].nii.g[z]')
    """
    escaped = re.sub(r"([\[\]*?])", r"[\1]", name[:-1])
    return f"{escaped}[{name[-1]}]"


if __name__ == "__main__":
    main()
