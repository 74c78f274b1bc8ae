"""Is one model better than another? Tests on the same cases, over folds, and for many pairs at once."""

from __future__ import annotations

from scripts.evaluation.paired.bootstrap import bootstrap_difference
from scripts.evaluation.paired.comparison import Comparison, p_text
from scripts.evaluation.paired.delong import delong_test
from scripts.evaluation.paired.folds import corrected_t_test
from scripts.evaluation.paired.holm import add_holm, holm
from scripts.evaluation.paired.pairs import compare_all

__all__ = [
    "Comparison",
    "add_holm",
    "bootstrap_difference",
    "compare_all",
    "corrected_t_test",
    "delong_test",
    "holm",
    "p_text",
]
