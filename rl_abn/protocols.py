"""The names of the protocols a game can be played under; env recipes say what each one is."""

from __future__ import annotations

from typing import Literal, get_args

ProtocolName = Literal["legacy", "machado2018", "mask_a3c"]
PROTOCOLS: tuple[str, ...] = get_args(ProtocolName)
