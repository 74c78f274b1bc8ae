# SPDX-License-Identifier: Apache-2.0
"""Level and power of the test of the largest gap between sites, and coverage of its interval, on simulated cohorts.

Scores of both classes are normal (binormal), so that the AUC of every site is known. Where all sites are equal, p
should be at most 0.05 in 5% of the cohorts. Three settings keep the AUC of all sites equal but not the scores: at the
last site all are shifted by one standard deviation, or spread twice as wide, or the classes have other frequencies. In
the last two settings sites differ.

OMP_NUM_THREADS=1 python -m benchmarks.site_gap --output docs/figures/site_gap.csv --document docs/results.md

A setting in the table is not simulated again. `--check` computes nothing and exits with 1 if the document differs.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit
from scipy.stats import norm
from scripts.figures.table import markdown_lines
from scripts.metrics.subgroups import Labelled, subgroup_scores

from benchmarks.marked import keep_part
from benchmarks.seeds import append_row, read_rows

FIELDS = (
    "setting", "metric", "patients", "true_gap", "runs", "tested", "draws", "rejected", "covered", "width",
)  # fmt: skip
COMMAND = "python -m benchmarks.site_gap"


@dataclass(frozen=True)
class Setting:
    """Sites, each with its number of patients, share of the class, AUC, shift and spread of its scores."""

    name: str
    patients: Sequence[int]
    aucs: Sequence[float] = (0.85,)
    shares: Sequence[float] = (0.5,)
    shift: float = 0.0  # of all scores at the last site, standard deviations
    spread: float = 1.0  # factor of all scores at the last site
    per_patient: int = 1  # cases, which share half of the variance of their scores

    @property
    def sizes(self) -> str:
        """The numbers of patients, e.g. 100 + 40 + 20 or 8 × 25."""
        same = len(set(self.patients)) == 1
        return f"{len(self.patients)} × {self.patients[0]}" if same else " + ".join(map(str, self.patients))

    def of_site(self, values: Sequence[float], site: int) -> float:
        """Return the value of a site; one value stands for all."""
        return values[site % len(values)]

    @property
    def true_gap(self) -> float:
        """The largest difference in AUC."""
        return max(self.aucs) - min(self.aucs)

    @property
    def metrics(self) -> Sequence[str]:
        """The metrics whose true gap is known: of shifted or spread scores, and of sites that differ, the AUC."""
        equal = self.shift == 0 and self.spread == 1 and self.true_gap == 0
        return ("auc", "accuracy", "sensitivity", "specificity") if equal else ("auc",)


SETTINGS = (
    Setting("equal", (20, 20, 20)),
    Setting("equal", (40, 40)),
    Setting("equal", (100, 40, 20)),
    Setting("equal", (25,) * 8),
    Setting("equal, AUC .95", (40, 40, 40), aucs=(0.95,)),
    Setting("equal, 3 cases per patient", (40, 40, 40), per_patient=3),
    Setting("equal, 3 cases per patient", (20, 20, 20), per_patient=3),
    Setting("other class frequencies (.2, .5, .8)", (60, 40, 60), shares=(0.2, 0.5, 0.8)),
    Setting("scores of the last site shifted", (60, 60, 60), shift=1.0),
    Setting("scores of the last site spread", (60, 60, 60), spread=2.0),
    Setting("AUC .90, .85 and .75", (60, 60, 60), aucs=(0.9, 0.85, 0.75)),
    Setting("AUC .90, .85 and .75", (120, 120, 120), aucs=(0.9, 0.85, 0.75)),
)


def cohort(setting: Setting, run: int, draws: int) -> tuple[Labelled, list[str], list[str]]:
    """Draw a cohort; return its predictions, the site of each case, and the sites."""
    rng = np.random.default_rng([run, *setting.patients])
    scores, labels, patients, sites = [], [], [], []
    for site, number in enumerate(setting.patients):
        label = np.arange(number) < round(number * setting.of_site(setting.shares, site))
        distance = np.sqrt(2) * norm.ppf(setting.of_site(setting.aucs, site))
        patient = np.repeat(np.arange(number), setting.per_patient)
        common = 0.5 if setting.per_patient > 1 else 0.0
        own = rng.normal(size=len(patient))
        noise = np.sqrt(common) * rng.normal(size=number)[patient] + np.sqrt(1 - common) * own
        score = noise + distance * (label[patient] - 0.5)
        last = site == len(setting.patients) - 1
        scores.append(score * (setting.spread if last else 1) + (setting.shift if last else 0))
        labels.append(label[patient].astype(int))
        patients += [f"{site}:{one}" for one in patient]
        sites += [f"site {site}"] * len(patient)
    risk = expit(np.concatenate(scores))
    data = (np.stack([1 - risk, risk], axis=1), np.concatenate(labels), ["low", "high"], patients)
    return Labelled(*data, draws, run, 0.5), sites, list(dict.fromkeys(sites))


def simulate(setting: Setting, runs: int, draws: int, first: int = 0) -> list[dict[str, Any]]:
    """Return per metric how often p is at most 0.05 and how often the interval covers the true largest gap."""
    found: dict[str, list[tuple[float, float, float]]] = {metric: [] for metric in setting.metrics}
    for run in range(first, first + runs):
        data, sites, order = cohort(setting, run, draws)
        for gap in subgroup_scores(data, "site", sites, order)["gaps"]:
            if gap["metric"] in found and gap["gap_interval"]:
                found[gap["metric"]].append((gap["p_value"], *gap["gap_interval"]))
    rows = []
    for metric, values in found.items():
        p, lower, upper = np.array(values).T
        covered = (lower <= setting.true_gap + 1e-12) & (setting.true_gap <= upper)
        row: dict[str, Any] = {"setting": setting.name, "metric": metric, "patients": setting.sizes}
        row |= {"true_gap": round(setting.true_gap, 3), "runs": runs, "tested": len(p), "draws": draws}
        row |= {"rejected": round(float((p <= 0.05).mean()), 4), "covered": round(float(covered.mean()), 4)}
        rows.append(row | {"width": round(float(np.mean(upper - lower)), 3)})
    return rows


def render(rows: Sequence[Mapping[str, str]]) -> str:
    """Return the table: per setting how often p is at most 0.05 for each metric, and the coverage for the AUC."""
    lines = []
    for name, patients in dict.fromkeys((row["setting"], row["patients"]) for row in rows):
        own = {row["metric"]: row for row in rows if (row["setting"], row["patients"]) == (name, patients)}
        shares = [f"{float(own[m]['rejected']):.1%}" if m in own else "–" for m in
                  ("auc", "accuracy", "sensitivity", "specificity")]  # fmt: skip
        lines.append([name, patients, own["auc"]["runs"], *shares, f"{float(own['auc']['covered']):.1%}"])
    header = [
        "sites",
        "patients",
        "cohorts",
        "AUC",
        "accuracy",
        "sensitivity",
        "specificity",
        "interval covers the true gap in AUC",
    ]
    draws = rows[0]["draws"]
    about = f"Seeds from 0, {draws} redistributions of each cohort; standard error of 5%: 0.5% (2000) or 0.7% (1000)."
    return "\n".join([*markdown_lines(header, lines), "", about, ""])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="simulated cohorts per setting")
    parser.add_argument("--first", type=int, default=0, help="seed of the first cohort")
    parser.add_argument("--draws", type=int, default=399, help="redistributions of each")
    parser.add_argument("--output", type=Path, required=True, help="CSV with one row per setting and metric")
    parser.add_argument("--document", type=Path, help="page that gets the table, between its markers")
    parser.add_argument("--check", action="store_true", help="compare only; exit with 1 on a difference")
    given = parser.parse_args(arguments)
    done = {(row["setting"], row["patients"]) for row in read_rows(given.output)}
    for setting in [] if given.check else SETTINGS:
        if (setting.name, setting.sizes) not in done:
            for row in simulate(setting, given.runs, given.draws, given.first):
                append_row(given.output, row, FIELDS)
                print(row, flush=True)
    part = render(read_rows(given.output))
    if given.document:
        keep_part(given.document, "site_gap", part, given.check, COMMAND)
    else:
        print(part)


if __name__ == "__main__":
    main()
