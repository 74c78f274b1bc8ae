# SPDX-License-Identifier: Apache-2.0
"""Warnings about the cases: missing phases, sites, and data that differ from those of the training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from scripts.cases.checks import percent
from workbench.prepare.phase_scale import PairScale, scale_text
from workbench.report.cautions import Caution
from workbench.report.contents import Contents
from workbench.report.dataset import Summary

MOST_MISSING = 0.2  # A phase missing in a larger share of the cases is warned of
UNEVEN = 0.01  # p of the chi-squared test below which a phase is missing unevenly between classes
FEWEST_AT_SITE = 5  # Sites with fewer cases are not checked for their classes
MOST_NAMED = 50  # Maximum number of cases named one by one


def data_cautions(contents: Contents) -> Iterator[Caution]:
    """Yield the warnings about the reported cases and, if they are from another dataset, the training's."""
    trained, reported = contents.trained_on, contents.reported
    yield from _about_dataset(reported, not contents.outlines)
    yield from _about_cases(contents)
    if contents.same_data:
        return
    if "reason" in trained:
        yield Caution(
            f"What the model was trained on is not known: {trained['reason']}.",
            "Make sure that no reported patient was among the training's cases.",
        )
        return
    for one in _about_dataset(trained, not contents.outlines):
        yield Caution(f"{one.found[:-1]} (of the data that the model was trained on).", one.advice)
    yield from _differences(contents, trained, reported)


def _about_dataset(summary: Summary, classes: bool) -> Iterator[Caution]:
    """Warn of missing phases and, where cases are classified, of what goes with their class."""
    if "reason" in summary:
        yield Caution(
            f"The data could not be read: {summary['reason']}.", "Tables and warnings about the data are not available."
        )
        return
    for name, split in summary["splits"].items():
        for phase, by_class in split["missing"].items():
            lost = sum(by_class.values())
            if lost > MOST_MISSING * split["cases"]:
                yield Caution(
                    f"Phase {phase} is missing in {lost} of {split['cases']} cases of the {name} split "
                    f"({100 * lost / split['cases']:.0f}%).",
                    "The figures are a mixture of cases with and without it. See whether it can be found; or "
                    "train without this phase and compare.",
                )
    if classes:
        yield from _by_class(summary)


def _by_class(summary: Summary) -> Iterator[Caution]:
    yield from _uneven(summary)
    for site, counts in summary["sites"].items() if len(summary["sites"]) > 1 else ():
        if len(counts) == 1 and sum(counts.values()) >= FEWEST_AT_SITE:
            yield Caution(
                f"All {sum(counts.values())} cases of site {site} are of class {next(iter(counts))}.",
                "The model can tell the class by the scanner. Leave this site out and compare, or evaluate "
                "by site (--leave_one_site_out, docs/evaluation.md).",
            )


def _uneven(summary: Summary) -> Iterator[Caution]:
    """Test, over all labelled cases, whether each phase is missing equally often in every class."""
    from scipy.stats import chi2_contingency

    splits = summary["splits"].values()
    classes = [name for name in summary["classes"] if any(split["classes"].get(name) for split in splits)]
    for phase in list(next(iter(splits))["missing"]) if splits else []:
        lost = [sum(split["missing"][phase].get(name, 0) for split in splits) for name in classes]
        cases = [sum(split["classes"].get(name, 0) for split in splits) for name in classes]
        if len(classes) < 2 or sum(lost) in (0, sum(cases)):
            continue
        present = [all_ - gone for all_, gone in zip(cases, lost, strict=True)]
        if chi2_contingency([lost, present]).pvalue < UNEVEN:
            counts = zip(classes, lost, cases, strict=True)
            shares = ", ".join(f"{gone} of {all_} {name}" for name, gone, all_ in counts)
            yield Caution(
                f"Phase {phase} is missing unevenly between the classes: {shares}.",
                "The model can tell the class by whether the phase is there, which will not hold elsewhere. "
                "Evaluate on cases that all have the phase.",
            )


def _about_cases(contents: Contents) -> Iterator[Caution]:
    """Warn of what the reported predictions lacked: clinical values, parts of regions, a scale per phase."""
    most = MOST_MISSING * contents.predicted
    lost = [f"{name} in {count}" for name, count in contents.clinical_missing.items() if count > most]
    if lost:
        yield Caution(
            f"Clinical values that the model reads are missing in many of the {contents.predicted} reported "
            f"cases: {', '.join(lost)}.",
            "These cases were predicted without them, which the figures do not show apart; predictions.csv "
            "names them (clinical_missing).",
        )
    regions = contents.evaluation.get("regions", {})  # folders of older versions do not say
    if cropped := regions.get("cropped"):
        yield Caution(
            f"The region of interest is larger than the grid and is cropped in {len(cropped)} of "
            f"{regions['cases']} cases: {_names(cropped)}.",
            "Raise grid_size or spacing to see all of it.",
        )
    if left_out := regions.get("left_out"):
        parts = [f"{case} ({percent(share)})" for case, share in left_out.items()]
        outlined = "pieces" in regions
        what, remedy = (
            ("outline", "train the outliner longer") if outlined else ("mask", "set component of the region to all")
        )
        yield Caution(
            f"The {what} has several pieces in {len(parts)} of {regions['cases']} cases, and the model sees the "
            f"largest with those that fit into the grid; left out, of the {what}'s volume: {_names(parts)}.",
            f"See whether the pieces left out could tell the class; raise grid_size or spacing, or {remedy}.",
        )
    scales = [PairScale(**pair) for pair in contents.evaluation.get("phase_scales", ())]
    if any(pair.strain > 1 for pair in scales):
        yield Caution(
            f"The intensity rule is joint, but {scale_text(scales)}.",
            "The phase of larger spread sets the scale of all, and what the other shows is squeezed. Train "
            "again with intensity#joint false, and compare.",
        )


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _differences(contents: Contents, trained: Summary, reported: Summary) -> Iterator[Caution]:
    """Warn of differences between the two datasets, and of phases that no reported case has."""
    for key in ("classes", "phases"):
        names, here = trained[key], reported.get(key)
        if here is not None and set(here) != set(names):
            yield Caution(
                f"The reported dataset declares the {key} {', '.join(here)}; that of the training {', '.join(names)}.",
                "Make sure that equal names mean the same thing in both, and that no case is judged by what "
                "the model never saw.",
            )
    split = reported.get("splits", {}).get(contents.split)
    for phase, by_class in (split["missing"] if split else {}).items():
        if sum(by_class.values()) == split["cases"]:
            yield Caution(
                f"None of the {split['cases']} reported cases has the phase {phase}.",
                "The figures are those of the model without this phase.",
            )
