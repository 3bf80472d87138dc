"""Maps beside where people look: Atari-HEAD's recordings, and four scores.

Atari-HEAD (Zhang et al., AAAI 2020): a trial is a table `NAME.txt`, a line a frame, and a folder or
an archive of frames that is not needed here. Its lines: frame_id, episode_id, score, duration(ms),
unclipped_reward, action, gaze_positions; the last is pairs of x and y on a screen of 160x210, or
"null".
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rl_abn.errors import RlAbnError
from rl_abn.files.text import brief, read_text

SCREEN = (210, 160)
_FIRST_FIELDS = 6
_MOST_BYTES = 512 * 2**20


class GazeFrame(NamedTuple):
    """Where a person looked while a frame was on the screen.

    Attributes:
        frame: The frame's name.
        positions: x and y in pixels, float64 [G, 2]; those off the screen are left out.
    """

    frame: str
    positions: np.ndarray


def read_gaze(path: Path) -> list[GazeFrame]:
    """Reads a trial of Atari-HEAD; frames without a gaze on the screen are left out.

    Raises:
        RlAbnError: If the file is none.
    """
    try:
        lines = read_text(path, _MOST_BYTES).splitlines()
    except (OSError, ValueError) as error:
        raise RlAbnError(f"{path}: expected a table of Atari-HEAD, got {brief(error)}") from None
    if not lines or not lines[0].startswith("frame_id"):
        raise RlAbnError(f"{path}: expected a first line that begins with 'frame_id'")
    frames = []
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        name, *fields = line.split(",")
        positions = fields[_FIRST_FIELDS - 1 :]
        if not positions or positions == ["null"]:
            continue
        try:
            values = np.array(positions, dtype=np.float64)
        except ValueError:
            values = np.zeros(1)
        if len(values) % 2 or not np.isfinite(values).all():
            raise RlAbnError(f"{path}, line {number}: expected pairs of x and y")
        pairs = values.reshape(-1, 2)
        height, width = SCREEN
        inside = ((pairs >= 0) & (pairs < np.array([width, height]))).all(axis=1)
        if inside.any():
            frames.append(GazeFrame(name, pairs[inside]))
    return frames


def gaze_density(
    positions: np.ndarray, size: tuple[int, int] = SCREEN, sigma: float = 5.0
) -> np.ndarray:
    """Returns a density of gaze positions [G, 2], float64 [H, W] that sums to 1.

    Args:
        positions: x and y in pixels.
        size: H and W.
        sigma: Of the Gaussian at each position, in pixels; one degree of sight is about 5.
    """
    height, width = size
    rows, columns = np.arange(height)[:, None], np.arange(width)[None]
    total = np.zeros(size)
    for x, y in positions:
        total += np.exp(-((rows - y) ** 2) / (2 * sigma**2)) * np.exp(
            -((columns - x) ** 2) / (2 * sigma**2)
        )
    density: np.ndarray = total / total.sum()
    return density


def nss(saliency: np.ndarray, positions: np.ndarray) -> float:
    """Returns the normalised scanpath saliency: the standardised map's mean at gaze positions.

    0 is chance; a flat map has 0.

    Args:
        saliency: [H, W].
        positions: x and y in pixels, [G, 2].
    """
    spread = float(saliency.std())
    if spread < 1e-12:
        return 0.0
    return float(((_at(saliency, positions) - saliency.mean()) / spread).mean())


def shuffled_auc(saliency: np.ndarray, positions: np.ndarray, others: np.ndarray) -> float:
    """Returns how probably the map is higher at a gaze of this frame than at one of another.

    0.5 is chance, which a map of where people look on average has too.

    Args:
        saliency: [H, W].
        positions: Of this frame, [G, 2].
        others: Of other frames, [K, 2].
    """
    own, rest = _at(saliency, positions), _at(saliency, others)
    gap = own[:, None] - rest[None]
    return float((gap > 0).mean() + 0.5 * (gap == 0).mean())


def kl_of_gaze(saliency: np.ndarray, density: np.ndarray) -> float:
    """Returns KL(gaze ‖ map) in nats; both are shares of a sum, [H, W]."""
    eps = np.finfo(np.float64).eps
    p = density / density.sum()
    q = np.clip(saliency, 0.0, None)
    q = q / q.sum() if q.sum() > 0 else np.full_like(p, 1.0 / p.size)
    return float((p * np.log(eps + p / (q + eps))).sum())


def correlation_with_gaze(saliency: np.ndarray, density: np.ndarray) -> float:
    """Returns Pearson's correlation of a map and a density, [H, W] each; 0 for a flat one."""
    if saliency.std() < 1e-12 or density.std() < 1e-12:
        return 0.0
    found = float(np.corrcoef(saliency.ravel(), density.ravel())[0, 1])
    return found if math.isfinite(found) else 0.0


def _at(saliency: np.ndarray, positions: np.ndarray) -> np.ndarray:
    columns, rows = positions.astype(int).T
    values: np.ndarray = saliency[rows, columns]
    return values
