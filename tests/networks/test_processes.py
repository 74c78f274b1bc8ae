# SPDX-License-Identifier: Apache-2.0
"""Networks in several processes that normalise together."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys, torch
from functools import partial
from torch import distributed, nn
from scripts.engines import distribute
from scripts.networks.encoders import ResidualEncoder
from scripts.networks.encoders.views import ViewEncoder
from scripts.networks.fusion import AdaptiveConv, Concat
from scripts.networks import MultiLevelNetwork, PhaseFusionNetwork
from scripts.transforms import SliceViews

rank, join = int(sys.argv[1]), f"file://{sys.argv[2]}/join"
distributed.init_process_group("gloo", init_method=join, rank=rank, world_size=2)

class MeanOverProcesses(torch.autograd.Function):
    '''Waits for the other process on both ways, as SyncBatchNorm does on GPUs.'''
    @staticmethod
    def forward(ctx, x, weight):
        ctx.channels = len(weight)
        total = torch.stack([x.sum(), torch.tensor(float(x.numel()))])
        distributed.all_reduce(total)
        assert total[1] > 0, "no process has a volume, yet the encoder was called"
        return x - total[0] / total[1]
    @staticmethod
    def backward(ctx, gradient):
        distributed.all_reduce(total := gradient.float().sum())
        return gradient, torch.ones(ctx.channels) if gradient.numel() else None

class Together(nn.SyncBatchNorm):
    def forward(self, x):
        return MeanOverProcesses.apply(x, self.weight)

torch.manual_seed(0)
reader, network = partial(ResidualEncoder, widths=(4, 8)), PhaseFusionNetwork
if sys.argv[3] == "stages":
    network = MultiLevelNetwork(reader, partial(AdaptiveConv), 3, 2, share_encoder=False, width=4)
elif sys.argv[3] == "views":
    views = SliceViews(["axial"], 1)
    reader = partial(ViewEncoder, views, partial(ResidualEncoder, widths=(4, 8), spatial_dims=2))
if isinstance(network, type):
    network = PhaseFusionNetwork(reader, Concat, 3, 2, share_encoder=False)
shared = distribute(network)  # first, since PyTorch has the true layer for GPUs only
nn.SyncBatchNorm.convert_sync_batchnorm(network)
for module in network.modules():
    if isinstance(module, nn.SyncBatchNorm):
        module.__class__ = Together
image = torch.rand(2, 3, 8, 8, 8)
present = torch.tensor([[[True, True, False]] * 2, [[False, True, False]] * 2][rank])
for _ in range(2):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = shared(image, present=present)["logits"].square().sum()
    loss.backward()
stems = [module for name, module in network.named_modules() if name.endswith("stem")]
first, second, third = (stem.conv1.weight.grad for stem in stems)
assert first.abs().max() > 0 and second.abs().max() > 0 and third is None
for gradient in (first, stems[0].norm1.weight.grad):
    every = [torch.empty_like(gradient) for _ in range(2)]
    distributed.all_gather(every, gradient)
    assert torch.equal(*every) and gradient.any()
distributed.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["volumes", "stages", "views"])
def test_a_process_whose_cases_lack_a_phase_does_not_keep_the_others_waiting(kind: str, tmp_path: Path) -> None:
    """One phase is in the cases of the first process only, and one in none."""
    workers = [subprocess.Popen([sys.executable, "-c", CODE, str(rank), str(tmp_path), kind]) for rank in range(2)]
    try:
        assert [worker.wait(timeout=240) for worker in workers] == [0, 0]
    finally:
        for worker in workers:
            worker.kill()
