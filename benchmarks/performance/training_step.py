# SPDX-License-Identifier: Apache-2.0
"""Training on the phantom, 16 cases x 3 phases x 28 voxels cubed: the bundle, the blog's loop and MONAI's."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import torch
from ignite.engine import Events
from monai.data import DataLoader
from monai.networks.utils import eval_mode
from scripts.cases.batches import EpochBatchSampler
from scripts.engines.inferer import PrepareBatch, has_fast_bf16
from scripts.engines.schedule import warmup_cosine
from torch import Tensor, nn
from torch.utils.data import Dataset

from benchmarks.performance.blog import BlogNetwork, blog_optimizer, plain_step
from benchmarks.performance.item import Figure, Figures, Item
from benchmarks.performance.monai_pipeline import PipelineTraining, cached_loader
from benchmarks.performance.ours import DEVICE, Model, build_model
from benchmarks.performance.phantom import Prepared, prepared_phantom
from benchmarks.performance.side import Parts, Side
from benchmarks.performance.timing import seconds, times_faster

BATCH = 16
WARMUP_SHARE = 0.05
"""Share of the epochs, as 3 of 60 in train.yaml."""
Epoch = Callable[[], None]


class InMemory(Dataset):
    """Prepared cases as the bundle's loader returns them, with all phases present."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images, labels
        self.present = torch.ones(images.shape[1], dtype=torch.bool)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"image": self.images[index], "present": self.present, "label": self.labels[index]}


def plain_epoch(images: Tensor, labels: Tensor, step: Callable[..., None]) -> None:
    """Pass once over the cases, shuffled, in a plain loop; all cases are on the device."""
    for index in torch.randperm(len(images)).split(BATCH):
        step(images[index], labels[index])


@dataclass(frozen=True)
class Contender:
    """A network in training.

    Attributes:
        network: the network.
        epoch: passes once over the cases.
    """

    network: nn.Module
    epoch: Epoch


def ours_plain(model: Model, prepared: Prepared, epochs: int) -> Contender:
    """Return the bundle's network in the plain loop, without augmentation."""
    images, labels = (part.to(DEVICE) for part in prepared.training)
    schedule = warmup_cosine(model.optimizer, _batches(images), epochs, WARMUP_SHARE * epochs)

    def step(image: Tensor, label: Tensor) -> None:
        model.step(image, torch.ones(image.shape[:2], dtype=torch.bool, device=image.device), label)
        schedule.step()  # type: ignore[call-arg]

    return Contender(model.network, partial(plain_epoch, images, labels, step))


def ours_in_trainer(model: Model, prepared: Prepared, epochs: int, seed: int) -> Contender:
    """Return the bundle's own pipeline, with augmentation, in MONAI's trainer as configured."""
    images, labels = prepared.training
    batches = EpochBatchSampler(len(images), BATCH, seed)
    loader = DataLoader(InMemory(images, labels), batch_sampler=batches)
    schedule = warmup_cosine(model.optimizer, loader, epochs, WARMUP_SHARE * epochs)
    prepare = PrepareBatch(augmentation=model.augmentation)
    training = PipelineTraining(
        model.network, model.optimizer, loader, model.loss,
        inferer=model.infer, prepare_batch=prepare, decollate=False,
    )  # fmt: skip
    training.trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda _: schedule.step())
    numbers = itertools.count()

    def epoch() -> None:
        batches.set_epoch(next(numbers))
        training.epoch()

    return Contender(model.network, epoch)


def _batches(images: Tensor) -> DataLoader:
    return DataLoader(InMemory(images, torch.zeros(len(images))), batch_size=BATCH)


def blog_plain(prepared: Prepared) -> Contender:
    """Return the blog's network in its plain loop, without augmentation."""
    images, labels = (part.to(DEVICE) for part in prepared.training)
    network = BlogNetwork().to(DEVICE).train()
    step = partial(plain_step, network, blog_optimizer(network))
    return Contender(network, partial(plain_epoch, images, labels, step))


def blog_in_monai(prepared: Prepared) -> Contender:
    """Return the blog's network through MONAI's standard pipeline, with augmentation."""
    network = BlogNetwork().to(DEVICE).train()
    loader = cached_loader(*prepared.training, BATCH)
    return Contender(network, PipelineTraining(network, blog_optimizer(network), loader).epoch)


def validation_auc(network: nn.Module, prepared: Prepared) -> float:
    """Return the AUC on the validation cases, in float32."""
    from sklearn.metrics import roc_auc_score

    images, labels = prepared.validation
    with eval_mode(network):
        logits = torch.cat([network(part.to(DEVICE)) for part in images.split(BATCH)]).cpu()
    return float(roc_auc_score(labels, logits[:, 1] - logits[:, 0]))


def peers(prepared: Prepared, seed: int) -> Parts:
    """Return epochs of the blog's network in its loop and in MONAI's pipeline, and the AUC of each."""
    torch.manual_seed(seed)
    contenders = {"blog": blog_plain(prepared), "monai": blog_in_monai(prepared)}
    epochs = {name: contender.epoch for name, contender in contenders.items()}
    aucs = {f"{name}_auc": partial(validation_auc, c.network, prepared) for name, c in contenders.items()}
    return {**epochs, **aucs}


def ours(prepared: Prepared, epochs: int, seed: int) -> dict[str, Contender]:
    """Return the bundle's network by kind and precision: bare, with augmentation, one encoder per phase."""
    torch.manual_seed(seed)
    found = {}
    for precision in PRECISIONS if has_fast_bf16(torch.device(DEVICE)) else PRECISIONS[:1]:
        found[precision] = ours_plain(build_model(precision), prepared, epochs)
        found[f"augmented_{precision}"] = ours_in_trainer(build_model(precision), prepared, epochs, seed)
        separate = build_model(precision, {"share_encoder": False})
        found[f"separate_{precision}"] = ours_plain(separate, prepared, epochs)
    return found


