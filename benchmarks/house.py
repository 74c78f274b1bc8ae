# SPDX-License-Identifier: Apache-2.0
"""Measure the size of the code and how many files one case passes through: `python -m benchmarks.house`.

Counts files and lines of scripts/ and workbench/, the content of the zip for the model zoo, what `run inferring`
imports, and the files whose functions are called between the files of one case and its probabilities, and between
the probabilities of a test and metrics.json. A switch is a call from one of these files to another.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any
from zipfile import ZipFile

WRITTEN_WHOLE = ("bad-input", "keys", "performance")  # pages whose tables are all written by commands
ROOT = Path(__file__).resolve().parents[1]
OWN = (str(ROOT / "scripts"), str(ROOT / "workbench"))
RUN = """
import runpy, sys
sys.argv = ["monai.bundle", "run", "inferring", "--config_file", "configs/inference.yaml", *sys.argv[1:]]
try:
    runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
finally:
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    print("FILES", *(file for file in files if file and file.startswith(OWN)))
"""


def lines_of(files: list[Path]) -> int:
    """Return the number of lines of all files."""
    return sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)


def imported_by_inferring(folder: Path) -> list[Path]:
    """Return the files of the project that a run of `inferring` imports."""
    program = f"OWN = {OWN!r}\n{RUN}"
    places = ["--dataset_dir", str(folder / "phantom"), "--output_dir", str(folder / "out")]
    done = subprocess.run(
        [sys.executable, "-c", program, *places], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [Path(file) for file in done.stdout.split("FILES ")[-1].split()]


def walked(act: Callable[[], Any]) -> tuple[int, int]:
    """Return how many of the project's files have functions called while `act` runs, and the switches."""
    seen: set[str] = set()
    switches = 0

    def note(frame: FrameType, event: str, _: Any) -> None:
        nonlocal switches
        file = frame.f_code.co_filename
        if event != "call" or not file.startswith(OWN):
            return
        if frame.f_code.co_name == "_figures":  # after metrics.json
            sys.setprofile(None)
            return
        caller = frame.f_back
        while caller is not None and not caller.f_code.co_filename.startswith(OWN):
            caller = caller.f_back
        seen.add(file)
        switches += caller is None or caller.f_code.co_filename != file

    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(None)
    return len(seen), switches


def one_case(folder: Path) -> dict[str, tuple[int, int]]:
    """Return files and switches for one case up to its probabilities, and for a test up to metrics.json."""
    from monai.bundle import ConfigWorkflow
    from monai.data import list_data_collate
    from scripts.engines.evaluation import EvaluationReport

    def workflow(kind: str, files: list[str], **settings: Any) -> ConfigWorkflow:
        found = ConfigWorkflow(
            [str(ROOT / "configs" / file) for file in files], workflow_type=kind, logging_file=False,
            bundle_root=str(ROOT), dataset_dir=str(folder / "phantom"), **settings,
        )  # fmt: skip
        found.initialize()
        return found

    inference = workflow("infer", ["inference.yaml"], output_dir=str(folder / "inferred"))
    names = ("network", "dataset", "prepare_batch", "inferer")
    network, dataset, prepare, inferer = map(inference.parser.get_parsed_content, names)

    def predict() -> None:
        image, _, _, more = prepare(list_data_collate([dataset[0]]))
        inferer(image, network.eval(), **more)

    found = {"file -> probability": walked(predict)}
    test = workflow("train", ["train.yaml", "evaluate.yaml"], output_dir=str(folder / "tested"), missing_phases=False)
    handlers = test.parser.get_parsed_content("test#handlers")
    report = next(handler for handler in handlers if isinstance(handler, EvaluationReport))
    write = report.write
    setattr(  # noqa: B010 - which mypy takes for a mistake otherwise
        report, "write", lambda device: found.update({"probabilities -> metrics.json": walked(lambda: write(device))})
    )
    test.parser.get_parsed_content("test#evaluator").run()
    return found


def words_of(page: Path) -> tuple[int, int]:
    """Return the number of words of a page, and of those in tables that commands write."""
    text = page.read_text(encoding="utf-8")
    written = re.findall(r"<!-- (\w+): begin -->(.*?)<!-- \1: end -->", text, re.DOTALL)
    tables = [part for _, part in written]
    if page.stem in WRITTEN_WHOLE:
        tables = [line for line in text.splitlines() if line.startswith("|")]
    total, generated = (len(re.findall(r"\w[\w.,%-]*", part)) for part in (text, "\n".join(tables)))
    return total, generated


def main() -> None:
    """Print the table."""
    from workbench.package.packing import package
    from workbench.prepare.phantom.dataset import make_phantom

    logging.disable(logging.WARNING)
    rows: dict[str, str] = {}
    floors = {floor: sorted((ROOT / floor).rglob("*.py")) for floor in ("scripts", "workbench")}
    for floor, files in floors.items():
        rows[f"Python in {floor}/"] = f"{len(files)} files, {lines_of(files):,} lines"
    both = [file for files in floors.values() for file in files]
    rows["both"] = f"{len(both)} files, {lines_of(both):,} lines"
    rows["configs/train.yaml"] = f"{lines_of([ROOT / 'configs' / 'train.yaml'])} lines"
    pages = sorted((ROOT / "docs").glob("*.md"))
    words, generated = map(sum, zip(*map(words_of, pages), strict=True))
    rows["docs/"] = f"{len(pages)} pages, {words - generated:,} words, and {generated:,} that commands write"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_phantom(folder / "phantom", seed=0, splits={"training": 2, "validation": 2, "test": 4})
        with ZipFile(package(ROOT, folder)) as packed:
            code = [name for name in packed.namelist() if name.endswith(".py")]
            number = sum(len(packed.read(name).splitlines()) for name in code)
            rows["zip for the zoo"] = f"{len(code)} Python files, {number:,} lines; {len(packed.namelist())} files"
        files = imported_by_inferring(folder)
        rows["files that `run inferring` imports"] = f"{len(files)}, {lines_of(files):,} lines"
        for name, (many, switches) in one_case(folder).items():
            rows[f"one case, {name}"] = f"{many} files, {switches} switches"
    for name, value in rows.items():
        print(f"{name:40} {value}")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
