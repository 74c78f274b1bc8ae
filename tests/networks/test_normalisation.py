# SPDX-License-Identifier: Apache-2.0
"""Batch normalisation of one value per channel: a phase that one case of a batch has."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from scripts import build
from scripts.networks.encoders.monai_cnn import (
    MonaiDenseNetEncoder,
    MonaiEfficientNetEncoder,
    MonaiResNetEncoder,
    MonaiSEResNetEncoder,
)
from scripts.networks.encoders.residual import ResidualEncoder
from scripts.networks.guarded import GuardedBatchNorm2d, GuardedBatchNorm3d, GuardedInstanceNorm3d, guard_normalisation
from torch import nn

ENCODERS = {
    "residual": ResidualEncoder,
    "resnet10": partial(MonaiResNetEncoder, model="resnet10"),
    "resnet18 pooled": partial(MonaiResNetEncoder, model="resnet18", pool_stem=True),
    "resnet50": partial(MonaiResNetEncoder, model="resnet50"),
    "seresnet50": MonaiSEResNetEncoder,
    "efficientnet": MonaiEfficientNetEncoder,
    "densenet121": MonaiDenseNetEncoder,
}


SLOW = ("resnet18 pooled", "resnet50", "seresnet50")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in ENCODERS]
)
def test_one_case_of_the_least_size_trains_every_encoder(name):
    torch.manual_seed(0)
    encoder = ENCODERS[name](in_channels=1).train()
    maps = encoder(torch.randn(1, 1, *encoder.min_size))
    assert maps.isfinite().all()
    (maps * torch.randn_like(maps)).sum().backward()
    first = next(encoder.parameters())
    assert first.grad.isfinite().all()
    assert first.grad.any(), "the case teaches the first layer, too"


@pytest.mark.parametrize("views", [(), pytest.param(("axial", "coronal"), marks=pytest.mark.slow)])
def test_an_encoder_per_phase_meets_a_phase_that_one_case_has(views):
    """The second phase is there once; the other cases' features are those of a batch without it."""
    torch.manual_seed(0)
    net = build(["a", "b"], "resnet10", "concat", share_encoder=False, views=views).train()
    for part in net.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    image = torch.randn(3, 2, 8, 8, 8)
    present = torch.tensor([[True, False], [True, True], [True, False]])
    logits = net(image, present=present)
    logits = logits if isinstance(logits, torch.Tensor) else logits["logits"]
    logits.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())
    assert any(p.grad is not None and p.grad.any() for p in net.encoder[1].parameters())
    without = net(image, present=torch.tensor([[True, False]] * 3))
    without = without if isinstance(without, torch.Tensor) else without["logits"]
    torch.testing.assert_close(logits[[0, 2]], without[[0, 2]])


@pytest.mark.parametrize("axes", [2, 3])
def test_a_single_value_is_normalised_by_the_running_statistics_and_leaves_them(axes):
    plain = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[axes](4)
    guarded = guard_normalisation({2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[axes](4))
    assert isinstance(guarded, (GuardedBatchNorm2d, GuardedBatchNorm3d))
    many, one = torch.randn(5, 4, *[2] * axes) + 3, torch.randn(1, 4, *[1] * axes)
    assert torch.equal(guarded.train()(many), plain.train()(many)), "otherwise nothing changes"
    before = {name: value.clone() for name, value in guarded.state_dict().items()}
    assert before["num_batches_tracked"] == 1
    assert torch.equal(guarded(one), plain.eval()(one))
    assert all(torch.equal(value, before[name]) for name, value in guarded.state_dict().items())
    assert torch.equal(guarded(one.expand(2, *one.shape[1:])), plain.train()(one.expand(2, *one.shape[1:])))
    scripted = torch.jit.script(guarded.train())
    assert torch.equal(scripted(one), guarded(one))


def test_normalisation_without_running_statistics_stays_as_it_is():
    net = nn.Sequential(nn.BatchNorm3d(2, track_running_stats=False), nn.BatchNorm3d(2, momentum=None))
    assert {type(part) for part in guard_normalisation(net)} == {nn.BatchNorm3d}


@pytest.mark.parametrize("training", [True, False])
def test_guarded_instance_normalisation_is_that_of_torch_and_takes_one_voxel(training):
    plain = nn.InstanceNorm3d(4, affine=True).train(training)
    nn.init.normal_(plain.weight)
    nn.init.normal_(plain.bias)
    guarded = guard_normalisation(copy.deepcopy(plain))
    assert type(guarded) is GuardedInstanceNorm3d
    volume = torch.rand(2, 4, 3, 1, 5)
    assert torch.equal(guarded(volume), plain(volume))
    assert torch.equal(torch.jit.script(guarded)(volume), plain(volume))
    one = torch.rand(1, 4, 1, 1, 1)
    torch.testing.assert_close(guarded(one).flatten(), plain.bias)
    with pytest.raises(ValueError, match="more than 1 spatial element"):
        plain(one)
    assert type(guard_normalisation(nn.InstanceNorm3d(4, track_running_stats=True))) is nn.InstanceNorm3d
