"""Attention over time: fixed held-out pictures whose maps are kept after every epoch."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from rl_abn.attention import Abilities
from rl_abn.errors import RlAbnError
from rl_abn.runs import PROBES, MapLog, open_or_create, save_tensors
from rl_abn.vision.data.batches import Batches
from rl_abn.vision.data.examples import DataSet
from rl_abn.vision.models.network import VisionNetwork
from rl_abn.vision.tasks.outputs import Outputs
from rl_abn.vision.training.build import VisionRun
from rl_abn.vision.visualize.map_grid import map_grid

_MOST_BYTES = 2**28


class PictureProbes(MapLog):
    """P pictures of a run and the maps it had for them after every epoch.

    Args:
        run: The run.
        frames: The pictures, uint8 [P, H, W, 3].
        speed: The vehicle's, [P]; of drives alone.
    """

    def __init__(self, run: VisionRun, frames: UInt8[Tensor, "P H W 3"], speed: Tensor | None):
        super().__init__(run.path, len(frames))
        self.frames = frames
        self.speed = speed

    @classmethod
    def create(cls, run: VisionRun, data: DataSet, count: int) -> PictureProbes:
        """Keeps pictures spread evenly over what is held out, or over all where nothing is."""
        examples = data.held_out or data.train
        count = min(count, len(examples))
        numbers = (torch.arange(count) * len(examples)) // count
        pixels = examples.pictures.read(examples.indices[numbers])
        frames = pixels.permute(0, 2, 3, 1).contiguous().cpu()
        tensors = {"frames": frames}
        speed = None
        if examples.speed is not None:
            speed = tensors["speed"] = examples.speed.cpu()[numbers]
        probes = cls(run, frames, speed)
        save_tensors(probes.folder / PROBES, tensors)
        return probes

    @classmethod
    def open(cls, run: VisionRun) -> PictureProbes:
        """Reads the pictures of a run.

        Raises:
            RlAbnError: If the run kept none, or the file is damaged.
        """
        tensors = cls.load_pictures(run.path, "pictures", "a network", _MOST_BYTES)
        path = run.path / "attention" / PROBES
        frames, speed = tensors.get("frames"), tensors.get("speed")
        fits = frames is not None and frames.ndim == 4 and frames.shape[3] == 3
        if frames is None or not fits or frames.dtype != torch.uint8 or not frames.numel():
            raise RlAbnError(f"{path}: expected pictures, uint8 [P, H, W, 3]")
        if speed is not None and (speed.shape != frames.shape[:1] or not speed.is_floating_point()):
            raise RlAbnError(f"{path}: expected a speed for each of {len(frames)} pictures")
        return cls(run, frames, speed)

    def look(
        self, network: VisionNetwork, batches: Batches, step: int, device: torch.device
    ) -> Float[Tensor, "P m h w"]:
        """Stores and returns the network's maps of the pictures, [P, m, h, w]."""
        images = batches.images(self.frames.permute(0, 3, 1, 2).to(device))
        speed = None if self.speed is None else self.speed.to(device)
        network.eval()
        with torch.no_grad(), batches.compute.autocast(device):
            maps = network.attend(images, speed).map.float().cpu()
        self.keep(maps, step)
        return maps

    def grid(
        self,
        maps: Float[Tensor, "P m h w"],
        outputs: Outputs,
        abilities: Abilities | None = None,
    ) -> UInt8[np.ndarray, "height width 3"]:
        """Returns one picture of the maps, of many tasks of the first eight; see `map_grid`."""
        return map_grid(self.frames.numpy(), maps, outputs, abilities)


def make_probes(run: VisionRun, data: DataSet, epoch: int) -> PictureProbes | None:
    """Opens a run's pictures, or keeps new ones; None where it is to keep none.

    Args:
        run: The run.
        data: Where the pictures come from.
        epoch: Epochs done; the maps of later ones are dropped, as they will be made again.
    """
    count = run.recipe.agent.train.n_probes
    if count == 0 or not run.recipe.agent.attention.has_maps:
        return None
    return open_or_create(
        lambda: PictureProbes.open(run),
        lambda: PictureProbes.create(run, data, count),  # the data says which they were
        resume=epoch > 0,
        step=epoch,
    )
