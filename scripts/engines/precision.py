"""Mixed precision: the one place that decides where bfloat16 is used."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

PRECISIONS = ("auto", "bf16", "fp32")


def has_fast_bf16(device: torch.device) -> bool:
    """Return whether `device` computes bfloat16 in hardware (AVX512-BF16 or AMX on a CPU)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return False


def autocast(device: torch.device, precision: str = "auto") -> AbstractContextManager:
    """Return the autocast context of a forward pass.

    MONAI's own ``amp`` option is for CUDA only and is switched off on a CPU.

    Args:
        device: where the network runs.
        precision: ``auto`` (bfloat16 where the hardware has it, else float32), ``bf16`` or ``fp32``.

    Raises:
        ValueError: for another precision.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, found '{precision}'")
    enabled = precision == "bf16" or (precision == "auto" and has_fast_bf16(device))
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)