def train_side_by_side(prepared: Prepared, epochs: int, seed: int, passes: int = 1, with_aucs: bool = False) -> Figures:
    """Train all contenders in turn, epoch by epoch, the peers in processes of their own.

    Args:
        prepared: the cases.
        epochs: of the peers, and turns of the bundle.
        seed: of weights, order and augmentation.
        passes: epochs in a turn of the bundle. The first step of a turn finds another process's data in the
            caches, which would dominate the time of a fast contender with few steps.
        with_aucs: also measure validation AUCs.

    Returns:
        Times of a step (ms) with the ratios to the peers, and the validation AUC of every contender with its
        gain over the peer.
    """
    own = ours(prepared, epochs * passes, seed)
    with Side(peers, prepared, seed) as theirs, Side(peers, prepared, seed, keep_memory=True) as keeping:
        turns: dict[str, tuple[Epoch, int]] = {name: (partial(theirs, name), 1) for name in PEERS}
        turns[KEPT] = partial(keeping, "blog"), 1
        turns |= {name: (contender.epoch, passes) for name, contender in own.items()}
        times: dict[str, list[float]] = {name: [] for name in turns}
        for _ in range(epochs):
            for name, (epoch, count) in turns.items():
                times[name].append(seconds(epoch, count))
        learned = {name: theirs(f"{name}_auc") for name in PEERS} if with_aucs else {}
    kept = {name: found[1:] or found for name, found in times.items()}  # the first epoch includes set-up
    steps = -(-len(prepared.training[0]) // BATCH)
    figures = {f"{name}_ms": 1000 * median(found) / steps for name, found in kept.items()}
    figures |= {name: times_faster(kept[peer_of(name)], kept[name]) for name in own}
    figures |= {f"{KEPT}_{name}": times_faster(kept[KEPT], kept[name]) for name in own if name in PRECISIONS}
    if with_aucs:
        learned |= {name: validation_auc(contender.network, prepared) for name, contender in own.items()}
        figures |= {f"{name}_auc": auc for name, auc in learned.items()}
        figures |= {f"{name}_auc_gain": learned[name] - learned[peer_of(name)] for name in own}
    return figures


def peer_of(name: str) -> str:
    """Return the peer of a contender: MONAI's pipeline if it augments, else the plain loop."""
    return "monai" if name.startswith("augmented") else "blog"


def measure_steps(repeat: int, work: Path) -> Figures:
    """Return the times of a step and their ratios."""
    prepared = prepared_phantom(work)
    images, labels = (part[:TIMED_CASES] for part in prepared.training)
    return train_side_by_side(Prepared((images, labels), prepared.validation), SHORT, repeat, PASSES)


def measure_convergence(repeat: int, work: Path) -> Figures:
    """Return times and ratios as `measure_steps` does, and the validation AUC of every contender."""
    return train_side_by_side(prepared_phantom(work), LONG, repeat, with_aucs=True)


PEERS = ("blog", "monai")
KEPT = "blog_kept"
"""The blog's loop in a process that keeps freed memory."""
PRECISIONS = ("fp32", "bf16")
SHORT, LONG = 3, 20
"""Turns: for times alone, and with validation AUCs."""
TIMED_CASES, PASSES = 64, 3
"""Training cases when only times are measured (4 steps), and passes over them in a turn of the bundle."""

BARE, PIPED = "bare, against the three-tower loop (a)", "with augmentation, against MONAI's pipeline (b)"
TIMES = (
    Figure("bf16", f"bf16, {BARE}", least=10.0),
    Figure("fp32", f"fp32, {BARE}"),
    Figure("augmented_bf16", f"bf16, {PIPED}", least=8.0),
    Figure("augmented_fp32", f"fp32, {PIPED}"),
    Figure("separate_bf16", f"bf16, one encoder per phase, {BARE}"),
    Figure("separate_fp32", f"fp32, one encoder per phase, {BARE}"),
    Figure(f"{KEPT}_bf16", "bf16, bare, against (a) with freed memory kept as ours keeps it"),
    Figure(f"{KEPT}_fp32", "fp32, bare, against (a) with freed memory kept as ours keeps it"),
    Figure("blog_ms", "one step of (a)", "ms", 0),
    Figure(f"{KEPT}_ms", "one step of (a), freed memory kept", "ms", 0),
    Figure("monai_ms", "one step of (b)", "ms", 0),
    Figure("bf16_ms", "one step, bf16, bare", "ms", 0),
    Figure("augmented_bf16_ms", "one step, bf16, with augmentation", "ms", 0),
)
GAIN = f"validation AUC after {LONG} epochs"
AUCS = (
    Figure("blog_auc", f"{GAIN}, (a)", "", 3),
    Figure("monai_auc", f"{GAIN}, (b)", "", 3),
    Figure("bf16_auc", f"{GAIN}, bf16, bare", "", 3),
    Figure("augmented_bf16_auc", f"{GAIN}, bf16, with augmentation", "", 3),
    Figure("bf16_auc_gain", "AUC, bf16, bare, minus that of (a)", "", 3, least=0.0),
    Figure("augmented_bf16_auc_gain", "AUC, bf16, augmented, minus that of (b)", "", 3, least=0.0),
    Figure("augmented_fp32_auc_gain", "AUC, fp32, augmented, minus that of (b)", "", 3, least=0.0),
)
TRAINING_STEP = Item("training_step", TIMES, measure_steps)
CONVERGENCE = Item("convergence", TIMES + AUCS, measure_convergence, long=True)
