"""A sheet: originals, their translations and those translated back, with a network's maps."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from rl_abn.attention import places_like
from rl_abn.files.text import write_output
from rl_abn.render import draw, overlay, scale_of
from rl_abn.runs import name_of
from rl_abn.vision.translation.attention_maps import AttentionMaps
from rl_abn.vision.translation.cyclegan import CycleGan
from rl_abn.vision.translation.domains import Domain, to_pixels
from rl_abn.vision.translation.losses import consistency_loss
from rl_abn.vision.translation.prepare import Material, TranslationRun

_LEAST_SIDE = 96  # of a picture on the sheet
_LABEL, _GAP = 18, 2
Canvas = UInt8[np.ndarray, "height width 3"]


class Sheets:
    """Fixed pictures of both domains, spread evenly over them, and what becomes of them.

    Args:
        run: Where sheets go.
        material: The domains, and the network if there is one.
        n: Pictures of each domain.
    """

    def __init__(self, run: TranslationRun, material: Material, n: int) -> None:
        self._run, self._maps = run, material.maps
        self._source, self._target = (_spread(d, n) for d in (material.source, material.target))

    def draw(self, model: CycleGan, step: int) -> tuple[Canvas, dict[str, float]]:
        """Writes a sheet into the run's sheets/.

        Returns:
            The sheet, and how far the maps of translations are from the originals'.
        """
        source = _translated(self._source, model.to_target, model.to_source)
        target = _translated(self._target, model.to_source, model.to_target)
        numbers = {}
        rows = []
        for name, other, chain in (("source", "target", source), ("target", "source", target)):
            maps = None if self._maps is None else [_ask(self._maps, p) for p in chain]
            if maps is not None:
                numbers[f"sheet/{name}_map_distance"] = float(consistency_loss(maps[1], maps[0]))
            for i, label in enumerate((name, f"{name} as {other}", f"{name} again")):
                pixels = to_pixels(chain[i]).permute(0, 2, 3, 1).cpu().numpy()
                rows.append((label, list(pixels)))
                if maps is not None:
                    rows.append((f"map of {label}", self._lit(pixels, maps[i])))
        canvas = _stack(rows)
        path = self._run.path / "sheets" / f"{name_of(step)}.png"
        _, data = cv2.imencode(".png", cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR))
        write_output(path, data.tobytes())
        return canvas, numbers

    def _lit(
        self, pixels: UInt8[np.ndarray, "P H W 3"], maps: Float[Tensor, "P m h w"]
    ) -> list[np.ndarray]:
        """Returns the pictures under their first map."""
        assert self._maps is not None
        abilities, rows = self._maps.abilities, self._maps.seen.rows
        if rows is not None:  # of the pictures as they are shown
            height = pixels.shape[1]
            first, end = (round(row * height / self._maps.seen.stored[0]) for row in rows)
            rows = (min(first, height - 1), max(end, first + 1))
        places = places_like(maps.shape[-1], *self._maps.seen.size)
        drawn = abilities.drawn(maps[:, :1].float().cpu().numpy(), places)
        scale = scale_of("fixed", sums_to_one=abilities.sums_to_one)
        return [
            overlay(picture, each[0], scale=scale, seen_rows=rows)
            for picture, each in zip(pixels, np.asarray(drawn), strict=True)
        ]


def _spread(domain: Domain, n: int) -> Tensor:
    total = len(domain.pictures)
    n = min(n, total)
    return domain.read(torch.arange(n) * total // n)


def _translated(pictures: Tensor, there: torch.nn.Module, back: torch.nn.Module) -> list[Tensor]:
    with torch.no_grad():
        translated = there(pictures)
        return [pictures, translated, back(translated)]


def _ask(maps: AttentionMaps, pictures: Tensor) -> Tensor:
    with torch.no_grad():
        return maps(pictures)


def _stack(rows: list[tuple[str, list[np.ndarray]]]) -> Canvas:
    height, width = rows[0][1][0].shape[:2]
    larger = -(-_LEAST_SIDE // min(height, width))
    height, width = height * larger, width * larger
    count = len(rows[0][1])
    canvas = draw.blank(len(rows) * (_LABEL + height + _GAP), count * (width + _GAP) - _GAP)
    for row, (label, pictures) in enumerate(rows):
        top = row * (_LABEL + height + _GAP)
        draw.draw_text(canvas, label, 2, top + 13, size=12)
        for column, picture in enumerate(pictures):
            large = picture.repeat(larger, axis=0).repeat(larger, axis=1)
            draw.paste(canvas, large, column * (width + _GAP), top + _LABEL)
    return canvas
