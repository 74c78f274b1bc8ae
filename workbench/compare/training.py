"""A job that trains a network: `monai.bundle run training`, within the process that it finds."""

from __future__ import annotations

import logging
import time
from statistics import median
from typing import TYPE_CHECKING, Any

from monai.bundle import ConfigWorkflow

from scripts.engines.environment import describe_machine
from workbench.compare.strategies import SETTINGS, overlay_of, overrides_of

if TYPE_CHECKING:
    from workbench.compare.jobs import Job, Place

TIMINGS = 3  # Passes through the network that are timed, behind one that is not
logging.getLogger(ConfigWorkflow.__module__).addFilter(
    lambda record: not record.getMessage().startswith("Not all config files are in")  # as they lie here
)


def train(place: Place, job: Job) -> dict[str, Any]:
    """Train on a fold and predict its test part; the results folder of the job is a complete small bundle.

    Returns:
        parameters (number), epochs (trained), device, and under `costs`, which differ from run to run,
        training_seconds (with validation; None where a killed job was taken up) and inference_ms (per case,
        the network alone).
    """
    output = place.output(job)
    resumed = (output / "models" / "last.pt").is_file()
    configs = place.bundle / "configs" / "train.yaml", place.folder / SETTINGS
    workflow = ConfigWorkflow(
        config_file=[str(file) for file in (*configs, overlay_of(place.bundle, job.strategy))],
        workflow_type="train",
        logging_file=False,
        run_id="training",
        bundle_root=str(place.bundle),
        name=job.name,
        dataset_dir=str(place.fold(job)),
        output_dir=str(output),
        split="test",
        seed=job.seed,
        cache=place.cache,
        cache_dir=str(place.cache_dir),
        resume=True,
        **overrides_of(job.strategy),
    )
    workflow.initialize()
    workflow.run()
    trainer = workflow.parser.get_parsed_content("train#trainer")
    network = workflow.parser.get_parsed_content("network")
    seconds = trainer.state.times["COMPLETED"]
    return {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "epochs": trainer.state.epoch,
        "device": describe_machine(str(trainer.state.device))["machine"]["device"],
        "costs": {
            "training_seconds": None if resumed else round(seconds, 2),
            "inference_ms": round(_inference_ms(workflow), 3),
        },
    }


def _inference_ms(workflow: ConfigWorkflow) -> float:
    """Time the trained network on one batch of test cases: milliseconds per case."""
    import torch

    network, inferer, prepare, loader, device = (
        workflow.parser.get_parsed_content(key)
        for key in ("network", "validate#inferer", "validate#prepare_batch", "test#dataloader", "device")
    )
    image, _, _, optional = prepare(next(iter(loader)), device)
    network.eval()
    times = []
    with torch.inference_mode():
        for _ in range(1 + TIMINGS):
            start = time.perf_counter()
            inferer(image, network, **optional).sum().item()  # waits for the result on a GPU, too
            times.append(time.perf_counter() - start)
    return 1000 * median(times[1:]) / len(image)
