"""Several processes that train one network together, one for each GPU, as `torchrun` starts them."""

from __future__ import annotations

import logging
import os
import sys
from datetime import timedelta

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from scripts.processes import is_first_process, process_count, wait_for_all

from . import errors

PATIENCE = timedelta(hours=1)
"""For which the others wait while one process works alone, e.g. on the report."""


def process_device() -> torch.device:
    """Return the GPU of this process, or the CPU where there is no GPU.

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

    All but the first fall silent, apart from the first error. Without `torchrun` nothing happens.
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
    """Wait until all processes have finished, and part."""
    if distributed.is_initialized():
        wait_for_all()
        distributed.destroy_process_group()


def synchronise_normalisation(network: nn.Module, device: torch.device | str) -> nn.Module:
    """Let batch normalisation see the batches of all processes, where there are several with a GPU each.

    Names and values in the state dict stay as they are. PyTorch has this for GPUs only: on CPUs every process
    normalises by its own share, and the statistics for evaluation are those of the first.
    """
    if process_count() == 1 or torch.device(device).type != "cuda":
        return network
    return nn.SyncBatchNorm.convert_sync_batchnorm(network)


def distribute(network: nn.Module) -> nn.Module:
    """Return a network that averages its gradients over all processes; a single process needs none.

    A process whose cases lack a phase has no gradient of that phase's encoder. It does not keep the others
    waiting (``find_unused_parameters``).

    Args:
        network: on its device; it is shared, not copied, so that its state dict keeps its names.
    """
    if process_count() == 1:
        return network
    return DistributedDataParallel(network, find_unused_parameters=True)
