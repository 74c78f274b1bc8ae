"""Warnings about the cases: missing phases, sites, other data than those of the training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scripts.cases.cut_regions import percent
from workbench.prepare.phase_scale import PairScale, scale_text
from workbench.report.cautions import Caution
from workbench.report.contents import Contents
from workbench.report.dataset import Summary

MOST_MISSING = 0.2
"""Share of cases without a phase above which it is worth a word."""
UNEVEN = 0.01
"""p of the chi-squared test below which a phase is missing unevenly between classes."""
FEWEST_AT_SITE = 5
"""Cases that a site must have before its classes are looked at."""

MOST_NAMED = 50
"""Cases named one by one."""


def data_cautions(contents: Contents) -> list[Caution]:
    """Return the warnings about the training's cases and, where they are others, the reported ones."""
    trained, reported = contents.trained_on, contents.reported
    found = [
        *_about_dataset(reported),
        *_clinical(contents),
        *_regions(contents.evaluation.get("regions", {})),
        *_scales(contents),
    ]
    if contents.same_data:
        return found
    if "reason" in trained:
        unknown = Caution(
            f"What the model was trained on is not known: {trained['reason']}.",
            "Make sure that no reported patient was among the training's cases.",
        )
        return [*found, unknown]
    where = "of the data that the model was trained on"
    found += [Caution(f"{one.found[:-1]} ({where}).", one.advice) for one in _about_dataset(trained)]
    return found + _differences(contents, trained, reported)


def _about_dataset(summary: Summary) -> list[Caution]:
    if "reason" in summary:
        return [
            Caution(
                f"The data could not be read: {summary['reason']}.",
                "Tables and warnings about the data are not available.",
            )
        ]
    return [*_missing(summary), *_uneven(summary), *_sites(summary)]


def _missing(summary: Summary) -> list[Caution]:
    """Name each split and phase that lacks more than it should."""
    found = []
    for name, split in summary["splits"].items():
        for phase, by_class in split["missing"].items():
            lost = sum(by_class.values())
            if lost > MOST_MISSING * split["cases"]:
                found.append(
                    Caution(
                        f"Phase {phase} is missing in {lost} of {split['cases']} cases of the {name} split "
                        f"({100 * lost / split['cases']:.0f}%).",
                        "The figures are a mixture of cases with and without it. See whether it can be "
                        "found; or "
                        "train without this phase and compare.",
                    )
                )
    return found


def _uneven(summary: Summary) -> list[Caution]:
    """Test over all labelled cases whether each phase is missing as often in every class."""
    from scipy.stats import chi2_contingency

    splits = summary["splits"].values()
    classes = [name for name in summary["classes"] if any(split["classes"].get(name) for split in splits)]
    phases = list(next(iter(splits))["missing"]) if splits else []
    found = []
    for phase in phases:
        lost = [sum(split["missing"][phase].get(name, 0) for split in splits) for name in classes]
        cases = [sum(split["classes"].get(name, 0) for split in splits) for name in classes]
        if len(classes) < 2 or sum(lost) in (0, sum(cases)):
            continue
        present = [all_ - gone for all_, gone in zip(cases, lost, strict=True)]
        if chi2_contingency([lost, present]).pvalue < UNEVEN:
            shares = ", ".join(
                f"{gone} of {all_} {name}" for name, gone, all_ in zip(classes, lost, cases, strict=True)
            )
            found.append(
                Caution(
                    f"Phase {phase} is missing unevenly between the classes: {shares}.",
                    "The model can tell the class by whether the phase is there, which will not hold "
                    "elsewhere. "
                    "Evaluate on cases that all have the phase.",
                )
            )
    return found


def _scales(contents: Contents) -> list[Caution]:
    """Say so where phases are scaled together that do not share a scale."""
    scales = [PairScale(**pair) for pair in contents.evaluation.get("phase_scales", ())]
    if not any(pair.strain > 1 for pair in scales):
        return []
    return [
        Caution(
            f"The intensity rule is joint, but {scale_text(scales)}.",
            "The phase of larger spread sets the scale of all, and what the other shows is squeezed. Train "
            "again with intensity#joint false, and compare.",
        )
    ]


def _sites(summary: Summary) -> list[Caution]:
    sites = summary["sites"]
    if len(sites) < 2:
        return []
    return [
        Caution(
            f"All {sum(counts.values())} cases of site {site} are of class {next(iter(counts))}.",
            "The model can tell the class by the scanner. Leave this site out and compare, or evaluate by "
            "site "
            "(--leave_one_site_out, docs/evaluation.md).",
        )
        for site, counts in sites.items()
        if len(counts) == 1 and sum(counts.values()) >= FEWEST_AT_SITE
    ]


def _clinical(contents: Contents) -> list[Caution]:
    """Name the clinical columns that the reported predictions had to do without."""
    lost = {
        name: count
        for name, count in contents.clinical_missing.items()
        if count > MOST_MISSING * contents.predicted
    }
    if not lost:
        return []
    named = ", ".join(f"{name} in {count}" for name, count in lost.items())
    return [
        Caution(
            "Clinical values that the model reads are missing in many of the "
            f"{contents.predicted} reported cases: {named}.",
            "These cases were predicted without them, which the figures do not show apart; "
            "predictions.csv names them (clinical_missing).",
        )
    ]


def _regions(facts: Mapping[str, Any]) -> list[Caution]:
    """Name the cases that the grid shows only in part; folders of older versions do not say."""
    found = []
    if facts.get("cropped"):
        found.append(
            Caution(
                "The region of interest is larger than the grid and is cropped in "
                f"{len(facts['cropped'])} of {facts['cases']} cases: {_names(facts['cropped'])}.",
                "Raise grid_size or spacing to see all of it.",
            )
        )
    if facts.get("left_out"):
        parts = [f"{case} ({percent(share)})" for case, share in facts["left_out"].items()]
        found.append(
            Caution(
                f"The mask has several pieces in {len(parts)} of {facts['cases']} cases, and the model sees "
                "the largest with those that fit into the grid; left out, of the mask's volume: "
                f"{_names(parts)}.",
                "See whether the pieces left out could tell the class; raise grid_size or spacing, or set "
                "component of the region to all.",
            )
        )
    return found


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _differences(contents: Contents, trained: Summary, reported: Summary) -> list[Caution]:
    """Compare what the two datasets declare, and the phases that the reported cases have."""
    found = []
    for key in ("classes", "phases"):
        names, here = trained[key], reported.get(key)
        if here is not None and set(here) != set(names):
            found.append(
                Caution(
                    f"The reported dataset declares the {key} {', '.join(here)}; that of the training "
                    f"{', '.join(names)}.",
                    "Make sure that equal names mean the same thing in both, and that no case is judged by "
                    "what "
                    "the model never saw.",
                )
            )
    split = reported.get("splits", {}).get(contents.split)
    for phase, by_class in (split["missing"] if split else {}).items():
        if sum(by_class.values()) == split["cases"]:
            found.append(
                Caution(
                    f"None of the {split['cases']} reported cases has the phase {phase}.",
                    "The figures are those of the model without this phase.",
                )
            )
    return found
