"""The built-in phantom: synthetic multi-phase liver CT whose true class probabilities are known.

The class is carried by the relation between phases; see `latents` for the model and `oracle` for its ceiling.
"""

from __future__ import annotations

from scripts.data.phantom.dataset import ensure_phantom, make_phantom
from scripts.data.phantom.oracle import oracle_auc

__all__ = ["ensure_phantom", "make_phantom", "oracle_auc"]
