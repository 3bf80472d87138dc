"""Small sets whose answers are plain to see, and runs on them that take seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rl_abn.vision.data.examples import DataSet
from rl_abn.vision.training.build import VisionRun
from rl_abn.vision.training.prepare import prepare_run

CLASSES = ("blue", "green", "red")
SMALL = [
    "network.name=resnet",
    "network.depth=8",
    "pictures.size=[12,12]",
    "train.batch_size=16",
    "train.n_probes=2",
    "optimizer.learning_rate=0.05",
]


def write_classes(folder: Path, n_train: int = 30, n_test: int = 10) -> Path:
    """Noise with a square of the class's colour in one of two corners."""
    rng = np.random.default_rng(0)
    for split, count in (("train", n_train), ("test", n_test)):
        for channel, name in enumerate(CLASSES):
            place = folder / split / name
            place.mkdir(parents=True)
            for i in range(count):
                picture = rng.integers(0, 120, (12, 12, 3), dtype=np.uint8)
                corner = 6 * (i % 2)
                picture[corner : corner + 6, corner : corner + 6, channel] = 250
                cv2.imwrite(str(place / f"{i:03}.png"), picture)
    return folder


def write_drive(folder: Path, n: int = 60, side: int = 64) -> Path:
    """A bright column stands where the driver steers to; the throttle is half of the speed."""
    (folder / "IMG").mkdir(parents=True)
    rng = np.random.default_rng(1)
    lines = ["center,steering,throttle,brake,speed"]
    for i in range(n):
        steering = float(np.sin(i / 5))
        picture = rng.integers(0, 60, (side, side, 3), dtype=np.uint8)
        column = round((steering + 1) / 2 * (side - 9))
        picture[:, column : column + 8] = 250
        cv2.imwrite(str(folder / "IMG" / f"{i:04}.png"), picture)
        lines.append(f"IMG/{i:04}.png,{steering:.6f},{0.5 + 0.5 * (i % 2):.1f},0,{10 + i % 2}")
    (folder / "driving_log.csv").write_text("\n".join(lines) + "\n")
    return folder


def write_attributes(folder: Path, n: int = 40) -> Path:
    """Two attributes: whether the picture is red, and whether it is bright below."""
    (folder / "img").mkdir(parents=True)
    rng = np.random.default_rng(2)
    lines = [str(n), "Red Bright_Below"]
    for i in range(n):
        red, below = bool(i & 1), bool(i & 2)
        picture = rng.integers(0, 80, (12, 12, 3), dtype=np.uint8)
        picture[:, :, 2] += 150 * red
        picture[6:] += 80 * below
        cv2.imwrite(str(folder / "img" / f"{i:04}.png"), picture)
        lines.append(f"{i:04}.png {1 if red else -1} {1 if below else -1}")
    (folder / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
    return folder


def small_run(
    folder: Path,
    data: Path | None,
    *settings: str,
    env: str = "cifar10",
    agent: str = "resnet20_abn",
    seed: int = 0,
    **more: Any,
) -> tuple[VisionRun, DataSet, bool]:
    """Prepares a run of a network with 8 layers on the CPU."""
    return prepare_run(
        env=env,
        agent=agent,
        seed=seed,
        data=data,
        settings=[*SMALL, *settings],
        folder=folder,
        device="cpu",
        **more,
    )
