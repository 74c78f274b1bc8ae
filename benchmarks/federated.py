# SPDX-License-Identifier: Apache-2.0
"""What three hospitals gain by training together without sharing images, on the phantom.

    python -m benchmarks.federated

The hospitals (sites) differ in the gain of their scanners and in how many of their cases are of the class
`high`. Each trains alone; all train together by federated averaging, through MONAI's client `MonaiAlgo`; and
one model is trained on the pooled cases, which real hospitals could not do. Every model trains for the same
number of epochs, is tested on the test cases of all sites, and starts from the same weights.

The table goes to docs/figures/federated.csv and between the markers in docs/distributed.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas
import torch
from scripts.metrics.rows import classification_table, confidence_intervals
from torch import Tensor
from workbench.prepare.phantom.dataset import make_phantom

from benchmarks.marked import keep_part
from benchmarks.seeds import run_bundle
from benchmarks.subset import Case

ROOT = Path(__file__).resolve().parents[1]
SPLITS = {"training": 40, "validation": 16, "test": 40}
"""Cases of each site."""
EPOCHS_PER_ROUND = 2
FIRST_CASE = 20000
"""Number of the first phantom case; earlier ones are used elsewhere."""
ALL, METRICS = "all", ("auc", "accuracy")
State = dict[str, Tensor]


@dataclass(frozen=True)
class Site:
    """One hospital: name, gain of its scanner on all values, share of the class `high`."""

    name: str
    gain: float
    high: float


SITES = (Site("A", gain=0.8, high=0.75), Site("B", gain=1.0, high=0.5), Site("C", gain=1.25, high=0.25))


def take_cases(site: Site, pool: Mapping[str, list[Case]]) -> dict[str, list[Case]]:
    """Remove the cases of a site from the pool and return them, with the same class balance in each split."""
    taken: dict[str, list[Case]] = {}
    for split, number in SPLITS.items():
        high = round(site.high * number)
        found = [pool["high"].pop(0) for _ in range(high)] + [pool["low"].pop(0) for _ in range(number - high)]
        taken[split] = [case | {"site": site.name} for case in found]
    return taken


def amplify(folder: Path, case: Case, gain: float) -> None:
    """Multiply all values of a case's images (HU), as a scanner with another calibration would."""
    for path in case["image"].values():
        image: Any = nibabel.load(folder / path)
        values = np.rint(np.asanyarray(image.dataobj) * gain).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(values, image.affine, image.header), folder / path)


def make_sites(folder: Path) -> dict[str, Path]:
    """Make the images, and one dataset file for each site and for the pooled cases, all with the same test cases.

    Returns:
        The files, by site and "pooled".
    """
    make_phantom(folder, first=FIRST_CASE, splits={"test": len(SITES) * sum(SPLITS.values())})
    content = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    pool = {name: [case for case in content["test"] if case["label"] == name] for name in ("low", "high")}
    cases = {site.name: take_cases(site, pool) for site in SITES}
    for site in SITES:
        for case in chain.from_iterable(cases[site.name].values()):
            amplify(folder, case, site.gain)
    pooled = {split: [case for site in SITES for case in cases[site.name][split]] for split in SPLITS}
    files = {}
    for name, own in (cases | {"pooled": pooled}).items():
        files[name] = folder / f"{name}.json"
        files[name].write_text(json.dumps(content | own | {"test": pooled["test"]}), encoding="utf-8")
    return files


def weighted_mean(states: Sequence[Mapping[str, Any]], weights: Sequence[float]) -> State:
    r"""Average state dicts: federated averaging, normalisation statistics included.

    .. math:: w = \sum_k \frac{n_k}{n} w_k

    Args:
        states: one for each site.
        weights: n_k, training cases of each.

    Reference: McMahan et al., Communication-efficient learning of deep networks from decentralized data,
    AISTATS 2017, algorithm 1.

    >>> weighted_mean([{"w": torch.tensor([0.0])}, {"w": torch.tensor([4.0])}], [3, 1])
    {'w': tensor([1.])}
    """
    shares = torch.tensor(weights, dtype=torch.double) / sum(weights)
    mean = {}
    for name, first in states[0].items():
        values = torch.stack([torch.as_tensor(state[name]).double() for state in states], dim=-1)
        mean[name] = (values @ shares).to(torch.as_tensor(first).dtype)
    return mean


def federate(files: Mapping[str, Path], rounds: int, folder: Path) -> Path:
    """Train by federated averaging, in which sites share only weights; return the last weights."""
    from monai.fl.client import MonaiAlgo
    from monai.fl.utils.constants import ExtraItems
    from monai.fl.utils.exchange_object import ExchangeObject

    clients: list[Any] = []
    for site in SITES:
        client = MonaiAlgo(
            bundle_root=str(ROOT),
            local_epochs=EPOCHS_PER_ROUND,
            send_weight_diff=False,
            config_train_filename=["configs/train.yaml", "configs/training/federated.yaml"],
            config_evaluate_filename=None,
            train_kwargs={"dataset_dir": str(files[site.name]), "output_dir": str(folder / site.name)},
        )
        client.initialize({ExtraItems.CLIENT_NAME: site.name})
        clients.append(client)
    cases = [SPLITS["training"]] * len(clients)
    shared = weighted_mean([client.trainer.network.state_dict() for client in clients], cases)
    for number in range(rounds):
        states = []
        for client in clients:
            client.train(ExchangeObject(weights={name: value.numpy() for name, value in shared.items()}))
            states.append(client.get_weights().weights)
        shared = weighted_mean(states, cases)
        print(f"round {number + 1} of {rounds}", flush=True)
    for client in clients:
        client.finalize()
    torch.save(shared, folder / "model.pt")
    return folder / "model.pt"


