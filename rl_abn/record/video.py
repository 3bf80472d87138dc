"""Videos of episodes: one as it was played, or several side by side."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from rl_abn.errors import RlAbnError
from rl_abn.record.meta import EpisodeMeta
from rl_abn.record.reader import Episode
from rl_abn.render import GameScene, Moment, Scale, VideoWriter, draw, scale_of

MOST_CELLS = 16
_GAP = 4
_ENDED = 0.4  # share of its brightness that a cell keeps when its game is over
_FONT = 22


class Report(Protocol):
    """Shows how far a video is."""

    def update(self, done: int) -> None:
        """Shows that `done` steps are done."""


class EpisodeVideo(NamedTuple):
    """A video that was written.

    Attributes:
        path: The file.
        n_frames: Its frames.
        seconds: How long it is.
        scores: The score of each episode at the end of the video.
    """

    path: Path
    n_frames: int
    seconds: float
    scores: list[float]


class _Cell:
    """One episode of a video: its images step by step, and the last one dimmed when it is over."""

    def __init__(
        self,
        episode: Episode,
        title: str,
        frames: Iterable[Sequence[np.ndarray]] | None,
        *,
        scale: Scale,
        enlarge: int,
        evidence: bool,
        max_steps: int | None,
    ) -> None:
        meta = episode.meta
        if evidence and "evidence" not in meta.arrays:
            raise RlAbnError(
                f"{episode.path}: expected evidence for each action, got none: the agent's "
                "attention branch states none, or it was too large (record --keep evidence)"
            )
        self.episode, self.evidence = episode, evidence
        self.n_steps = min(episode.n_steps, max_steps or episode.n_steps)
        self.scene = GameScene(
            action_names=meta.action_names,
            map_names=meta.map_names,
            title=title,
            fps=meta.fps,
            scale=scale_of(scale, sums_to_one=meta.scale == "even"),
            enlarge=enlarge,
            frame_size=meta.frame_size,
            seen_rows=meta.seen_rows,
            evidence=evidence,
        )
        self._frames = iter(frames) if frames is not None else None
        self._last: np.ndarray
        self._over: np.ndarray | None = None

    @property
    def score(self) -> float:
        return float(self.episode.step(self.n_steps - 1)["score"])

    def images(self, step: int, n: int) -> Iterator[np.ndarray]:
        """Yields the n images of a step; a step with fewer frames repeats its last."""
        if step >= self.n_steps:
            if self._over is None:
                self._over = self._dimmed()
            yield from [self._over] * n
            return
        frames = [self.episode.frame(step)] if self._frames is None else next(self._frames)
        for i in range(n):
            if i < len(frames):
                moment = moment_of(self.episode, step, frames[i], evidence=self.evidence)
                self._last = self.scene.render(moment)
            yield self._last

    def _dimmed(self) -> np.ndarray:
        """Returns the last image, dimmed, with how the game ended."""
        image = cv2.convertScaleAbs(self._last, alpha=_ENDED)
        last = self.episode.step(self.n_steps - 1)
        how = "over after" if last["terminated"] or last["truncated"] else "recorded for"
        text = f"{how} {self.n_steps:,} steps, score {self.score:,.0f}"
        height, width = image.shape[:2]
        box = draw.text_width(text, _FONT, bold=True) + 40
        draw.draw_box(image, (width - box) // 2, height // 2 - 26, box, 52, draw.BACKGROUND)
        draw.draw_text(
            image, text, width // 2, height // 2 + 8, size=_FONT, bold=True, anchor="centre"
        )
        return image


def moment_of(episode: Episode, step: int, frame: np.ndarray, *, evidence: bool = False) -> Moment:
    """Returns what is shown of a step.

    Args:
        episode: The episode.
        step: The step.
        frame: Its screen, or one of those skipped after it.
        evidence: Whether the evidence is shown.

    Raises:
        RlAbnError: If the step cannot be read, or has not what is shown.
    """
    known = episode.step(step)
    for name in ("maps", "probabilities", "value"):
        if name not in known:
            raise RlAbnError(f"{episode.path}: expected '{name}' at each step, got none")
    branch = known.get("branch_probabilities")
    return Moment(
        frame=frame,
        maps=_drawn(known["maps"], episode.meta),
        action_probabilities=known["probabilities"],
        branch_probabilities=branch,
        action=int(known["action"]),
        value=float(known["value"]),
        reward=float(known["reward"]),
        score=float(known["score"]),
        lives=int(known["lives"]),
        step=step,
        evidence=known["evidence"].astype(np.float32) if evidence else None,
    )


def write_video(
    path: Path,
    episodes: Sequence[Episode],
    *,
    titles: Sequence[str] | None = None,
    skipped_frames: Sequence[Iterable[Sequence[np.ndarray]]] | None = None,
    scale: Scale = "fixed",
    evidence: bool = False,
    max_steps: int | None = None,
    report: Report | None = None,
) -> EpisodeVideo:
    """Makes a video of an episode, or of several side by side, step by step.

    Args:
        path: The video, .mp4.
        episodes: One to `MOST_CELLS`.
        titles: At the top of each; None is the episodes' own.
        skipped_frames: Of each episode, the frames of every step with those skipped; None shows
            one frame a step.
        scale: "fixed" shows map values as they are, "frame" stretches each map to its own range.
        evidence: Whether the evidence for each action is shown.
        max_steps: Shows at most this many steps.
        report: Progress display.

    Raises:
        RlAbnError: If an episode cannot be read or has not what is shown, or the video cannot be
            written.
    """
    if not 1 <= len(episodes) <= MOST_CELLS:
        raise RlAbnError(f"expected 1 to {MOST_CELLS} games side by side, got {len(episodes)}")
    first = episodes[0].meta
    for other in episodes[1:]:
        speeds = (first.fps, first.frames_per_step), (other.meta.fps, other.meta.frames_per_step)
        if speeds[0] != speeds[1]:
            raise RlAbnError(
                f"{other.path}: expected {first.fps:g} steps of {first.frames_per_step} frames a "
                f"second as in the first game, got {other.meta.fps:g} of "
                f"{other.meta.frames_per_step}"
            )
    n = 1 if skipped_frames is None else first.frames_per_step
    cells = [
        _Cell(
            episode,
            episode.meta.title if titles is None else titles[i],
            None if skipped_frames is None else skipped_frames[i],
            scale=scale,
            enlarge=3 if len(episodes) == 1 else 2 if len(episodes) <= 6 else 1,
            evidence=evidence,
            max_steps=max_steps,
        )
        for i, episode in enumerate(episodes)
    ]
    n_steps = max(cell.n_steps for cell in cells)
    size, corners = _layout([cell.scene.size for cell in cells])
    with VideoWriter(path, size, n * first.fps) as writer:
        for step in range(n_steps):
            for images in zip(*(cell.images(step, n) for cell in cells), strict=True):
                writer.write(images[0] if len(cells) == 1 else _side_by_side(size, corners, images))
            if report is not None:
                report.update(step + 1)
    seconds = writer.n_frames / (n * first.fps)
    return EpisodeVideo(path, writer.n_frames, seconds, [cell.score for cell in cells])


def _layout(
    sizes: Sequence[tuple[int, int]],
) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    """Returns width and height of a grid of cells, nearest to 16:9, and the cells' corners."""
    if len(sizes) == 1:
        return sizes[0], [(0, 0)]
    width = max(width for width, _ in sizes) + _GAP
    height = max(height for _, height in sizes) + _GAP

    def shape(columns: int) -> tuple[int, float]:
        rows = -(-len(sizes) // columns)
        return -len(sizes) % columns, abs(math.log(columns * width / (rows * height) * 9 / 16))

    columns = min(range(1, len(sizes) + 1), key=lambda c: shape(c)[0] * 0.1 + shape(c)[1])
    rows = -(-len(sizes) // columns)
    corners = [
        (column * width, row * height)
        for row, column in (divmod(i, columns) for i in range(len(sizes)))
    ]
    return (columns * width - _GAP, rows * height - _GAP), corners


def _side_by_side(
    size: tuple[int, int], corners: Sequence[tuple[int, int]], images: Sequence[np.ndarray]
) -> np.ndarray:
    canvas = draw.blank(size[1], size[0])
    for (x, y), image in zip(corners, images, strict=True):
        if x:
            draw.draw_box(canvas, x - _GAP, 0, _GAP, size[1], draw.RULE)
        if y:
            draw.draw_box(canvas, 0, y - _GAP, size[0], _GAP, draw.RULE)
        draw.paste(canvas, image, x, y)
    return canvas


def _drawn(maps: np.ndarray, meta: EpisodeMeta) -> np.ndarray:
    """Returns recorded maps [m, rows, columns] as they are drawn."""
    drawn = maps.astype(np.float32) * meta.even_factor
    return drawn if meta.map_places is None else drawn.mean(1).reshape(-1, *meta.map_places)
