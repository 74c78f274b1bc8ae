# SPDX-License-Identifier: Apache-2.0
"""Small and flat volumes: the guarded convolution against one computed by hand in float64."""

from __future__ import annotations

import itertools

import pytest
import torch
from scripts.networks.guarded import GuardedConv2d, GuardedConv3d, guard_convolutions
from torch import Tensor, nn
from torch.nn import functional

SIZES = [(1, 1, 1), (2, 2, 2), (2, 7, 7), (7, 7, 2), (7, 7, 1), (1, 8, 8), (3, 1, 4), (5, 3, 8), (7, 7, 7)]
# The reference of a convolution with kernel 3 is a sum of 27 shifted products, no library's convolution.


def by_hand(volume: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Convolve with kernel k and padding k // 2 without any library convolution."""
    k = weight.shape[-1]
    padded = functional.pad(volume, [k // 2] * 6)
    out = [(n - 1) // stride + 1 for n in volume.shape[2:]]
    total = torch.zeros(())
    for offset in itertools.product(range(k), repeat=3):
        d, h, w = (slice(o, o + (n - 1) * stride + 1, stride) for o, n in zip(offset, out, strict=True))
        total = total + torch.einsum("ncdhw,oc->nodhw", padded[:, :, d, h, w], weight[(..., *offset)])
    return total


def results(convolve, volume: Tensor, weight: Tensor, direction: Tensor) -> list[Tensor]:
    """Return the output and both gradients, in float64."""
    volume = volume.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    out = convolve(volume)
    gradients = torch.autograd.grad(out, [volume, weight], direction.to(out.dtype))
    return [result.detach().double() for result in (out, *gradients)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (1, 2), (7, 2)])
@pytest.mark.parametrize("channels_last", [False, True])
def test_output_and_gradients_are_right(size, kernel, stride, channels_last):
    torch.manual_seed(0)
    conv = GuardedConv3d(4, 8, kernel, stride=stride, padding=kernel // 2, bias=False)
    volume = torch.randn(2, 4, *size)
    exact_weight = conv.weight.detach().double().requires_grad_()
    direction = torch.randn(2, 8, *((n - 1) // stride + 1 for n in size))
    expected = results(lambda v: by_hand(v, exact_weight, stride), volume.double(), exact_weight, direction.double())
    if channels_last:
        conv = conv.to(memory_format=torch.channels_last_3d)
        volume = volume.contiguous(memory_format=torch.channels_last_3d)
    for bf16, tolerance in ((False, 1e-5), (True, 0.02)):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            found = results(conv, volume, conv.weight, direction)
        for name, one, other in zip(("output", "volume", "weight"), expected, found, strict=True):
            error = (one - other).norm() / one.norm()
            assert error < tolerance, f"{name}, bf16={bf16}: {error:.2g}"


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (7, 1), (1, 7), (2, 2), (3, 5), (8, 8)], ids=str)
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 2), (1, 2), (7, 2)])
@pytest.mark.parametrize("channels_last", [False, True])
def test_planes_are_right(size, kernel, stride, channels_last):
    """A plane is a volume of one slice, whose weights lie in the middle of a cube."""
    torch.manual_seed(0)
    conv = GuardedConv2d(4, 8, kernel, stride=stride, padding=kernel // 2, bias=False)
    plane = torch.randn(2, 4, *size)
    exact_weight = conv.weight.detach().double().requires_grad_()
    direction = torch.randn(2, 8, *((n - 1) // stride + 1 for n in size))

    def exact(planes: Tensor) -> Tensor:
        cube = functional.pad(exact_weight.unsqueeze(2), [0] * 4 + [kernel // 2] * 2)
        return by_hand(planes.unsqueeze(2), cube, stride).squeeze(2)

    expected = results(exact, plane.double(), exact_weight, direction.double())
    if channels_last:
        conv = conv.to(memory_format=torch.channels_last)
        plane = plane.contiguous(memory_format=torch.channels_last)
    for bf16, tolerance in ((False, 1e-5), (True, 0.02)):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            found = results(conv, plane, conv.weight, direction)
        for name, one, other in zip(("output", "plane", "weight"), expected, found, strict=True):
            error = (one - other).norm() / one.norm()
            assert error < tolerance, f"{name}, bf16={bf16}: {error:.2g}"


@pytest.mark.parametrize("size", [(2, 7, 7), (7, 7, 1), (9, 9, 9)], ids=str)
def test_scripted_is_the_same(size):
    conv = GuardedConv3d(1, 4, 3, stride=2, padding=1)
    volume = torch.randn(2, 1, *size)
    assert torch.equal(torch.jit.script(conv)(volume), conv(volume))


def test_guarding_a_network_keeps_weights_and_results():
    network = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv3d(4, 4, 3, padding="same"))
    volume, before = torch.randn(1, 1, 2, 6, 6), dict(network.state_dict())
    expected = network(volume)
    guard_convolutions(network)
    assert [type(m) for m in network] == [GuardedConv3d, nn.ReLU, nn.Conv3d]
    assert list(network.state_dict()) == list(before)
    torch.testing.assert_close(network(volume), expected)
