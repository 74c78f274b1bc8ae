"""Cross-validated comparison of strategies: folds, jobs, tables and what they allow to say."""

from .compare import compare, start_comparing

__all__ = ["compare", "start_comparing"]
