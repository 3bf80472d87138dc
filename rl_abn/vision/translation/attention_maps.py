"""A trained network's maps of pictures that are translated, with gradients to the pictures."""

from __future__ import annotations

from hashlib import file_digest
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from rl_abn.attention import Abilities
from rl_abn.errors import RlAbnError
from rl_abn.recipes import VisionRunRecipe
from rl_abn.runs import WEIGHTS, Run
from rl_abn.vision.data.augment import normalise
from rl_abn.vision.training.build import load_network


class Seen(NamedTuple):
    """How a network sees a picture.

    Attributes:
        stored: Height and width of pictures as their files have them.
        rows: First row of those that it sees, and the row after the last; None is all.
        size: Height and width of what it gets.
    """

    stored: tuple[int, int]
    rows: tuple[int, int] | None
    size: tuple[int, int]


class AttentionMaps:
    """Asks a frozen network for its maps.

    Pictures go the way that the network's own pictures went: to the size of the source's files, its
    rows, its size, its normalisation. So do pictures of the target, whatever size their files have.
    Only a picture cut from the middle of a larger one is taken whole here.

    Args:
        folder: The network's run; it needs maps.
        stored: Height and width of the source's pictures as their files have them.
        device: Where the network runs.
        step: The checkpoint's epoch; None is the newest.

    Attributes:
        epoch: The checkpoint's.
        weights_sha256: Of its weights' file.
        seen: How it sees pictures.
        abilities: The mechanism's.

    Raises:
        RlAbnError: If the run is none of a network, has no maps, or sees pictures otherwise.
    """

    def __init__(
        self,
        folder: Path,
        stored: tuple[int, int],
        device: torch.device,
        step: int | None = None,
    ) -> None:
        run = Run.open(folder, VisionRunRecipe)
        if not run.recipe.agent.attention.has_maps:
            raise RlAbnError(
                f"expected --network with attention maps, got '{run.recipe.agent_name}', which has "
                "none; --consistency 0 needs no network"
            )
        trained = load_network(run, step=step, device=device)
        pictures = run.recipe.env.pictures
        self._network = trained.network.requires_grad_(False)
        self._device, self._statistics = device, pictures.statistics
        self.seen = Seen(stored, pictures.rows, trained.outputs.size)
        self.abilities: Abilities = trained.network.abilities
        self.epoch = trained.checkpoint.step
        with (trained.checkpoint.path / WEIGHTS).open("rb") as file:
            self.weights_sha256 = file_digest(file, "sha256").hexdigest()
        self._check(folder, pictures.size is not None)

    def __call__(self, pictures: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B m h w"]:
        """Returns the maps of pictures in -1..1."""
        seen = self.seen
        if seen.rows is not None:
            pictures = _resized(pictures, seen.stored)[:, :, seen.rows[0] : seen.rows[1]]
        pictures = _resized(pictures, seen.size)
        images = normalise(127.5 * (pictures + 1.0), self._statistics)
        # Maps speak of pictures alone: any speed will do.
        speed = torch.zeros(len(images), device=self._device)
        return self._network.attend(images, speed).map

    def _check(self, folder: Path, resizes: bool) -> None:
        (height, width), rows, size = self.seen
        first, end = rows or (0, height)
        seen = (end - first, width)
        if end > height or (rows is not None and not resizes and seen != size):
            got = "x".join(map(str, (height, width)))
            of = "" if rows is None else f" of rows {first} to {end}"
            raise RlAbnError(
                f"{folder}: expected pictures that the network can see, {size[0]}x{size[1]}{of}, "
                f"got {got} (height x width)"
            )


def _resized(pictures: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(pictures.shape[2:]) == size:
        return pictures
    return F.interpolate(pictures, size, mode="bilinear", align_corners=False, antialias=True)
