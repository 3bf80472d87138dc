"""What this machine's processor or GPU can do."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

import torch

from rl_abn.compute.compute import Precision

_BF16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")  # x86-64, then ARM64
_BF16_COMPUTE_CAPABILITY = (8, 0)  # Ampere is the first generation with bfloat16 tensor cores


def usable_cores() -> int:
    """Returns how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def has_native_bf16(device: torch.device) -> bool:
    """Returns whether a device multiplies matrices in bfloat16 by instructions of its own.

    Where it does not, bfloat16 is emulated and slower than fp32. A PyTorch that cannot tell what
    the processor has (before `torch.cpu.get_capabilities`) counts as one that has none.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= _BF16_COMPUTE_CAPABILITY
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name, False) for name in _BF16_INSTRUCTIONS)


def resolve_precision(asked: Precision | Literal["auto"], device: torch.device) -> Precision:
    """Returns the precision that "auto" means on a device: bf16 where it is native, else fp32."""
    if asked != "auto":
        return asked
    return "bf16" if has_native_bf16(device) else "fp32"
