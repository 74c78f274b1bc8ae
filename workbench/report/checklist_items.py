# SPDX-License-Identifier: Apache-2.0
"""The items of two reporting checklists, in our words under their numbers, and which facts of a run answer them.

TRIPOD+AI: Collins GS, Moons KGM, Dhiman P, et al., TRIPOD+AI statement: updated guidance for reporting clinical
prediction models that use regression or machine learning methods, BMJ 2024;385:e078378 (27 items, 52 with their parts).
CLAIM 2024: Tejani AS, Klontzas ME, Gatti AA, et al., Checklist for Artificial Intelligence in Medical Imaging (CLAIM):
2024 update, Radiology: Artificial Intelligence 2024;6(4):e240300 (44 items).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    """One item, or part of one."""

    number: str
    asks: str
    facts: str = ""  # names of `workbench.report.checklist.Facts`, in order, by spaces
    left: str = ""  # what only the authors know beside these facts


@dataclass(frozen=True)
class Checklist:
    """A checklist with its source."""

    name: str
    source: str
    items: tuple[Item, ...]


TRIPOD_AI = Checklist(
    "TRIPOD+AI",
    "Collins et al., TRIPOD+AI statement, BMJ 2024;385:e078378, doi 10.1136/bmj-2023-078378.",
    (
        Item("1", "title: develops or evaluates a model, population, outcome"),
        Item("2", "abstract, by the list for abstracts"),
        Item("3a", "health care context, rationale, earlier models"),
        Item("3b", "target population, purpose, place in the care pathway, users"),
        Item("3c", "known health inequalities"),
        Item("4", "objectives: development, evaluation or both"),
        Item(
            "5a", "sources of the data, why these, how representative", "dataset", "kind of study, representativeness"
        ),
        Item("5b", "dates of recruitment and follow-up"),
        Item("6a", "setting, number and location of centres", "sites", "setting, locations"),
        Item("6b", "eligibility criteria"),
        Item("6c", "treatments, and how they were handled"),
        Item("7", "preparation and quality checks of the data", "preprocessing", "quality checks before dataset.json"),
        Item("8a", "outcome: definition, how and when assessed", "classes", "definition and assessment"),
        Item("8b", "who assessed an outcome that needs judgement"),
        Item("8c", "blinding of the outcome's assessment"),
        Item("9a", "how predictors were chosen", "predictors", "why these"),
        Item("9b", "definition and measurement of predictors", "predictors", "how and when measured"),
        Item("9c", "who assessed predictors that need judgement"),
        Item("10", "sample size and its justification", "sample_size", "justification"),
        Item("11", "missing data", "missing missing_handled", "reasons, cases left out before dataset.json"),
        Item("12a", "use and partition of the data", "splits"),
        Item("12b", "handling of predictors in the analysis", "preprocessing table"),
        Item(
            "12c",
            "type of model, building steps, tuning, internal validation",
            "model training selection",
            "rationale, tuning",
        ),
        Item("12d", "heterogeneity between clusters, how measured", "by_site"),
        Item("12e", "measures and plots of performance", "metrics uncertainty"),
        Item("12f", "updating of the model after evaluation", "updating"),
        Item("12g", "how predictions were computed", "predicting"),
        Item("13", "class imbalance, and recalibration after it", "imbalance calibration"),
        Item("14", "approaches to fairness", "subgroups", "rationale"),
        Item("15", "output of the model, thresholds", "output"),
        Item("16", "differences of development and evaluation data", "same_data", "setting, eligibility"),
        Item("17", "ethics approval and consent"),
        Item("18a", "funding, role of funders"),
        Item("18b", "conflicts of interest"),
        Item("18c", "protocol"),
        Item("18d", "registration"),
        Item("18e", "availability of the data", "", "(SHA-256 of dataset.json: evaluation.json)"),
        Item("18f", "availability of the code", "code", "address"),
        Item("19", "involvement of patients and public"),
        Item("20a", "flow of participants, with and without the outcome", "splits reported", "before dataset.json"),
        Item("20b", "characteristics by source, events, missing data", "characteristics missing sites", "demographics"),
        Item("20c", "evaluation and development data compared", "same_data"),
        Item("21", "participants and events in each analysis", "splits"),
        Item("22", "the full model, for others to use", "specification", "restrictions of access"),
        Item("23a", "performance with intervals, also by subgroup", "performance subgroups"),
        Item("23b", "heterogeneity of performance between clusters", "by_site"),
        Item("24", "results of updating", "updating"),
        Item("25", "interpretation, with fairness"),
        Item("26", "limitations", "cautions", "discussion"),
        Item("27a", "poor or missing input when the model is used", "missing_handled", "assessment of quality in use"),
        Item("27b", "interaction and expertise of users"),
        Item("27c", "next steps, applicability elsewhere"),
    ),
)

CLAIM = Checklist(
    "CLAIM 2024",
    "Tejani et al., CLAIM: 2024 update, Radiol Artif Intell 2024;6(4):e240300, doi 10.1148/ryai.240300.",
    (
        Item("1", "named as a study of AI, with the category of technology", "model", "title"),
        Item("2", "summary of design, methods, results, conclusions"),
        Item("3", "background, intended use and role"),
        Item("4", "aims, objectives, hypotheses"),
        Item("5", "prospective or retrospective"),
        Item("6", "goal of the study"),
        Item("7", "data sources", "dataset sites", "origin"),
        Item("8", "inclusion and exclusion criteria"),
        Item("9", "preprocessing", "preprocessing"),
        Item("10", "selection of subsets of the data", "region", "other selection"),
        Item("11", "de-identification"),
        Item("12", "missing data", "missing missing_handled", "cases left out before dataset.json"),
        Item("13", "image acquisition", "volumes", "protocols, scanners"),
        Item("14", "how the reference standard was obtained", "classes", "method"),
        Item("15", "why this reference standard"),
        Item("16", "source of its annotations"),
        Item("17", "annotation of the test set"),
        Item("18", "variability within and between raters"),
        Item("19", "assignment to partitions", "splits", "how assigned"),
        Item("20", "level at which partitions are disjoint", "disjoint"),
        Item("21", "intended sample size", "sample_size", "how determined"),
        Item("22", "description of the model", "model specification"),
        Item("23", "software and versions", "software"),
        Item("24", "initial parameters", "start"),
        Item("25", "training", "training"),
        Item("26", "choice of the final model", "selection"),
        Item("27", "ensembles", "ensemble"),
        Item("28", "metrics", "metrics"),
        Item("29", "significance and uncertainty", "uncertainty"),
        Item("30", "robustness or sensitivity", "robustness"),
        Item("31", "explainability", "explained"),
        Item("32", "evaluation on internal data", "internal"),
        Item("33", "test on external data", "external"),
        Item("34", "trial registration"),
        Item("35", "patients or examinations included and excluded", "reported splits", "excluded before dataset.json"),
        Item("36", "demographics and clinical features by partition", "characteristics missing", "demographics"),
        Item("37", "metrics with their uncertainty", "performance"),
        Item("38", "diagnostic performance and its precision", "by_class"),
        Item("39", "analysis of failures", "failures", "discussion"),
        Item("40", "limitations", "cautions", "discussion"),
        Item("41", "implications for practice"),
        Item("42", "full protocol or further technical detail", "configuration", "protocol"),
        Item("43", "availability of software, model, data", "code", "addresses"),
        Item("44", "funding, role of funders"),
    ),
)
