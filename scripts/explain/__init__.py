"""What moved a prediction: the contribution of each phase, and where in it."""

from __future__ import annotations

from scripts.explain.case_explanation import CaseExplainer, CaseExplanation
from scripts.explain.chosen_cases import choose_cases, located
from scripts.explain.class_activation import grad_cam, layer_cam
from scripts.explain.contributions import Contributions, phase_contributions
from scripts.explain.explaining import explain_cases
from scripts.explain.occlusion import Occlusion
from scripts.explain.original_grid import to_original_grid
from scripts.explain.shapley import coalitions, shapley_values

__all__ = [
    "CaseExplainer",
    "CaseExplanation",
    "Contributions",
    "Occlusion",
    "choose_cases",
    "coalitions",
    "explain_cases",
    "grad_cam",
    "layer_cam",
    "located",
    "phase_contributions",
    "shapley_values",
    "to_original_grid",
]