def scores(folder: Path, test: Sequence[Case]) -> dict[str, Any]:
    """Return AUC and accuracy with their 95% intervals on the test cases of each site, and of all."""
    site_of = {case["case"]: case["site"] for case in test}
    found = pandas.read_csv(folder / "predictions.csv")
    groups = dict(tuple(found.groupby(found["case"].map(site_of)))) | {ALL: found}
    row: dict[str, Any] = {}
    for site, part in groups.items():
        data = part[["p_low", "p_high"]].to_numpy(), (part["true"] == "high").astype(int).to_list()
        figures, bounds = classification_table(*data, ["low", "high"])[-1], confidence_intervals(*data)[-1]
        for metric in METRICS:
            row[f"{metric}_{site}"] = figures[metric]
            row[f"{metric}_{site}_lower"] = bounds[metric].lower
            row[f"{metric}_{site}_upper"] = bounds[metric].upper
    return row


def table(rows: pandas.DataFrame, remarks: str) -> str:
    """Return the table of the document."""
    columns = {f"AUC at {site.name} [95%]": f"auc_{site.name}" for site in SITES}
    columns |= {"AUC, all sites [95%]": f"auc_{ALL}", "accuracy, all sites [95%]": f"accuracy_{ALL}"}
    lines = [f"| training | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for row in rows.to_dict("records"):
        values = [f"{row[key]:.3f} [{row[f'{key}_lower']:.3f}, {row[f'{key}_upper']:.3f}]" for key in columns.values()]
        lines.append(f"| {row['training']} | {' | '.join(values)} |")
    return "\n".join([*lines, "", remarks, ""])


def compare(work: Path, rounds: int, jobs: int) -> pandas.DataFrame:
    """Train every model, and return its row of the table."""
    files = make_sites(work / "phantom")
    test = json.loads(files["pooled"].read_text(encoding="utf-8"))["test"]
    epochs = rounds * EPOCHS_PER_ROUND
    quiet = {"calibrate": False, "missing_phases": False}

    def alone(name: str) -> None:
        settings = {"dataset_dir": files[name], "output_dir": work / name, "max_epochs": epochs}
        run_bundle("training", ["configs/train.yaml"], settings | quiet, work / f"{name}.log")

    with ThreadPoolExecutor(jobs) as pool:
        averaged = pool.submit(_federate_apart, work, rounds)
        list(pool.map(alone, ["pooled", *(site.name for site in SITES)]))  # the longest first
        settings: dict[str, Any] = {"dataset_dir": files["pooled"], "model_file": averaged.result()}
    settings |= {"output_dir": work / "federated", "missing_phases": False}
    run_bundle("evaluating", ["configs/train.yaml", "configs/evaluate.yaml"], settings, work / "federated.log")
    titles = {site.name: f"{site.name} alone" for site in SITES}
    titles |= {"federated": "federated averaging", "pooled": "pooled images"}
    return pandas.DataFrame([{"training": title, **scores(work / name, test)} for name, title in titles.items()])


def _federate_apart(work: Path, rounds: int) -> Path:
    """Run the federated training in a process of its own, on one thread."""
    line = [sys.executable, "-m", "benchmarks.federated", "--part", str(work), "--rounds", str(rounds)]
    with (work / "federated.log").open("a", encoding="utf-8") as log:
        alone = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run(line, check=True, stdout=log, stderr=log, env=alone)
    return work / "federated" / "model.pt"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30, help="of federated averaging, 2 epochs each")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time, one thread each")
    parser.add_argument("--work", type=Path, default=Path("results/federated"), help="folder of the runs")
    parser.add_argument("--document", type=Path, default=Path("docs/distributed.md"))
    parser.add_argument("--output", type=Path, default=Path("docs/figures/federated.csv"))
    parser.add_argument("--part", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.part is not None:
        torch.set_num_threads(1)
        files = {site.name: given.part / "phantom" / f"{site.name}.json" for site in SITES}
        federate(files, given.rounds, given.part / "federated")
        return
    start = time.perf_counter()
    shutil.rmtree(given.work, ignore_errors=True)
    given.work.mkdir(parents=True)
    rows = compare(given.work.resolve(), given.rounds, given.jobs)
    rows.to_csv(given.output, index=False, float_format="%.4f", lineterminator="\n")
    remarks = (
        f"{SPLITS['test']} test cases per site, seed 0, {given.rounds} rounds of {EPOCHS_PER_ROUND} epochs; "
        f"{(time.perf_counter() - start) / 60:.0f} minutes with {given.jobs} trainings at a time, one thread "
        f"each, {platform.machine()}, torch {torch.__version__.partition('+')[0]}."
    )
    keep_part(given.document, "federated", table(rows, remarks), False, "python -m benchmarks.federated")
    print(table(rows, remarks))


if __name__ == "__main__":
    main()
