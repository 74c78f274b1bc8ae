"""Losses: each takes the network's outputs and the labels."""

from scripts.losses.adaptive import AdaptiveDeepSupervision
from scripts.losses.classification import ClassificationLoss
from scripts.losses.deep_supervision import DeepSupervision
from scripts.losses.evidential import DirichletLoss, EvidentialLoss

__all__ = [
    "AdaptiveDeepSupervision",
    "ClassificationLoss",
    "DeepSupervision",
    "DirichletLoss",
    "EvidentialLoss",
]
