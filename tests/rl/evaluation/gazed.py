"""Trials as Atari-HEAD has them, written by the tests themselves."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

HEADER = "frame_id,episode_id,score,duration(ms),unclipped_reward,action,gaze_positions"


def png(frame: np.ndarray) -> bytes:
    """A picture file."""
    data = io.BytesIO()
    Image.fromarray(frame).save(data, "PNG")
    return data.getvalue()


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Adds a file to an archive."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def write_trial(
    folder: Path,
    frames: Sequence[np.ndarray],
    gaze: Sequence[np.ndarray | None],
    name: str = "52_RZ_7_Aug-10",
    episodes: Sequence[int] | None = None,
    *,
    unpacked: bool = False,
) -> Path:
    """Writes a trial and returns its table.

    Args:
        folder: Where to.
        frames: uint8 [210, 160, 3] each.
        gaze: Positions of each, [G, 2], or None.
        name: Of the trial.
        episodes: Of each frame; None is one game.
        unpacked: Whether the frames lie in a folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ids = [f"RZ_7_{i}" for i in range(1, len(frames) + 1)]
    lines = [HEADER]
    for i, (frame_id, positions) in enumerate(zip(ids, gaze, strict=True)):
        text = "null" if positions is None else ",".join(f"{v:.2f}" for v in np.ravel(positions))
        lines.append(f"{frame_id},{0 if episodes is None else episodes[i]},0,50,0,0,{text}")
    table = folder / f"{name}.txt"
    table.write_text("\n".join(lines) + "\n")
    if unpacked:
        (folder / name).mkdir()
        for frame_id, frame in zip(ids, frames, strict=True):
            (folder / name / f"{frame_id}.png").write_bytes(png(frame))
        return table
    with tarfile.open(folder / f"{name}.tar.bz2", "w:bz2") as tar:
        # In another order than the table's, as archives of folders are.
        for i in np.random.default_rng(0).permutation(len(frames)):
            add(tar, f"{name}/{ids[i]}.png", png(frames[i]))
    return table


def moving_object(n: int, period: int = 97) -> tuple[list[np.ndarray], np.ndarray]:
    """A bright square on a dark screen that goes around in it; its centre, x and y, [n, 2]."""
    angle = 2 * np.pi * np.arange(n) / period
    centres = np.stack([80 + 60 * np.cos(angle), 105 + 80 * np.sin(angle)], axis=1)
    frames = []
    for x, y in centres.astype(int):
        frame = np.full((210, 160, 3), 20, np.uint8)
        frame[y - 6 : y + 6, x - 6 : x + 6] = 230
        frames.append(frame)
    return frames, centres
