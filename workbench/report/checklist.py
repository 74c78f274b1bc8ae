# SPDX-License-Identifier: Apache-2.0
"""checklist.md: where a results folder answers TRIPOD+AI and CLAIM 2024, and what is left to the authors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.figures.table import Table, bounds_text, counted, number
from scripts.files.atomic import write_text
from scripts.metrics.registry import OF_GRADES, TITLES
from workbench.report.cautions import Caution
from workbench.report.checklist_items import CLAIM, TRIPOD_AI, Checklist, Item
from workbench.report.contents import Contents
from workbench.report.dataset import Summary
from workbench.report.headline import headline, patients_of, record_facts, strategy
from workbench.report.outlines import outline_headline

FILE = "checklist.md"
AUTHORS = "for the authors"
PAGE = "report.html"
CONFIG = "configs/train.yaml"
EXPLAINED = {
    "phase_weights.csv": "weights of the phases",
    "attention.csv": "attention",
    "contributions.csv": "contributions of the inputs",
    "features.csv": "maps of the fused features",
}
Fact = tuple[str, str] | None
"""What is known, and the files in which it stands; None where a run knows nothing of it."""


class Facts:
    """What a run knows, each as text and the files in which it stands; a method that knows nothing returns None."""

    def __init__(self, contents: Contents, cautions: list[Caution]) -> None:
        self.contents = contents
        self.config = contents.config
        self.metrics: dict[str, Any] = contents.metrics or {}
        self.data: Summary = contents.reported
        self.warned = cautions

    def _there(self, *names: str) -> list[str]:
        return [name for name in names if (self.contents.folder / name).is_file()]

    def _summaries(self) -> list[Summary]:
        """Return the summaries of the datasets that could be read: trained on, and reported on if another one."""
        both = [self.contents.trained_on, *([] if self.contents.same_data else [self.data])]
        return [one for one in both if one.get("splits")]

    def dataset(self) -> Fact:
        digest = str(self.contents.evaluation.get("dataset_sha256") or "")[:12]
        names = [str(one.get("name")) for one in self._summaries()]
        known = f" (SHA-256 of dataset.json {digest}...)" if digest else ""
        return (f"dataset {' and '.join(names)}{known}", f"{PAGE}, Data") if names else None

    def sites(self) -> Fact:
        found = [f"{one['name']}: {counted(len(one['sites']), 'site')}" for one in self._summaries() if one["sites"]]
        return ("; ".join(found), f"{PAGE}, Cases of each site") if found else None

    def preprocessing(self) -> Fact:
        if "spacing" not in self.config:
            return None
        spacing, size = (" x ".join(map(str, self.config[key])) for key in ("spacing", "grid_size"))
        parts = [_class(self.config[key]) for key in ("region", "intensity", "image_filter") if key in self.config]
        parts = [part for part in parts if part != "Identityd"]
        return f"grid of {size} voxels of {spacing} mm; {', '.join(parts)}", CONFIG

    def region(self) -> Fact:
        return (f"region of the image: {_class(self.config['region'])}", CONFIG) if "region" in self.config else None

    def classes(self) -> Fact:
        names = self.metrics.get("classes") or self.config.get("classes") or self.config.get("structures")
        kind = " (ordered grades)" if self.config.get("ordinal") else ""
        return (f"{', '.join(map(str, names))}{kind}", "dataset.json") if names else None

    def predictors(self) -> Fact:
        phases = ", ".join(map(str, self.config.get("phases", [])))
        columns = [one if isinstance(one, str) else one["name"] for one in self.config.get("clinical") or []]
        return (f"volumes {phases}; clinical table {', '.join(columns) or 'none'}", CONFIG) if phases else None

    def table(self) -> Fact:
        standardised = "numbers standardised by training cases, categories one-hot"
        return (standardised, f"{CONFIG}, table") if self.config.get("clinical") else None

    def sample_size(self) -> Fact:
        bounds = self.metrics.get("macro", {}).get("auc_interval")
        width = f"; the interval of the AUC is {bounds[1] - bounds[0]:.2f} wide" if bounds else ""
        return f"{self._n()}{width}", "metrics.json"

    def _n(self) -> str:
        return f"{self.contents.split}: {counted(self.contents.n, 'case')} of {patients_of(self.contents)}"

    def reported(self) -> Fact:
        return self._n(), "predictions.csv"

    def missing(self) -> Fact:
        found = []
        for name, split in self.data.get("splits", {}).items():
            lost = {phase: sum(counts.values()) for phase, counts in split["missing"].items()}
            told = [f"{phase} {count} of {split['cases']}" for phase, count in lost.items() if count]
            found += [f"{name} lacks {', '.join(told)}"] if told else []
        clinical = self.contents.clinical_missing
        found += [f"{name} unknown in {n} of {self.contents.predicted}" for name, n in clinical.items() if n]
        if not found and not self.data.get("splits"):
            return None
        return "; ".join(found) or "no case lacks a volume or value in use", f"{PAGE}, Cases without a phase"

    def missing_handled(self) -> Fact:
        if "phase_dropout" not in self.config:
            return None
        hidden = [f"phases {self.config['phase_dropout']}"]
        hidden += [f"clinical values {self.config['clinical_dropout']}"] if self.config.get("clinical") else []
        early = _class(self.config.get("network_def")) == "EarlyFusionNetwork"
        absent = "an absent volume is read as 0" if early else "absent volumes and values are left out of the fusion"
        told = f"{absent}; hidden in training with probability: {', '.join(hidden)}"
        return told, f"{CONFIG}, phase_dropout"

    def splits(self) -> Fact:
        found = []
        for one in self._summaries():
            for name, split in one["splits"].items():
                each = ", ".join(f"{n} {label}" for label, n in split["classes"].items())
                patients = "" if split["patients"] is None else f" of {counted(split['patients'], 'patient')}"
                found.append(f"{name} {counted(split['cases'], 'case')}{patients} ({each})")
        return ("; ".join(found), f"{PAGE}, Cases and patients") if found else None

    def disjoint(self) -> Fact:
        splits = [split for one in self._summaries() for split in one["splits"].values()]
        if not splits:
            return None
        if any(split["patients"] is None for split in splits):
            return "by case; dataset.json names no patients, so that each case counts as one", "dataset.json"
        return "by patient: one in two splits is refused", "dataset.json"

    def volumes(self) -> Fact:
        there = [name for name, found in self.data.get("volumes", {}).items() if "spacing" in found]
        return (f"spacing and size of {', '.join(there)}", f"{PAGE}, Spacing and size") if there else None

    def model(self) -> Fact:
        return (f"deep learning: {strategy(self.config)}", CONFIG) if self.config else None

    def specification(self) -> Fact:
        if not (self.contents.model / "configs" / "inference.yaml").is_file():
            return None
        files = "models/model.pt, configs/inference.yaml, configs/metadata.json"
        return "weights, configuration and code that predict new cases", files

    def training(self) -> Fact:
        keys = ("max_epochs", "batch_size", "learning_rate", "weight_decay", "dropout", "label_smoothing")
        told = [f"{key.replace('_', ' ')} {self.config[key]}" for key in keys if key in self.config]
        told += [f"seed {self.contents.training['seed']}"] if "seed" in self.contents.training else []
        return (", ".join(told), f"{CONFIG}; learning_curves.csv") if told else None

    def selection(self) -> Fact:
        rule = self.config.get("selection_rule")
        best = [row for row in self.contents.history if row.get("best")]
        epoch = f", epoch {best[-1]['epoch']:g}" if best and "epoch" in best[-1] else ""
        return (f"best checkpoint by {rule} on the validation split{epoch}", "learning_curves.csv") if rule else None

    def start(self) -> Fact:
        keys = ("start_weights", "encoder_weights")
        named = [f"{key.replace('_', ' ')} {Path(str(self.config[key])).name}" for key in keys if self.config.get(key)]
        return (", ".join(named) or "random, by the seed", CONFIG) if self.config else None

    def ensemble(self) -> Fact:
        n = self.contents.models
        return ("one model" if n == 1 else f"mean probability of {n} models"), "evaluation.json"

    def metrics_named(self) -> Fact:
        macro = (self.metrics.get("outlines") or [self.metrics.get("macro", {})])[-1]
        named = [name for name in macro if f"{name}_interval" in macro]
        named = [name for name in named if name not in OF_GRADES or len(self.metrics["classes"]) > 2]
        names = [TITLES.get(name, name).split(" (")[0] for name in named]
        names += ["prediction sets"] if "prediction_sets" in self.metrics else []
        plots = self._there("roc.png", "precision_recall.png", "reliability.png", "decision_curve.png")
        return (", ".join(names), ", ".join(["metrics.json", *plots])) if names else None

    def uncertainty(self) -> Fact:
        methods = {str(found.get("method")) for found in self.metrics.get("intervals", {}).values()}
        over = "patients" if self.contents.patients else "cases"
        how = f" ({'; '.join(sorted(methods))})" if methods - {"None"} else ""
        return f"95% intervals over {over}{how}", "metrics.json, intervals"

    def calibration(self) -> Fact:
        found = self.metrics.get("calibration")
        if not found:
            return None
        before, after = found["ece_before"], found["ece_after"]
        told = (
            f"temperature {found['temperature']:.2f}: calibration error {number(before)} before, {number(after)} after"
        )
        return told, "metrics.json, calibration; reliability.png"

    def updating(self) -> Fact:
        return (
            ("none after the evaluation; the temperature is of the validation split", CONFIG) if self.config else None
        )

    def predicting(self) -> Fact:
        return "softmax of the logits divided by the temperature", "predictions.csv; configs/inference.yaml"

    def imbalance(self) -> Fact:
        if "class_weights" not in self.config:
            return None
        weights, gamma = self.config["class_weights"] or "none", self.config.get("focal_gamma", 0)
        return f"class weights: {weights}; focal gamma {gamma}", CONFIG

    def output(self) -> Fact:
        row = self.metrics.get("at_threshold")
        told = "probability of each class; the predicted class is the most probable"
        if row:
            told += f"; {row['class']} from {number(row['threshold'])}, chosen by {row.get('chosen_by', 'validation')}"
        return None if self.contents.outlines else (told, "metrics.json, at_threshold" if row else "predictions.csv")

    def _groups(self, word: str) -> list[str]:
        groups = self.metrics.get("prediction_sets", {}).get("groups", [])
        return [str(one["group"]) for one in groups if str(one["group"]).startswith(word)]

    def by_site(self) -> Fact:
        named = self._groups("site ")
        return (f"coverage of prediction sets of {counted(len(named), 'site')}", "metrics.json") if named else None

    def subgroups(self) -> Fact:
        files = self._there("subgroups.csv")
        return ("metrics of subgroups", files[0]) if files else None

    def same_data(self) -> Fact:
        names = [str(one.get("name")) for one in (self.contents.trained_on, self.data)]
        told = "one dataset, split" if self.contents.same_data else f"trained on {names[0]}, reported on {names[1]}"
        return told, f"{PAGE}, Data"

    def internal(self) -> Fact:
        return (f"{self._n()}", "metrics.json") if self.contents.same_data else None

    def external(self) -> Fact:
        told = f"{self.data.get('name')}, {self._n()}"
        return None if self.contents.same_data else (told, "metrics.json")

    def code(self) -> Fact:
        facts = dict(record_facts(self.contents.training or self.contents.evaluation))
        return (f"git revision {facts['Git revision']}", "environment.json") if "Git revision" in facts else None

    def software(self) -> Fact:
        facts = dict(record_facts(self.contents.training or self.contents.evaluation or self.metrics))
        told = [facts[key] for key in ("Versions", "Machine") if facts.get(key)]
        told += [counted(int(facts["Threads"]), "thread")] if facts.get("Threads") else []
        return ("; ".join(told), "environment.json; metrics.json") if told else None

    def characteristics(self) -> Fact:
        return ("classes, missing phases, sites and volumes by split", f"{PAGE}, Data") if self._summaries() else None

    def performance(self) -> Fact:
        return (outline_headline if self.contents.outlines else headline)(self.contents), "metrics.json"

    def by_class(self) -> Fact:
        row = self.metrics.get("at_threshold")
        each = [row] if row else self.metrics.get("per_class", [])
        found = [
            f"{one['class']}: sensitivity {_value(one, 'sensitivity')}, specificity {_value(one, 'specificity')}"
            for one in each
        ]
        return ("; ".join(found), "metrics.json") if found else None

    def robustness(self) -> Fact:
        names = {"missing_phases.csv": "withheld phases", "robustness.csv": "noise, blur, bias field, shift, motion"}
        files = self._there(*names)
        return (", ".join(names[file] for file in files), ", ".join(files)) if files else None

    def explained(self) -> Fact:
        files = self._there(*EXPLAINED)
        return (", ".join(EXPLAINED[file] for file in files), ", ".join(files)) if files else None

    def failures(self) -> Fact:
        files = self._there("worst_errors.png", "confusion_matrix.png", "outlined_cases.png")
        return ("the most wrong cases, and which classes are confused", ", ".join(files)) if files else None

    def cautions(self) -> Fact:
        told = counted(len(self.warned), "warning") if self.warned else "no warning of what is looked for"
        return f"{told} of the report", f"{PAGE}, first section"

    def configuration(self) -> Fact:
        return ("every setting", CONFIG) if self.config else None


def answer(item: Item, facts: Facts) -> tuple[str, str]:
    """Return what a run says to an item, and where that stands; what it does not know is left to the authors."""
    known: list[Callable[[], Fact]] = [
        getattr(facts, "metrics_named" if name == "metrics" else name) for name in item.facts.split()
    ]
    found = [fact for fact in (look() for look in known) if fact is not None]
    told = "; ".join(text.rstrip(".") for text, _ in found)
    where = "; ".join(dict.fromkeys(part for _, place in found for part in place.split("; ")))
    if not found:
        return " ".join([AUTHORS, item.left if item.left.startswith("(") else ""]).strip(), ""
    return f"{told}; {AUTHORS}: {item.left}" if item.left else told, where


def checklists(contents: Contents, cautions: list[Caution]) -> list[Table]:
    """Return a table per checklist: item, what it asks for, the answer, and where it stands."""
    facts = Facts(contents, cautions)
    return [_table(one, facts) for one in (TRIPOD_AI, CLAIM)]


def _table(checklist: Checklist, facts: Facts) -> Table:
    rows = [[item.number, item.asks, *answer(item, facts)] for item in checklist.items]
    whole = sum(AUTHORS not in row[2] for row in rows)
    none = sum(row[2].startswith(AUTHORS) for row in rows)
    notes = [
        f"Of {len(rows)} items and parts, this run answers {whole}, {len(rows) - whole - none} in part, and leaves "
        f"{none} to the authors. Files lie in the results folder.",
        f"Items in our words, under the numbers of {checklist.source} Only the original counts.",
    ]
    return Table(checklist.name, facts.contents.cases, ["item", "asks for", "answer", "where"], rows, notes)


def write_checklists(folder: Path, tables: list[Table]) -> Path:
    """Write checklist.md."""
    head = f"# Reporting checklists\n\nWritten by the run, and again with {PAGE}: copy it before you fill it in.\n"
    return write_text(folder / FILE, "\n".join([head, *(f"{table.markdown()}\n" for table in tables)]))


def _class(part: Any) -> str:
    return str(part.get("_target_", part)).rpartition(".")[2] if isinstance(part, dict) else str(part)


def _value(row: dict[str, Any], metric: str) -> str:
    return number(row.get(metric)) + bounds_text(*(row.get(f"{metric}_interval") or (None, None)))
