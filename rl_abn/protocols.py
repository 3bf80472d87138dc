"""Names of the protocols under which a game can be played; env recipes define them."""

from __future__ import annotations

from typing import Literal, get_args

ProtocolName = Literal["legacy", "machado2018", "mask_a3c"]
PROTOCOLS: tuple[str, ...] = get_args(ProtocolName)
