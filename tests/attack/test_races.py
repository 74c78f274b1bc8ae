# SPDX-License-Identifier: Apache-2.0
"""Two commands at one instant in one place: in effect one after the other, or one ends in one line."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import yaml
from scripts.files.atomic import PARTIAL
from workbench.prepare.phantom.dataset import make_phantom

from tests.attack.forked_command import ForkedCommands

ROOT = Path(__file__).resolve().parents[2]
KEPT = {
    "predictions.csv", "learning_curves.csv", "metrics.json", "dataset.json", "data.yaml",
    "contributions.csv", "localisation.csv", "prediction.json", "truth.csv", "pooled.csv", "trained.txt",
}  # fmt: skip
"""Files whose content a run repeats; of the others (with times, versions and places) the name counts."""
REFUSED = r"found .+\(process \d+ on .+\) at work there|must be a new or empty folder|exists already and would be"
"""What the one says that does not get the place: the other has it, or has filled it."""

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Race:
    """Two commands; `{place}` in them is the folder in which they meet.

    Args:
        name: of the race.
        first, second: arguments after `python -m`; without the second, the first twice.
        before: what lies in the folder at the start: folders of `Site`, by name.
        together: whether both must succeed.
    """

    name: str
    first: str
    second: str = ""
    before: str = ""
    together: bool = False

    def commands(self) -> tuple[str, str]:
        return self.first, self.second or self.first


FULL = "monai.bundle run training --config_file configs/train.yaml {small} --max_epochs 2 "
TRAIN = FULL.replace("configs/train.yaml", "['configs/train.yaml','{light}']")
MORE = FULL + "--output_dir {place}/trained --resume true --max_epochs 3"
USE = "monai.bundle run %s --bundle_root {place}/trained --dataset_dir {data} --output_dir {place}/out --config_file "
INFER = USE % "inferring" + "{own}/inference.yaml"
EVALUATE = USE % "evaluating" + "['{own}/train.yaml','{own}/evaluate.yaml']"
EXPLAIN = USE % "explaining" + "['{own}/inference.yaml','configs/explain.yaml'] --case "
EXPORT = (
    "monai.bundle run exporting --bundle_root {place}/trained --rounds 1 --config_file "
    "['{own}/inference.yaml','configs/export.yaml']"
)
REPORT = "monai.bundle run reporting --config_file configs/report.yaml --bundle_root {place}/trained"
PREPARE = (
    "monai.bundle run preparing --config_file configs/prepare.yaml --source {data} --layout folders "
    "--labels {labels} --output {place}/out --workers 1"
)
COMPARE = (
    "monai.bundle run comparing --config_file configs/compare.yaml {small} --max_epochs 1 "
    "--strategies [concat] --folds 2 --repeats 1 --jobs 1 --draws 50 --output_dir {place}/out "
    "--cache_dir {place}/cache"
)
PACK = "workbench.package --bundle_root {place}/trained --output {place}/dist"
PREDICT = "workbench.predict --trust --run {place}/trained --output {place}/out --input {data}/"
FIRST = TRAIN.replace("{small}", "{tiny}") + "--dataset_dir {place}/data/phantom --output_dir {place}/"
CACHED = TRAIN + "--cache disk --cache_dir {place}/cache --output_dir {place}/"
RACES = [
    Race("two trainings of one name", TRAIN + "--name {below}/mine", together=True),
    Race("two trainings into one folder", TRAIN + "--output_dir {place}/out"),
    Race("a training and its resumption", TRAIN + "--output_dir {place}/trained", MORE, "trained"),
    Race("two resumptions", MORE, before="trained"),
    Race("a shared cache", CACHED + "a", CACHED + "b", together=True),
    Race("the list of trained folders", FULL + "--output_dir {place}/a", TRAIN + "--output_dir {place}/b"),
    Race("the phantom on first use", FIRST + "a", FIRST + "b", together=True),
    Race("two preparing", PREPARE),
    Race("two preparing over an earlier one", PREPARE + " --overwrite true", before="prepared"),
    Race("two comparing", COMPARE),
    Race("two explaining one case", EXPLAIN + "{case}", before="trained"),
    Race("two explaining two cases", EXPLAIN + "{case}", EXPLAIN + "{other}", "trained"),
    Race("two inferring", INFER, before="trained"),
    Race("inferring and evaluating", INFER, EVALUATE, "trained"),
    Race("two evaluating", EVALUATE, before="trained"),
    Race("two exporting", EXPORT, before="trained"),
    Race("two packaging", PACK, before="trained"),
    Race("two predicting one patient", PREDICT + "{case}", before="trained"),
    Race("two predicting two patients", PREDICT + "{case}", PREDICT + "{other}", "trained"),
    Race("a training and a report", MORE, REPORT, "trained"),
    Race("a training and packaging of its model", MORE, PACK, "trained"),
]


def light() -> dict[str, Any]:
    """Return an overlay that leaves out figures and what follows the test."""
    train, infer = (yaml.safe_load((ROOT / "configs" / name).read_text()) for name in ("train.yaml", "inference.yaml"))
    handlers = train["test"]["handlers"][:2] + infer["handlers"][-1:]
    run = [step for step in train["run"] if "further" not in step]
    return {"run": run, "test#handlers": handlers}


class Site:
    """A copy of the bundle, two processes that are forked, and folders to begin with."""

    def __init__(self, root: Path, data: Path, runners: Sequence[ForkedCommands]) -> None:
        self.root, self.data, self.runners = root, data, runners
        self.known: dict[tuple[str, ...], dict[str, str]] = {}
        self.bundle = root / "bundle"
        self.places = self.bundle / "results" / "places"
        for part in ("configs", "scripts", "workbench"):
            shutil.copytree(ROOT / part, self.bundle / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "LICENSE", self.bundle)
        entries = json.loads((data / "dataset.json").read_text())
        every = [entry for split in ("training", "validation", "test") for entry in entries[split]]
        rows = [f"{entry['case']},{entry['label']}\n" for entry in every]
        (root / "labels.csv").write_text("case,label\n" + "".join(rows))
        phantom = self.bundle / "workbench" / "prepare" / "phantom" / "dataset.py"
        sizes = r'\g<1>{"training": 8, "validation": 4, "test": 4}'
        small, found = re.subn(r"(DEFAULT_SPLITS = ).*", sizes, phantom.read_text())
        phantom.write_text(small)
        assert found == 1
        (root / "light.json").write_text(json.dumps(light()))
        tiny = "--spacing [4.0,4.0,4.0] --grid_size [16,16,16]"
        self.words = {
            "tiny": tiny, "small": f"{tiny} --dataset_dir {data}", "data": data,
            "labels": root / "labels.csv", "light": root / "light.json",
            "case": entries["test"][0]["case"], "other": entries["test"][1]["case"],
        }  # fmt: skip

    def place(self, name: str, before: str) -> Path:
        """Make a folder for commands to meet in."""
        place = self.places / name.replace(" ", "_")
        place.mkdir(parents=True)
        (place / "tmp").mkdir()
        if before:
            target = {"prepared": "out"}.get(before, before)
            shutil.copytree(self.root / before, place / target)
        return place

    def run(self, command: str, place: Path, runner: int = 0, start: Barrier | None = None) -> tuple[int, str]:
        module, *arguments = command.format(
            place=place, below=f"places/{place.name}", own=f"{place}/trained/configs", **self.words
        ).split(" ")
        environ = {"XDG_DATA_HOME": place / "home", "TMPDIR": place / "tmp", "OMP_NUM_THREADS": "1"}
        if start is not None:
            start.wait()
        return self.runners[runner].run(
            [one for one in arguments if one],
            400,
            module,
            self.bundle,
            {key: str(value) for key, value in environ.items()},
        )

    def alone(self, name: str, before: str, *commands: str) -> dict[str, str]:
        """Return what commands leave that run one after the other."""
        if (before, *commands) not in self.known:
            place = self.place(name, before)
            for command in commands:
                self.run(command, place)
            self.known[before, *commands] = found_in(place)
        return self.known[before, *commands]


def digest(file: Path, place: Path) -> str:
    """Return the hash of a file, without the name of the folder and times of day."""
    ours = f"places/{place.name}".encode()  # whichever folder a path is seen from
    content = re.sub(rb"\d{4}-\d\d-\d\dT[\d:.]+", b"", file.read_bytes().replace(ours, b""))
    return hashlib.sha256(content).hexdigest()[:12]


def found_in(place: Path) -> dict[str, str]:
    """Return the files of a folder, with the hash of those that a run repeats."""
    found = {}
    for file in (path for path in place.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        name = re.sub(r"events\.out\.tfevents.*", "events", str(file.relative_to(place)))
        same = file.name in KEPT or (file.suffix in (".pt", ".gz", ".zip") and file.name != "last.pt")
        found[name] = digest(file, place) if same else ""
    if "home/multiphase_fusion_classification/trained.txt" in found:
        lines = (place / "home" / "multiphase_fusion_classification" / "trained.txt").read_text().splitlines()
        found["home/multiphase_fusion_classification/trained.txt"] = f"{len(lines)} of {max(map(len, lines))}"
    return found


def left_over(place: Path) -> list[str]:
    """Return what only a run at work has a right to."""
    hidden = [path for path in place.rglob(".*") if path.name.startswith((PARTIAL, ".earlier", ".phantom"))]
    scratch = [path for path in (place / "tmp").iterdir() if path.name != ".ses"]  # onnxruntime's own
    held = [path for path in place.rglob(".run") if "process" in json.loads(path.read_text())]
    return [str(path.relative_to(place)) for path in [*hidden, *held, *scratch]]


def differences(found: dict[str, str], whole: dict[str, str]) -> list[str]:
    return sorted(name for name in found.keys() | whole.keys() if found.get(name) != whole.get(name))


def run_race(site: Site, race: Race) -> Counter[str]:
    """Run both commands at once, and compare what they leave with what they leave one after the other."""
    place, start = site.place(race.name, race.before), Barrier(2)
    first, second = race.commands()
    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(lambda one: site.run(one[1], place, one[0], start), enumerate((first, second))))
    problems = [f"left over {name}" for name in left_over(place)]
    failed = [said for status, said in ends if status]
    count = Counter(tried=1, done=2 - len(failed), refused=len(failed), left_over=len(problems))
    for said in failed:
        lines = [line for line in said.splitlines() if re.search(REFUSED, line)]
        if "Traceback" in said or not lines:
            count["tracebacks"] += 1
            problems.append(f"said {said[-1500:]}")
    if len(failed) == 2 or (failed and race.together):
        count["wrongly_accepted"] += 1
        problems.append(f"{len(failed)} failed: {[said[-600:] for said in failed]}")
    found, nearest = found_in(place), None
    for number, order in enumerate(orders(race, failed, ends)):
        wrong = differences(found, site.alone(f"{race.name} alone {number}", race.before, *order))
        nearest = wrong if nearest is None or len(wrong) < len(nearest) else nearest
        if not wrong:
            break
    if nearest:
        count["wrongly_accepted"] += 1
        problems.append(f"mixed {nearest[:12]}")
    for problem in problems:
        print(f"{race.name}: {problem}", flush=True)
    shutil.rmtree(site.places)
    return count


def orders(race: Race, failed: Sequence[str], ends: Sequence[tuple[int, str]]) -> Iterator[tuple[str, ...]]:
    """Return the commands that succeeded, in each order in which they may have."""
    done = [command for command, (status, _) in zip(race.commands(), ends, strict=True) if not status]
    yield tuple(done)
    if len(done) == 2 and done[0] != done[1]:
        yield done[1], done[0]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("races")
    make_phantom(root / "data", splits={"training": 12, "validation": 4, "test": 4})
    with ForkedCommands() as one, ForkedCommands() as other:
        found = Site(root, root / "data", (one, other))
        for name, command in (("trained", FULL + "--output_dir {place}/trained"), ("prepared", PREPARE)):
            place = found.place(name, "")
            status, said = found.run(command, place)
            assert status == 0, said
            (place / {"prepared": "out"}.get(name, name)).rename(found.root / name)
        shutil.rmtree(found.places)
        yield found


def test_two_at_once_are_as_one_after_the_other(site, tally) -> None:
    counted = tally("races")
    only = os.environ.get("RACES", "")
    for race in RACES:
        if re.search(only, race.name):
            counted.part(race.name, lambda race=race: run_race(site, race))
    counted.close(tried=len([race for race in RACES if re.search(only, race.name)]))
