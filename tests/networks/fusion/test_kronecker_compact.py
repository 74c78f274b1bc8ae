# SPDX-License-Identifier: Apache-2.0
"""The tensor sketch against torch.fft and against the exact product; the strategy against its formula."""

from __future__ import annotations

import copy

import pytest
import torch
from scripts.networks.fusion.kronecker_compact import KroneckerCompact, TensorSketch
from torch import Tensor
from torch.nn import functional


def count_sketches(sketch: TensorSketch, x: Tensor, length: int) -> Tensor:
    """Return the count sketch of every vector, [M, B, D], by adding up entry by entry."""
    result = torch.zeros(x.shape[1], len(x), length)
    for m in range(x.shape[1]):
        for i in range(x.shape[2]):
            result[m, :, sketch.hashes[m, i]] += sketch.signs[m, i] * x[:, m, i]
    return result


def correlation(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


@pytest.mark.parametrize("length", [256, 37, 2])
@pytest.mark.parametrize("num_vectors", [1, 2, 3, 8])
def test_equals_the_fast_fourier_transform(num_vectors, length):
    torch.manual_seed(0)
    x = torch.randn(4, num_vectors, 10)
    x = x / x.norm(dim=2, keepdim=True)
    sketch = TensorSketch(num_vectors, 10, length)
    spectrum = torch.fft.rfft(count_sketches(sketch, x, length)).prod(dim=0)
    torch.testing.assert_close(sketch(x), torch.fft.irfft(spectrum, n=length), atol=1e-5, rtol=1e-5)


def test_mean_over_hashes_is_the_product_of_the_inner_products():
    torch.manual_seed(0)
    x, y = torch.randn(5, 3, 4), torch.randn(5, 3, 4)
    x[0] = y[0]
    draws = []
    for seed in range(1000):
        sketch = TensorSketch(3, 4, sketch_dim=32, seed=seed)
        draws.append((sketch(x) * sketch(y)).sum(dim=1))
    found = torch.stack(draws)
    standard_error = found.std(dim=0) / len(draws) ** 0.5
    expected = (x * y).sum(dim=2).prod(dim=1)
    assert ((found.mean(dim=0) - expected).abs() < 3 * standard_error).all()
    assert expected[0] > 10 * standard_error[0]  # the test would notice a missing factor


@pytest.mark.parametrize(("num_vectors", "least", "most_without"), [(2, 0.95, 0.7), (3, 0.85, 0.3)])
def test_one_draw_correlates_with_the_true_product(num_vectors, least, most_without):
    generator = torch.Generator().manual_seed(0)
    x, noise = (torch.randn(2000, num_vectors, 64, generator=generator) for _ in range(2))
    similarity = 2 * torch.rand(2000, num_vectors, 1, generator=generator) - 1
    y = similarity * x + (1 - similarity**2).sqrt() * noise
    sketch = TensorSketch(num_vectors, 64, 256)
    true = (x * y).sum(dim=2).prod(dim=1)
    assert correlation((sketch(x) * sketch(y)).sum(dim=1), true) > least
    without = [count_sketches(sketch, v, 256).prod(dim=0) for v in (x, y)]  # no transform: not a sketch
    assert abs(correlation((without[0] * without[1]).sum(dim=1), true)) < most_without


def test_hashes_are_fixed_by_their_seed_and_travel_with_the_weights():
    torch.manual_seed(1)
    one = KroneckerCompact(num_tokens=2, in_dim=6)
    torch.manual_seed(2)
    two, other = KroneckerCompact(num_tokens=2, in_dim=6), KroneckerCompact(num_tokens=2, in_dim=6, seed=7)
    assert torch.equal(one.sketch.hashes, two.sketch.hashes)
    assert not torch.equal(one.sketch.hashes, other.sketch.hashes)
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    tokens, present = torch.randn(3, 2, 6), torch.ones(3, 2, dtype=torch.bool)
    assert torch.equal(other(tokens, present)[0], one(tokens, present)[0])


def test_without_a_phase_the_product_over_the_others_remains():
    torch.manual_seed(0)
    fusion = KroneckerCompact(num_tokens=3, in_dim=6, sketch_dim=64)
    f = torch.randn(2, 3, 6)
    z = functional.layer_norm(f, [6]) / 18**0.5
    z[:, 1] = 0
    factors = torch.cat([torch.ones(2, 3, 1), z], dim=2)
    spectrum = torch.fft.rfft(count_sketches(fusion.sketch, factors, 64)).prod(dim=0)
    expected = torch.relu(fusion.mix(torch.fft.irfft(spectrum, n=64)))
    present = torch.tensor([[True, False, True]]).expand(2, -1)
    torch.testing.assert_close(fusion(f, present)[0], expected, atol=1e-5, rtol=1e-5)
