"""Cases as points in a plane: what lies close together looks alike to the network."""

from __future__ import annotations

import numpy as np

LEAST = 5
"""Fewer cases say nothing about which lie together."""


def perplexity_of(count: int) -> float:
    """Return the perplexity of t-SNE for n cases: 30, or (n - 1) / 3 where that is less.

    >>> perplexity_of(40), perplexity_of(1000)
    (13.0, 30.0)
    """
    return min(30.0, (count - 1) / 3)


def principal_components(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Project features on their first two principal components.

    Args:
        features: one row per case, F >= 2.

    Shape:
        features: [n, F], n >= 2.

    Returns:
        Coordinates [n, 2], and the share of the variance along each of the two.
    """
    from sklearn.decomposition import PCA
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # the number of threads would change the last digits
        pca = PCA(n_components=2, svd_solver="full")
        return pca.fit_transform(features), pca.explained_variance_ratio_


def neighbour_map(features: np.ndarray, seed: int = 0) -> np.ndarray:
    """Lay cases out by t-SNE, begun from their principal components; neighbours stay neighbours.

    Distances between groups, and the sizes of groups, mean nothing.

    Args:
        features: one row per case.
        seed: the same seed gives the same map.

    Shape:
        features: [n, F], n >= 5. Result: [n, 2].

    Reference: van der Maaten and Hinton, Visualizing data using t-SNE, JMLR 9, 2008.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        tsne = TSNE(2, perplexity=perplexity_of(len(features)), init="pca", random_state=seed)
        return tsne.fit_transform(features)
