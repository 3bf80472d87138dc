"""Where autocast must not round: maps and answers."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def in_fp32(device: torch.device) -> AbstractContextManager[object]:
    """Returns a context without autocast on a device; what is computed in it is cast by hand."""
    # The meta device, on which shapes are tried, knows no autocast.
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)
