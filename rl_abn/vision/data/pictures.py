"""Pictures behind one door, held in memory or decoded when they are read."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from rl_abn.errors import RlAbnError
from rl_abn.files.images import MOST_BYTES, Framing, decode
from rl_abn.files.store import Store
from rl_abn.progress import ProgressReport

MEMORY_LIMIT = 4 * 2**30
_CHUNK = 256  # pictures a thread decodes in one go
_SHOWN_FROM = 2_000  # fewer are there before anybody looks
_MOST_THREADS = 16


class Pictures(ABC):
    """N pictures of one size.

    Attributes:
        size: Their height and width.
    """

    size: tuple[int, int]

    @abstractmethod
    def __len__(self) -> int:
        """Returns N."""

    @abstractmethod
    def read(self, indices: Int64[Tensor, " B"]) -> UInt8[Tensor, "B 3 H W"]:
        """Returns some of the pictures.

        Args:
            indices: Their numbers, 0 to N - 1, int64 [B], on any device.

        Returns:
            RGB, uint8 [B, 3, H, W], in channels-last memory, on the device that was asked for.

        Raises:
            RlAbnError: If a picture that is decoded now is damaged.
        """

    def in_memory(self, indices: Int64[Tensor, " n"] | None = None) -> Pictures:
        """Returns the same pictures, those that are on disk decoded to memory where they fit.

        Args:
            indices: Which are decoded, on the CPU; the others are when they are read. None is all.

        Raises:
            RlAbnError: If one of them cannot be decoded, or has another size than the first of all.
        """
        return self


class HeldPictures(Pictures):
    """Pictures in memory.

    Args:
        pixels: uint8 [N, H, W, 3], on the device they are to stay on.
    """

    def __init__(self, pixels: UInt8[Tensor, "N H W 3"]) -> None:
        self._pixels = pixels
        self.size = (pixels.shape[1], pixels.shape[2])

    def __len__(self) -> int:
        return len(self._pixels)

    def read(self, indices: Int64[Tensor, " B"]) -> UInt8[Tensor, "B 3 H W"]:
        """Returns some of the pictures."""
        rows = self._pixels.index_select(0, indices.to(self._pixels.device))
        return rows.permute(0, 3, 1, 2)


@dataclass(frozen=True)
class PictureFiles:
    """Files that are pictures, and what is made of them."""

    store: Store
    names: Sequence[str]
    framing: Framing

    def decode(self, index: int) -> UInt8[np.ndarray, "H W 3"]:
        """Decodes one of them.

        Raises:
            RlAbnError: If it is missing, damaged or too large.
        """
        name = self.names[index]
        try:
            return self.framing.apply(decode(self.store.read(name, MOST_BYTES)))
        except ValueError as error:
            raise RlAbnError(f"{self.store.place(name)}: {error}") from None

    def decode_into(self, indices: Sequence[int], pixels: UInt8[np.ndarray, "n H W 3"]) -> int:
        """Decodes some of them to `pixels`, and returns how many.

        Raises:
            RlAbnError: If one cannot be decoded, or has another size than the first of all.
        """
        for index, place in zip(indices, pixels, strict=True):
            picture = self.decode(index)
            if picture.shape != place.shape:
                (height, width), (first_height, first_width) = picture.shape[:2], place.shape[:2]
                raise RlAbnError(
                    f"{self.store.place(self.names[index])}: expected all pictures "
                    f"{first_width}×{first_height} as the first, got {width}×{height}; "
                    "give a size to bring them to"
                )
            place[:] = picture
        return len(pixels)


class ChosenPictures(Pictures):
    """Some pictures of a set, as a set of their own.

    Args:
        pictures: The set.
        indices: Which of them, [n].
    """

    def __init__(self, pictures: Pictures, indices: Int64[Tensor, " n"]) -> None:
        self._pictures, self._indices, self.size = pictures, indices, pictures.size

    def __len__(self) -> int:
        return len(self._indices)

    def read(self, indices: Int64[Tensor, " B"]) -> UInt8[Tensor, "B 3 H W"]:
        """Returns some of the pictures."""
        return self._pictures.read(self._indices[indices.to(self._indices.device)])


class StoredPictures(Pictures):
    """Pictures that are decoded whenever they are read, by several threads.

    Args:
        files: Which, at least one.
        device: Where they go.
        memory_limit: Bytes that those which are held may take, decoded.

    Raises:
        RlAbnError: If the first is missing, damaged or too large; the others are not looked at.
    """

    def __init__(
        self,
        files: PictureFiles,
        device: str | torch.device = "cpu",
        memory_limit: int = MEMORY_LIMIT,
    ) -> None:
        with _quiet():
            height, width = files.decode(0).shape[:2]
        self._files, self.size = files, (height, width)
        self._device, self._memory_limit = torch.device(device), memory_limit
        self._pool = ThreadPoolExecutor(n_threads(), thread_name_prefix="pictures")

    def __len__(self) -> int:
        return len(self._files.names)

    def read(self, indices: Int64[Tensor, " B"]) -> UInt8[Tensor, "B 3 H W"]:
        """Decodes some of the pictures."""
        numbers = indices.tolist()
        pixels = np.empty((len(numbers), *self.size, 3), np.uint8)
        share = -(-len(numbers) // n_threads()) or 1
        with _quiet():
            list(
                self._pool.map(
                    lambda start: self._files.decode_into(
                        numbers[start : start + share], pixels[start : start + share]
                    ),
                    range(0, len(numbers), share),
                )
            )
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).to(self._device)

    def in_memory(self, indices: Int64[Tensor, " n"] | None = None) -> Pictures:
        """Decodes pictures to memory, or leaves them where they are if they are too many."""
        numbers = range(len(self)) if indices is None else indices.tolist()
        if len(numbers) * self.size[0] * self.size[1] * 3 > self._memory_limit:
            return self
        pixels = np.empty((len(numbers), *self.size, 3), np.uint8)
        with _quiet():
            _decode_all(self._files, numbers, pixels)
        held = HeldPictures(torch.from_numpy(pixels).to(self._device))
        return held if indices is None else PartlyHeldPictures(held, indices, self)


class PartlyHeldPictures(Pictures):
    """Pictures of which some are in memory.

    Args:
        held: Those, n of them.
        indices: Their numbers in the set, [n].
        stored: All of the set; read from where one is wanted that is not held.
    """

    def __init__(
        self, held: HeldPictures, indices: Int64[Tensor, " n"], stored: StoredPictures
    ) -> None:
        self._held, self._stored, self.size = held, stored, stored.size
        self._places = torch.full((len(stored),), -1, dtype=torch.int64)
        self._places[indices] = torch.arange(len(indices))

    def __len__(self) -> int:
        return len(self._stored)

    def read(self, indices: Int64[Tensor, " B"]) -> UInt8[Tensor, "B 3 H W"]:
        """Returns some of the pictures."""
        places = self._places[indices.cpu()]
        return self._held.read(places) if (places >= 0).all() else self._stored.read(indices)

    def in_memory(self, indices: Int64[Tensor, " n"] | None = None) -> Pictures:
        """Decodes other pictures to memory, or all."""
        return self._stored.in_memory(indices)


def load_pictures(
    files: PictureFiles,
    device: str | torch.device = "cpu",
    memory_limit: int = MEMORY_LIMIT,
    *,
    hold: bool = True,
) -> Pictures:
    """Decodes pictures to memory, or leaves them where they are if they are too many.

    Args:
        files: Which, at least one.
        device: Where they are held, or go when they are read.
        memory_limit: Bytes they may take, decoded.
        hold: Whether they are decoded now, and not when they are read.

    Raises:
        RlAbnError: If one is missing, damaged, too large or of another size than the others. From
            a set that stays on disk only the first is looked at.
    """
    stored = StoredPictures(files, device, memory_limit)
    return stored.in_memory() if hold else stored


def hold_arrays(
    arrays: UInt8[np.ndarray, "N h w 3"], framing: Framing, device: str | torch.device
) -> HeldPictures:
    """Holds pictures that were never encoded."""
    if framing.apply(arrays[0]).shape != arrays.shape[1:]:
        arrays = np.stack([framing.apply(picture) for picture in arrays])
    return HeldPictures(torch.from_numpy(arrays).to(device))


def n_threads() -> int:
    """Returns how many threads decode: one a core this process may use, up to 16."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(cores, _MOST_THREADS)


def _decode_all(
    files: PictureFiles, numbers: Sequence[int], pixels: UInt8[np.ndarray, "n H W 3"]
) -> None:
    total, done = len(pixels), 0

    def chunk(start: int) -> int:
        end = min(start + _CHUNK, total)
        return files.decode_into(numbers[start:end], pixels[start:end])

    many = total >= _SHOWN_FROM
    shown = ProgressReport("loading pictures", total, "pictures") if many else nullcontext()
    pool = ThreadPoolExecutor(n_threads(), thread_name_prefix="pictures")
    try:
        with shown as report:
            # In order, so that of two damaged pictures it is always the first that is named.
            for part in pool.map(chunk, range(0, total, _CHUNK)):
                done += part
                if report is not None:
                    report.update(done)
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps OpenCV from writing about a damaged picture what the one-line error says."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
