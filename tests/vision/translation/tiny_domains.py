"""Two small domains of pictures, a network with maps, and a translator that takes seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rl_abn.vision.training.train import train as train_network
from rl_abn.vision.translation.prepare import Material, TranslationRun, prepare_run
from tests.vision.tiny_sets import small_run, write_classes

TINY = [
    "pictures.size=[12,12]",
    "generator.width=4",
    "generator.blocks=1",
    "discriminator.width=4",
    "discriminator.layers=2",
    "train.steps=6",
    "train.batch_size=2",
    "train.pool=3",
    "train.log_every=2",
    "train.sheet_every=3",
    "train.checkpoint_every=2",
    "train.n_probes=2",
    "train.keep=0",
]


def write_domains(folder: Path) -> tuple[Path, Path]:
    """Writes two sets of classes; the target's pictures are the source's kind, darker and bluer."""
    source = write_classes(folder / "source", 8, 2)
    target = write_classes(folder / "target", 6, 2)
    for path in target.rglob("*.png"):
        picture = cv2.imread(str(path)) // 2 + np.array([80, 0, 0], np.uint8)
        cv2.imwrite(str(path), picture)
    return source, target


def write_network(folder: Path, data: Path) -> Path:
    """Trains a small ABN for one epoch."""
    run, opened, _ = small_run(folder, data, "train.epochs=1")
    train_network(run, opened, resume=False, device="cpu")
    return run.path


def tiny_run(
    folder: Path,
    domains: tuple[Path, Path],
    network: Path | None,
    *settings: str,
    **more: Any,
) -> tuple[TranslationRun, Material, bool]:
    """Prepares a tiny translation on the CPU."""
    return prepare_run(
        source=domains[0],
        target=domains[1],
        network=network,
        settings=[*TINY, *settings],
        folder=folder,
        device="cpu",
        **more,
    )
