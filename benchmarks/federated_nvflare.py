# SPDX-License-Identifier: Apache-2.0
"""Federated averaging over the three sites of the phantom as a job of NVFlare, in its simulator.

    python -m benchmarks.federated_nvflare

The sites, rounds and epochs are those of `benchmarks.federated`, the job is that of configs/federated. Server
and sites are separate processes, which exchange weights as between machines, but without certificates. Prints the
AUC of the global weights at every site; writes nothing outside `--work`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas

from benchmarks.federated import EPOCHS_PER_ROUND, ROOT, SITES, make_sites, scores, table
from benchmarks.seeds import run_bundle

JOB = ROOT / "configs" / "federated"


def write_job(folder: Path, server: Sequence[str] = (), client: Sequence[str] = ()) -> None:
    """Copy the job of the bundle, with other values of its keys.

    Args:
        folder: receives the job.
        server: lines for ``config_fed_server.conf``, e.g. ``num_rounds = 2``; the last value of a key counts.
        client: lines for ``config_fed_client.conf``.
    """
    shutil.copytree(JOB, folder)
    for name, lines in (("server", server), ("client", client)):
        with (folder / "app" / "config" / f"config_fed_{name}.conf").open("a", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in lines))


def simulate(job: Path, sites: Sequence[str], data: Path, work: Path) -> Path:
    """Run a job in NVFlare's simulator and return the file of the global weights.

    Args:
        job: folder of the job.
        sites: their names, each with its cases in ``<data>/<name>.json``. All run in parallel: otherwise NVFlare
            would end a site's process after each round and lose the state of its optimiser.
        data: folder of the cases.
        work: receives the log, the server's folder in ``nvflare``, and the folder of each site in ``sites``.

    Raises:
        RuntimeError: the server logged an error, although the simulator then still exits with 0.
    """
    line = [sys.executable, "-m", "nvflare.cli", "simulator", str(job), "--workspace", str(work / "nvflare")]
    line += ["--clients", ",".join(sites), "--threads", str(len(sites))]
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "FEDERATED_BUNDLE": str(ROOT),
        "FEDERATED_DATA": str(data.resolve()),
        "FEDERATED_RESULTS": str((work / "sites").resolve()),
    }
    log = work / "nvflare.log"
    with log.open("w", encoding="utf-8") as stream:
        subprocess.run(line, check=True, stdout=stream, stderr=stream, env=environment)
    server = work / "nvflare" / "server"
    errors = (server / "log_error.txt").read_text(encoding="utf-8")
    if " - ERROR - " in errors:
        first = next(row for row in errors.splitlines() if " - ERROR - " in row)
        raise RuntimeError(f"the job was not finished: {first}; what led to it is in {log}")
    return server / "simulate_job" / "app_server" / "FL_global_model.pt"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30, help="of federated averaging, 2 epochs each")
    parser.add_argument("--work", type=Path, default=Path("results/federated_nvflare"), help="new folder")
    given = parser.parse_args(arguments)
    work = given.work.resolve()
    work.mkdir(parents=True)
    files = make_sites(work / "phantom")
    write_job(work / "job", [f"num_rounds = {given.rounds}"], [f"local_epochs = {EPOCHS_PER_ROUND}"])
    weights = simulate(work / "job", [site.name for site in SITES], work / "phantom", work)
    test = {"dataset_dir": files["pooled"], "output_dir": work / "evaluation", "missing_phases": False}
    run_bundle("evaluating", ["configs/train.yaml", "configs/evaluate.yaml"], test | {"model_file": weights})
    cases = json.loads(files["pooled"].read_text(encoding="utf-8"))["test"]
    row = {"training": "federated averaging by NVFlare", **scores(work / "evaluation", cases)}
    print(table(pandas.DataFrame([row]), f"global weights: {weights}"))


if __name__ == "__main__":
    main()
