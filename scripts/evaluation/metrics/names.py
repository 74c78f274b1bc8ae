"""The names of the metrics: keys of metrics.json and columns of the table, in their order."""

from __future__ import annotations

RANKINGS = ("auc", "average_precision")
"""Of the order in which a probability puts the cases; no threshold is needed."""

DECISIONS = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "f1")
"""Of the predicted class."""

METRICS = (*RANKINGS, *DECISIONS)
"""What every row has: each class against the rest, and the macro row."""

OVERALL = ("kappa", "quadratic_kappa", "brier", "ece")
"""What only all classes together have: two of the predicted class, two of the probabilities."""

MACRO = "macro"
"""The name of the last row."""
