"""A step of several processes that equals the step of one process with all their cases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ignite.engine import Engine, Events
from monai.engines import IterationEvents
from torch import Tensor, distributed, nn

from scripts.data import BatchShares
from scripts.processes import process_count


class ShareOfLoss(nn.Module):
    r"""The loss of the cases of one process, such that the mean over processes is the loss of all cases.

    .. math:: \frac{1}{R} \sum_r \frac{R\, n_r}{n} L_r = \frac{1}{n} \sum_r n_r L_r

    with R processes, of which number r has n_r of the n cases, and their mean loss L_r. Averaged over
    processes, the gradients are then those of the loss of all cases. With class weights the mean within each
    process is a weighted one, while processes count by their cases alone.

    Args:
        loss: called as ``loss(output, label)``; the mean over cases.

    Attributes:
        factor: R n_r / n of the present batch.

    >>> _ = (halved := ShareOfLoss(nn.L1Loss())).set_share(cases=1, of=4, processes=2)
    >>> halved(Tensor([3.0]), Tensor([1.0]))
    tensor(1.)
    """

    def __init__(self, loss: Callable[..., Tensor]) -> None:
        super().__init__()
        self.loss = loss
        self.factor = 1.0

    def set_share(self, cases: int, of: int, processes: int) -> None:
        """Tell how many cases of the next batch count here, and how many there are in all processes."""
        self.factor = processes * cases / of

    def forward(self, output: Any, label: Tensor) -> Tensor:
        """Compute the loss."""
        return self.factor * self.loss(output, label)


class GlobalBatch:
    """Keeps the shares of a batch in step: the loss counts every case once, and so do the scores.

    A case that was repeated for a process without a share has a loss of 0, and leaves the output. Before a
    validation all processes take the first one's normalisation statistics, which are those that are saved.

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
