"""The device a user names."""

from __future__ import annotations

import torch

from rl_abn.compute.compute import choose_device
from rl_abn.errors import RlAbnError


def device_of(name: str) -> torch.device:
    """Returns the device of a name such as auto, cpu or cuda:0.

    Raises:
        RlAbnError: If there is no such device.
    """
    try:
        return choose_device(name)
    except ValueError as error:
        raise RlAbnError(str(error)) from None
