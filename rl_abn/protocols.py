"""Names of the protocols under which a game can be played, and of the blind controls."""

from __future__ import annotations

from typing import Literal, get_args

ProtocolName = Literal["legacy", "machado2018", "mask_a3c"]
PROTOCOLS: tuple[str, ...] = get_args(ProtocolName)

Blindness = Literal["frozen", "swapped"]
"""What a blind agent is shown: its game's first screens all along, or the screens of another."""
BLINDNESSES: tuple[str, ...] = get_args(Blindness)
BlindControl = Literal["frozen", "swapped", "both", "none"]
BLIND_CONTROLS: tuple[str, ...] = get_args(BlindControl)


def blindnesses(control: str) -> tuple[str, ...]:
    """Returns the blind players that a `BlindControl` asks for."""
    return {"both": BLINDNESSES, "none": ()}.get(control, (control,))


KEEP = ("observations", "evidence")
"""What a recording keeps on request: observations, and evidence however large."""
