# SPDX-License-Identifier: Apache-2.0
"""Mutated documents are read as what they are, or refused in one line; none is executed.

The slow form tries 5,000 of each kind at its reader and 50 by the real command, in parts of 250: a run that
was stopped goes on.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import yaml
from monai.bundle import ConfigParser, ConfigWorkflow
from scripts.cases.document import open_document
from scripts.cases.positive import positive_class as positive_of
from scripts.cases.read import declared_columns, read_cases, read_unlabelled
from scripts.engines.output_place import end_runs
from scripts.files import errors
from scripts.files.plain_text import FROM_DATA
from workbench.predict.command import main as predict
from workbench.prepare.preparing import prepare
from workbench.prepare.settings import Settings

from tests.attack.conftest import ROOT, Canary
from tests.attack.endings import count, ending, ending_of_command
from tests.attack.mutations import Mutations

MANY, QUICK, PART, BY_COMMAND = 5000, 60, 250, 50
CASES = [(f"p{number:03d}", "low" if number % 2 else "high") for number in range(8)]
ROWS = [f"{case},{label},q{case},{50 + 3 * int(case[1:])},{'FM'[int(case[1:]) // 2 % 2]}" for case, label in CASES]
LABELS = "\n".join(["case,label,patient,age [years],sex", *ROWS, ""])


class Target:
    """A document on disk, its reader in this process, and a command that reads it.

    Args:
        file: where each mutation is written.
        document: the text that is right.
        read: reads the file; raises what is wrong, AssertionError where it was wrongly accepted.
        command: module and arguments.
        payloads: see `Mutations`.
        below: see `Mutations`.
    """

    def __init__(
        self,
        file: Path,
        document: str,
        read: Callable[[], None],
        command: tuple[str, list[str]],
        payloads: list[Any],
        below: Any = None,
    ) -> None:
        self.file, self.document, self.read, self.command = file, document, read, command
        kind = file.suffix[1:]
        self.mutations = Mutations(document, kind, payloads, below)

    def here(self, content: bytes) -> tuple[str, str]:
        """Try it in this process."""
        self.file.write_bytes(content)
        return ending(self.read)

    def by_command(self, forked: Any) -> Callable[[bytes], tuple[str, str]]:
        """Return a function that tries it by the command."""

        def attempt(content: bytes) -> tuple[str, str]:
            self.file.write_bytes(content)
            module, arguments = self.command
            return ending_of_command(*forked.run(arguments, timeout=120, module=module))

        return attempt


def _orders(canary: Canary) -> list[Any]:
    """Return what MONAI or YAML would execute if it were resolved."""
    path = str(canary.file)
    return [
        *canary.payloads,
        {"_target_": "builtins.open", "file": path, "mode": "w"},
        {"_target_": "pathlib.Path.touch", "self": f"$__import__('pathlib').Path({path!r})"},
        [canary.payloads[0]],
        {canary.payloads[0]: canary.payloads[0]},
        {"name": canary.payloads[0], "kind": "number"},
    ]


def _volumes(folder: Path, phases: tuple[str, ...], size: int = 8) -> Path:
    draw = np.random.default_rng(0)
    for case, _ in CASES:
        (folder / case).mkdir(parents=True)
        for phase in phases:
            voxels = draw.integers(0, 200, (size,) * 3).astype(np.int16)
            nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), folder / case / f"{phase}.nii.gz")
    return folder


def _prepare(source: Path, labels: Path, output: Path) -> None:
    prepare(
        Settings(
            source,
            "folders",
            output,
            labels=labels,
            overwrite=True,
            workers=1,
            quality=False,
            fractions=(0.5, 0.25, 0.25),
        )
    )


@pytest.fixture
def labels(tmp_path, canary) -> Target:
    source, output = _volumes(tmp_path / "source", ("pre", "portal")), tmp_path / "out"

    def read() -> None:
        errors.install()
        _prepare(source, tmp_path / "labels.csv", output)
        written = ConfigParser(ConfigParser.load_config_file(str(output / "data.yaml"))).get_parsed_content()
        header = json.loads((output / "dataset.json").read_text())
        same = {key: written.get(key) == header[key] for key in ("phases", "classes", "positive", "clinical")}
        assert all(same.values()), f"data.yaml is not what the data say: {same}, {written}"

    arguments = ["run", "preparing", "--config_file", "configs/prepare.yaml", "--source", str(source)]
    arguments += ["--layout", "folders", "--labels", str(tmp_path / "labels.csv"), "--output", str(output)]
    command = ("monai.bundle", [*arguments, "--overwrite", "true", "--quality", "false"])
    texts = [text for text in _orders(canary) if isinstance(text, str)]
    return Target(tmp_path / "labels.csv", LABELS, read, command, texts)


@pytest.fixture
def prepared(tmp_path) -> Path:
    (tmp_path / "labels.csv").write_text(LABELS)
    _prepare(_volumes(tmp_path / "source", ("pre", "portal")), tmp_path / "labels.csv", tmp_path / "prepared")
    return tmp_path / "prepared"


@pytest.fixture
def data_yaml(prepared, tmp_path, canary) -> Target:
    file, output = prepared / "data.yaml", tmp_path / "results" / "mine"

    def read() -> None:
        shutil.rmtree(output, ignore_errors=True)
        workflow = ConfigWorkflow(
            config_file=[str(ROOT / "configs" / "train.json"), str(file)],
            workflow_type="train",
            logging_file=False,
            run_id="training",
            bundle_root=str(ROOT),
            output_dir=str(output),
            max_epochs=1,
        )
        try:
            workflow.initialize()
            workflow.parser.get_parsed_content("train#trainer")
        finally:
            end_runs()

    files = f"['configs/train.yaml','{file}']"
    command = ["run", "training", "--config_file", files, "--max_epochs", "1", "--output_dir", str(output)]
    return Target(file, file.read_text(), read, ("monai.bundle", command), _orders(canary), FROM_DATA)


@pytest.fixture
def dataset_json(prepared, tmp_path, canary) -> Target:
    file, output = prepared / "dataset.json", tmp_path / "results" / "mine"
    phases, classes, clinical = ["portal", "pre"], ["high", "low"], ["age", "sex"]

    def read() -> None:
        errors.install()
        read_unlabelled(file, phases)
        document = open_document(file)
        cases = read_cases(file, phases, classes, clinical)
        declared_columns(clinical, str(file))
        positive_of(None, classes, str(file))
        names = [item["case"] for items in (cases.training, cases.test) for item in items]
        listed = [str(entry["case"]) for split in ("training", "test") for entry in document.entries(split)]
        assert names == listed

    files = f"['configs/train.yaml','{prepared / 'data.yaml'}']"
    command = ["run", "training", "--config_file", files, "--max_epochs", "1", "--output_dir", str(output)]
    document = json.dumps(json.loads(file.read_text()))
    return Target(file, document, read, ("monai.bundle", command), _orders(canary))


@pytest.fixture
def rules_yaml(tmp_path, canary, write_dicom) -> Target:
    file = tmp_path / "rules.yaml"
    for number, name in enumerate(("t2_tse_tra", "arterial", "venous")):
        series = tmp_path / "dicom" / name
        write_dicom(series, range(3), series=f"1.2.3.{number}", SeriesDescription=name, AcquisitionNumber=number)

    def read() -> None:
        errors.install()
        prepare(Settings(tmp_path / "dicom", "dicom", tmp_path / "out", rules=file, dry_run=True, workers=1))

    arguments = ["run", "preparing", "--config_file", "configs/prepare.yaml", "--layout", "dicom", "--dry_run", "true"]
    arguments += ["--source", str(tmp_path / "dicom"), "--rules", str(file), "--output", str(tmp_path / "out")]
    content = {
        "character_set": "ISO_IR 100",
        "phases": {
            "t2": {"modality": "MR", "description": ["*t2*", "*tse*"], "exclude": ["*scout*"], "plane": "axial"},
            "arterial": {"description": "*art*", "image_type": ["ORIGINAL"], "contrast": False, "take": "first"},
            "venous": {"description": ["*ven*"], "take": "most_images", "exclude_image_type": ["DERIVED"]},
            "b": {"description": ["*dwi*"], "b_value": [800, 1500], "take": 1},
        },
    }
    document = yaml.safe_dump(content, sort_keys=False)
    return Target(file, document, read, ("monai.bundle", arguments), _orders(canary))


@pytest.fixture
def inference_yaml(tmp_path, canary) -> Target:
    run, case = tmp_path / "foreign", tmp_path / "cases" / CASES[0][0]
    (run / "configs").mkdir(parents=True)
    (run / "models").mkdir()
    for name in ("configs/inference.yaml", "configs/metadata.json", "models/model.pt"):
        shutil.copy(ROOT / name, run / name)
    _volumes(tmp_path / "cases", ("pre", "arterial", "portal"), size=12)
    others = ["--input", str(case), "--output", str(tmp_path / "out"), "--point", "6", "6", "6", "8"]
    runs = itertools.count()

    def read() -> None:
        folder = tmp_path / f"run_{next(runs)}"  # a process reads the files of one folder once
        shutil.copytree(run, folder, copy_function=os.link)
        try:
            predict(["--run", str(folder), *others])  # which verifies it first
        finally:
            shutil.rmtree(folder)

    file = run / "configs" / "inference.yaml"
    document = file.read_text()
    return Target(file, document, read, ("workbench.predict", ["--run", str(run), *others]), _orders(canary))


KINDS = ["labels", "data_yaml", "dataset_json", "rules_yaml", "inference_yaml"]
QUICK_KINDS = [*KINDS[:1], *(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS[1:])]


@pytest.fixture
def target(request) -> Target:
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("target", QUICK_KINDS, indirect=True)
def test_some_mutations(target, canary):
    how, said = target.here(target.document.encode())
    assert how == "done", said
    counts = count(target.mutations, range(MANY, MANY + QUICK), target.here, canary)
    assert counts["refused"] > QUICK / 4, counts


@pytest.mark.slow
@pytest.mark.parametrize("target", KINDS, indirect=True)
def test_five_thousand_mutations(target, canary, tally, request):
    found = tally(f"mutations of {target.file.name}")
    for start in range(0, MANY, PART):
        numbers = range(start, start + PART)
        found.part(f"{start}", lambda numbers=numbers: count(target.mutations, numbers, target.here, canary))
    found.close(tried=MANY)


@pytest.mark.slow
@pytest.mark.parametrize("target", KINDS, indirect=True)
def test_fifty_mutations_by_the_command(target, canary, tally, forked):
    found = tally(f"mutations of {target.file.name} by the command")
    attempt = target.by_command(forked)
    for start in range(0, BY_COMMAND, 10):
        numbers = range(start, start + 10)
        found.part(f"{start}", lambda numbers=numbers: count(target.mutations, numbers, attempt, canary))
    found.close(tried=BY_COMMAND)
