# SPDX-License-Identifier: Apache-2.0
"""A job of NVFlare trains the bundle at three sites, each in a process of its own."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pandas
import pytest
import torch
from scripts.engines.network import read_weights
from workbench.prepare.phantom.dataset import make_phantom

from benchmarks.federated import weighted_mean
from benchmarks.federated_nvflare import simulate, write_job

TRAINING = {"A": 8, "B": 8, "C": 24}
STEPS = [1, 1, 2]
"""In one epoch of each site, 16 cases per step."""
ROUNDS = 2
GRID = "settings { spacing = [4.0, 4.0, 4.0], grid_size = [16, 16, 16] }"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("monai_nvflare") is None, reason="needs pip install -r requirements-federated.txt"),
]


@pytest.fixture(scope="module")
def cases(tmp_path_factory) -> Path:
    """A folder with the cases of every site; all test on the same."""
    folder = tmp_path_factory.mktemp("cases")
    make_phantom(folder, seed=0, splits={"training": sum(TRAINING.values()), "validation": 12, "test": 8})
    content = json.loads((folder / "dataset.json").read_text())
    for name, number in TRAINING.items():
        own = {"training": number, "validation": 4}
        taken = {split: [content[split].pop() for _ in range(count)] for split, count in own.items()}
        (folder / f"{name}.json").write_text(json.dumps(content | taken))
    return folder


@pytest.fixture(scope="module")
def run(cases, tmp_path_factory) -> tuple[Path, Path]:
    """The folder of two rounds of one epoch, and the file of the global weights."""
    work = tmp_path_factory.mktemp("work")
    write_job(work / "job", [f"num_rounds = {ROUNDS}"], ["local_epochs = 1", GRID])
    return work, simulate(work / "job", list(TRAINING), cases, work)


def test_global_weights_are_the_mean_of_the_sites_by_their_steps(run):
    work, file = run
    last = [torch.load(work / "sites" / name / "models" / "last.pt")["network"] for name in TRAINING]
    shared = read_weights(file)
    assert shared.keys() == last[0].keys()
    mean = weighted_mean(last, STEPS)
    for name, value in mean.items():
        if value.is_floating_point():
            torch.testing.assert_close(shared[name].to(value.dtype), value, rtol=0, atol=1e-6)
    learned = "encoder.stem.conv1.weight"
    assert (shared[learned] - weighted_mean(last, [1, 1, 1])[learned]).abs().max() > 1e-5


def test_every_site_has_its_curves_over_all_rounds(run):
    for name in TRAINING:
        curves = pandas.read_csv(run[0] / "sites" / name / "learning_curves.csv")
        assert list(curves["epoch"]) == list(range(1, ROUNDS + 1))
        assert set(curves["learning_rate"]) == {0.003}


def test_evaluating_reads_the_global_weights_with_the_files_of_a_site(run, cases, bundle, tmp_path):
    work, file = run
    site = work / "sites" / "A"
    done = bundle(
        "evaluating",
        [str(site / "configs" / name) for name in ("train.yaml", "evaluate.yaml")],
        bundle_root=str(site),
        dataset_dir=str(cases),
        model_file=str(file),
        output_dir=str(tmp_path / "evaluation"),
    )
    assert json.loads((tmp_path / "evaluation" / "metrics.json").read_text())["n"] == 8
    used, shared = done.parser.get_parsed_content("network").state_dict(), read_weights(file)
    assert all(torch.equal(value, shared[name].to(value.dtype)) for name, value in used.items())


def test_a_site_without_its_cases_stops_the_job_and_is_named(tmp_path, cases):
    write_job(tmp_path / "job", ["num_rounds = 1"])
    with pytest.raises(RuntimeError, match=r"the job was not finished: .* from Z is bad.*nvflare\.log$"):
        simulate(tmp_path / "job", ["A", "B", "Z"], cases, tmp_path)
    assert "Z.json" in (tmp_path / "nvflare.log").read_text()
