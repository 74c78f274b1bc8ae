"""Starts MONAI Label with this bundle, or with a results folder.

    make label                                   the shipped model, on cases of the phantom
    make label RUN=results/mine STUDIES=scans    your model, on your cases

The server listens on this machine alone, and answers to those who hold the token that it prints. Folders with
one file per phase, files <case>_<phase>.nii.gz side by side, and 4D files are told apart by themselves.
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.evaluation.run_folder import keep_through_exec, release_folder, take_folder
from scripts.packaging.package import BUNDLE_NAME
from scripts.serving.app import lay_out
from scripts.serving.studies import study_patterns
from scripts.verify import require_verified

ROOT = Path(__file__).resolve().parents[2]
SITE = Path(__file__).resolve().parent / "site"


def environment(studies: Path, configs: Path, token: str) -> dict[str, str]:
    """Return the variables that the server reads: which files are cases, the token, nothing from outside."""
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
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.serving",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run", type=Path, default=ROOT, help="results folder; default: the shipped model")
    parser.add_argument("--studies", type=Path, help="folder of cases; default: some of the phantom")
    parser.add_argument("--app", type=Path, help="folder of the server; default: .label/<name of the run>")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--trust", action="store_true", help="serve a folder that verifying refuses")
    given = parser.parse_args(arguments)
    token = os.environ.get("PHASE_FUSION_TOKEN") or secrets.token_urlsafe(24)
    try:
        studies = given.studies or phantom_studies(ROOT / "data" / "label_studies")
        bundle = given.run.resolve()
        require_verified(bundle, given.trust)
        app = (given.app or ROOT / ".label" / bundle.name).resolve()
        take_folder(app, "serving")
        atexit.register(release_folder, app)  # where the server does not start
        models = lay_out(app, bundle)
        variables = environment(studies, app / "model" / BUNDLE_NAME / "configs", token)
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
    os.chdir(app)  # the server writes its logs where it stands
    os.execve(sys.executable, command, variables)


def phantom_studies(folder: Path, count: int = 10) -> Path:
    """Make a folder of phantom cases, files side by side, unless it is there."""
    import shutil
    import tempfile

    from scripts.data import ensure_phantom, read_unlabelled

    if folder.is_dir():
        return folder
    phantom = ROOT / "data" / "phantom"
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


if __name__ == "__main__":
    main()
