# SPDX-License-Identifier: Apache-2.0
"""Training of one network by several processes, one per GPU, as `torchrun` starts them."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import IterationEvents
from scripts.cases.batches import BatchShares
from scripts.files import errors
from scripts.files.processes import is_first_process, process_count, wait_for_all
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

PATIENCE = timedelta(hours=1)
"""How long the other processes wait while one works alone, e.g. on the report."""


def process_device() -> torch.device:
    """Return the GPU of this process, or the CPU if there is no GPU.

    Raises:
        ValueError: the machine has fewer GPUs than processes.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    number, found = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
    if number >= found:
        raise ValueError(
            f"every process needs a GPU of its own, found {found} on this machine and more processes; give "
            f"torchrun --nproc_per_node {found}"
        )
    return torch.device("cuda", number)


def start_processes() -> None:
    """Connect the processes that `torchrun` started, over NCCL between GPUs and Gloo between CPUs.

    All but the first stop printing and logging, except for the first error. Without `torchrun` nothing happens.
    """
    errors.install()
    if not distributed.is_torchelastic_launched() or distributed.is_initialized():
        return
    device = process_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    store, number, count = next(distributed.rendezvous("env://"))
    errors.report_once(store)
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
        store=store, rank=number, world_size=count, timeout=PATIENCE,
    )  # fmt: skip
    if not is_first_process():
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - to the end of the process
        logging.disable(logging.CRITICAL)


def end_processes() -> None:
    """Wait until all processes have finished, and disconnect them."""
    if distributed.is_initialized():
        wait_for_all()
        distributed.destroy_process_group()


def synchronise_normalisation(network: nn.Module, device: torch.device | str) -> nn.Module:
    """Synchronise batch normalisation over all processes, if each has a GPU.

    Names and values in the state dict do not change. PyTorch supports this on GPUs only: on CPUs every process
    normalises by its own share of the batch, and the statistics for evaluation are those of the first.
    """
    if torch.device(device).type != "cuda":
        return network
    return nn.SyncBatchNorm.convert_sync_batchnorm(network)


def distribute(network: nn.Module) -> nn.Module:
    """Return a network that averages its gradients over all processes; with one process, the network itself.

    A process whose cases lack a phase has no gradient for that phase's encoder; ``find_unused_parameters`` keeps
    the others from waiting for it.

    Args:
        network: network on its device; it is wrapped, not copied, and its own state dict keeps its names.
    """
    if process_count() == 1:
        return network
    return DistributedDataParallel(network, find_unused_parameters=True)


class ShareOfLoss(nn.Module):
    r"""The loss of one process's cases, scaled so that the mean over processes is the loss of all cases.

    .. math:: \frac{1}{R} \sum_r \frac{R\, n_r}{n} L_r = \frac{1}{n} \sum_r n_r L_r

    with R processes, where process r has n_r of the n cases and the mean loss L_r. Averaged over processes, the
    gradients are then those of the loss of all cases. With class weights, the mean within a process is weighted,
    but processes are weighted by their number of cases alone.

    Args:
        loss: called as ``loss(output, label)``; returns the mean over cases.

    Attributes:
        factor: R n_r / n of the current batch.

    >>> _ = (halved := ShareOfLoss(nn.L1Loss())).set_share(cases=1, of=4, processes=2)
    >>> halved(Tensor([3.0]), Tensor([1.0]))
    tensor(1.)
    """

    def __init__(self, loss: Callable[..., Tensor]) -> None:
        super().__init__()
        self.loss = loss
        self.factor = 1.0

    def set_share(self, cases: int, of: int, processes: int) -> None:
        """Set how many cases of the next batch count in this process, and how many there are in all processes."""
        self.factor = processes * cases / of

    def forward(self, output: Any, label: Tensor) -> Tensor:
        """Return factor * loss."""
        return self.factor * self.loss(output, label)


class GlobalBatch:
    """Coordinates the shares of a batch, so that loss and scores count every case once.

    A case that was repeated for a process without a share gets a loss of 0, and is dropped from the output. Before
    a validation, all processes take over the normalisation statistics of the first, which are the ones saved.

    Args:
        shares: batch sampler of the trainer.
        loss: loss function of the trainer.
        network: the network that is trained and validated.
        evaluator: the validation engine.
    """

    def __init__(self, shares: BatchShares, loss: ShareOfLoss, network: nn.Module, evaluator: Engine) -> None:
        self.shares = shares
        self.loss = loss
        self.network = network
        self.evaluator = evaluator

    def attach(self, engine: Engine) -> None:
        """Follow the iterations of `engine` and the validations of the evaluator."""
        if process_count() == 1:
            return
        engine.add_event_handler(Events.ITERATION_STARTED, self._weigh)
        engine.add_event_handler(IterationEvents.MODEL_COMPLETED, self._drop_repeated)
        self.evaluator.add_event_handler(Events.STARTED, self._share_statistics)

    def _counted(self, engine: Any) -> tuple[int, int]:
        return self.shares.counted[(engine.state.iteration - 1) % engine.state.epoch_length]

    def _weigh(self, engine: Engine) -> None:
        cases, of = self._counted(engine)
        self.loss.set_share(cases, of, process_count())

    def _drop_repeated(self, engine: Engine) -> None:
        cases, _ = self._counted(engine)
        output: Any = engine.state.output
        for key in ("pred", "label"):
            output[key] = output[key][:cases]

    def _share_statistics(self, _: Engine) -> None:
        for buffer in self.network.buffers():
            distributed.broadcast(buffer, src=0)
