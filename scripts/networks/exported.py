# SPDX-License-Identifier: Apache-2.0
"""Networks that run from an exported file in place of the PyTorch network."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from monai.data import load_net_with_metadata
from scripts.networks.calibration import Calibration
from scripts.networks.parts import presence
from scripts.volumes.fingerprint import content_hash
from torch import Tensor, nn

TOLD = ("classes", "clinical", "weights", "temperature", "threshold", "prior")
"""Metadata that an exported file must hold to be used here."""
TOLD_OUTLINES = ("structures", "masks", "clinical", "weights")
"""The same of a network that outlines."""


class ExportedNetwork(nn.Module, ABC):
    """A network whose weights and operations both come from one file, which `load` reads.

    It is called like the network that it was made from: image [B, P, D, H, W] -> logits [B, K], or of outlines
    [B, M (S + 1), D, H, W], for evaluation only. Its calibration and the columns of its clinical table come with
    the file.
    """

    suffix: str
    """Ending of the file's name, e.g. ``.onnx``."""

    def __init__(self) -> None:
        super().__init__()
        self.num_columns = 0
        self.calibration = Calibration(1)

    def load(self, path: str | Path) -> None:
        """Read the exported file.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it cannot be read, was not made by `run exporting`, or lies beside weights other than
                those it was made from.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(
                f"exported model {path} does not exist; make it with `run exporting` and configs/export.yaml"
            )
        try:
            described = self._read(path)
        except (RuntimeError, OSError, ValueError, KeyError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise ValueError(f"exported model {path} cannot be read ({reason}); export it again") from None
        told = TOLD_OUTLINES if "structures" in described else TOLD
        lacking = [name for name in told if name not in described]
        if lacking:
            raise ValueError(
                f"exported model {path} must say its {', '.join(told)}, found no {', '.join(lacking)}; make "
                "it with `run exporting` and configs/export.yaml"
            )
        check_origin(path, described)
        self.num_columns = len(described["clinical"])
        if told is TOLD_OUTLINES:
            return
        self.calibration = Calibration(len(described["classes"]))
        for name, buffer in self.calibration.named_buffers():
            buffer.copy_(torch.tensor(described[name]))

    @abstractmethod
    def _read(self, path: Path) -> Mapping[str, Any]:
        """Read the file and return its metadata."""

    @abstractmethod
    def _compute(self, image: Tensor, clinical: Tensor, present: Tensor) -> Tensor:
        """Return the logits."""

    def forward(self, image: Tensor, clinical: Tensor | None = None, present: Tensor | None = None) -> Tensor:
        """Return the logits that the exported network gives in evaluation."""
        if clinical is None:
            clinical = image.new_full((len(image), self.num_columns), torch.nan)
        return self._compute(image, clinical, presence(image, present))


class TorchScriptNetwork(ExportedNetwork):
    """A network in a TorchScript file, which runs without the code that made it."""

    suffix = ".ts"

    def _read(self, path: Path) -> Mapping[str, Any]:
        self.module, described, _ = load_net_with_metadata(str(path))
        return described

    def _compute(self, image: Tensor, clinical: Tensor, present: Tensor) -> Tensor:
        return self.module(image, clinical if self.num_columns else None, present)


class OnnxNetwork(ExportedNetwork):
    """A network in an ONNX file, run by onnxruntime on as many threads as PyTorch would use."""

    suffix = ".onnx"

    def _read(self, path: Path) -> Mapping[str, Any]:
        try:
            import onnxruntime
        except ImportError:
            raise ValueError("onnxruntime is not installed: pip install -r requirements-onnx.txt") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        known = onnxruntime.get_available_providers()
        providers = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in known]
        try:
            self.session: Any = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # onnxruntime's errors have no base class of their own
            raise ValueError(str(error)) from None
        return {key: json.loads(text) for key, text in self.session.get_modelmeta().custom_metadata_map.items()}

    def _compute(self, image: Tensor, clinical: Tensor, present: Tensor) -> Tensor:
        given = {"image": image.float(), "clinical": clinical.float(), "present": present}
        feed = {node.name: given[node.name].detach().cpu().contiguous().numpy() for node in self.session.get_inputs()}
        return torch.from_numpy(self.session.run(["logits"], feed)[0]).to(image.device)


EXPORTED: dict[str, type[ExportedNetwork]] = {"torchscript": TorchScriptNetwork, "onnx": OnnxNetwork}
"""Name of the runtime -> class of the network."""


def check_origin(path: Path, described: Mapping[str, Any]) -> None:
    """Check that an exported file was made from the weights beside it.

    Raises:
        ValueError: it was made from other weights; names both files.
    """
    weights = path.with_suffix(".pt")
    if weights.is_file() and described["weights"] != content_hash(weights):
        raise ValueError(f"exported model {path} was made from other weights than {weights} holds now; export it again")
