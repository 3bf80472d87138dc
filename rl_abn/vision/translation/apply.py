"""Translates a data set: pictures change, layout and labels stay."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import UInt8

from rl_abn.compute.device import device_of
from rl_abn.errors import RlAbnError
from rl_abn.files.images import Framing
from rl_abn.files.text import write_json
from rl_abn.progress import ProgressReport
from rl_abn.runs import is_taken
from rl_abn.vision.data.pictures import PictureFiles
from rl_abn.vision.translation.domains import Layout, layout_of, to_pixels, to_unit
from rl_abn.vision.translation.generator import Generator
from rl_abn.vision.translation.prepare import TranslationRun
from rl_abn.vision.translation.train import make_model

ABOUT = "about.json"
DIRECTIONS = ("to_target", "to_source")
_BATCH = 32
_JPEG = {".jpg": ".jpg", ".jpeg": ".jpg", ".webp": ".webp"}
_QUALITY = {".jpg": [cv2.IMWRITE_JPEG_QUALITY, 95], ".webp": [cv2.IMWRITE_WEBP_QUALITY, 95]}
_MOST_TABLE = 2**30


class Translated(NamedTuple):
    """What was translated.

    Attributes:
        folder: The new data set.
        n: Pictures.
        notes: What was got round, a line each.
    """

    folder: Path
    n: int
    notes: tuple[str, ...]


def n_pictures(data: Path) -> int:
    """Returns how many pictures a data set has.

    Raises:
        RlAbnError: If there is no such set.
    """
    return len(layout_of(data).names)


def translate(
    run: TranslationRun,
    data: Path,
    folder: Path,
    *,
    direction: str = "to_target",
    step: int | None = None,
    device: str = "auto",
    report: ProgressReport | None = None,
) -> Translated:
    """Writes a data set of the same layout, its pictures translated.

    Names, tables and sizes stay, so that what learns from one learns from the other. PNG, BMP, TIFF
    and PPM files hold a translation exactly; JPEG and WebP at quality 95. The folder appears when
    it is whole.

    Args:
        run: The translation's.
        data: A driving log, picture folders, or pictures with a table of attributes or boxes.
        folder: Where the new set goes; it may not be there.
        direction: "to_target" or "to_source".
        step: The checkpoint's step; None is the newest.
        device: Where the generator runs.
        report: Shows how many pictures are done.

    Raises:
        RlAbnError: If the data, a picture or the checkpoint will not do, the folder is taken, or it
            cannot be written.
    """
    if is_taken(folder) or not folder.name:
        raise RlAbnError(f"expected a new folder for --out, got '{folder}', which exists")
    where = device_of(device)
    generator, step = load_generator(run, direction, step, where)
    layout = layout_of(data)
    partial = folder.with_name(f".{folder.name}.partial.{os.getpid()}")
    try:
        partial.mkdir(parents=True)
        _write_tables(layout, partial)
        about = {
            "translated": str(run.path.resolve()),
            "step": step,
            "direction": direction,
            "data": str(data.resolve()),
        }
        write_json(partial / ABOUT, about)
        size, done = run.recipe.agent.pictures.size, 0
        for names, pictures in _batches(layout):
            translated = _translate(generator, pictures, size, where)
            for name, picture in zip(names, translated, strict=True):
                _write_picture(partial / name, picture)
            done += len(names)
            if report is not None:
                report.update(done)
        if folder.is_dir():  # an empty one
            folder.rmdir()
        partial.rename(folder)
    except OSError as error:
        raise RlAbnError(f"{folder}: cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Translated(folder, done, layout.notes)


def load_generator(
    run: TranslationRun, direction: str, step: int | None, device: torch.device
) -> tuple[Generator, int]:
    """Returns a run's generator of one direction, in evaluation mode, and its checkpoint's step.

    Raises:
        RlAbnError: If there is no such checkpoint, or it is damaged.
    """
    checkpoint = run.checkpoint(step)
    model = make_model(run.recipe.agent, run.recipe.seed, torch.device("cpu"))
    model.load_state_dict(run.weights(checkpoint, model.state_dict()))
    generator = model.to_target if direction == "to_target" else model.to_source
    return generator.to(device).eval(), checkpoint.step


def _write_tables(layout: Layout, folder: Path) -> None:
    for name in layout.tables:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(layout.store.read(name, _MOST_TABLE))


def _batches(
    layout: Layout,
) -> Iterator[tuple[tuple[str, ...], list[UInt8[np.ndarray, "H W 3"]]]]:
    files = PictureFiles(layout.store, layout.names, Framing())
    for start in range(0, len(layout.names), _BATCH):
        names = layout.names[start : start + _BATCH]
        yield names, [files.decode(start + i) for i in range(len(names))]


def _translate(
    generator: Generator,
    pictures: list[UInt8[np.ndarray, "H W 3"]],
    size: tuple[int, int],
    device: torch.device,
) -> list[UInt8[np.ndarray, "H W 3"]]:
    """Returns pictures translated, each of the size that it had."""
    framing = Framing(size=size, stretch=True)
    small = torch.from_numpy(np.stack([framing.apply(picture) for picture in pictures]))
    with torch.no_grad():
        translated = generator(to_unit(small.permute(0, 3, 1, 2).to(device)))
    pixels = to_pixels(translated).permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return [
        Framing(size=original.shape[:2], stretch=True).apply(picture)
        for original, picture in zip(pictures, pixels, strict=True)
    ]


def _write_picture(path: Path, picture: UInt8[np.ndarray, "H W 3"]) -> None:
    suffix = path.suffix.lower()
    # A grey .pgm has room for no colours; readers go by what is in a file.
    kind = _JPEG.get(suffix, ".ppm" if suffix == ".pgm" else suffix)
    ok, data = cv2.imencode(kind, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), _QUALITY.get(kind, []))
    assert ok
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.tobytes())
