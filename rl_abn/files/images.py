"""Decodes image files and crops and resizes them to a network's input."""

from __future__ import annotations

import io
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from rl_abn.errors import RlAbnError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
MOST_BYTES = 64 * 2**20
MOST_PIXELS = 64 * 2**20
_PNG_END = b"\0\0\0\0IEND"  # four bytes follow, a checksum
_FORMATS = ("JPEG", "PNG", "BMP", "PPM", "TIFF", "WEBP")


@dataclass(frozen=True)
class Framing:
    """Cropping and resizing of an image, in the order of the attributes.

    Attributes:
        rows: First row kept and the row after the last; None keeps all.
        size: Final height and width; None keeps them.
        short_side: The short side is resized to this before `size` is cropped from the centre; None
            resizes the image to the smallest that covers `size`.
        stretch: Resizes height and width separately to `size`, without cropping.
    """

    rows: tuple[int, int] | None = None
    size: tuple[int, int] | None = None
    short_side: int | None = None
    stretch: bool = False

    def __post_init__(self) -> None:
        if self.rows is not None and not 0 <= self.rows[0] < self.rows[1]:
            raise RlAbnError(f"expected rows from a first to a larger number, got {self.rows}")
        if self.size is not None and not all(1 <= side <= 4096 for side in self.size):
            raise RlAbnError(f"expected a size of 1 to 4096 pixels a side, got {self.size}")
        if self.short_side is not None and (
            self.size is None or not max(self.size) <= self.short_side <= 4096
        ):
            least = 1 if self.size is None else max(self.size)
            given = "and a size" if self.size is None else "for that size"
            raise RlAbnError(
                f"expected a short_side of {least} to 4096 {given}, got {self.short_side}"
            )

    def apply(self, picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "H W 3"]:
        """Crops and resizes an image, uint8 [h, w, 3].

        Raises:
            ValueError: If the image does not have these rows.
        """
        if self.rows is not None:
            top, end = self.rows
            if end > len(picture):
                raise ValueError(
                    f"expected rows within the picture's {len(picture)}, got {top} to {end}"
                )
            picture = picture[top:end]
        if self.size is None or self.size == picture.shape[:2]:
            return picture
        if self.stretch:
            return _resized(picture, self.size)
        return _centre(self._covering(picture), self.size)

    def _covering(self, picture: np.ndarray) -> np.ndarray:
        assert self.size is not None
        height, width = picture.shape[:2]
        if self.short_side is None:
            scale = max(self.size[0] / height, self.size[1] / width)
        else:
            scale = self.short_side / min(height, width)
        # Bounded, because an extreme aspect ratio could otherwise fill the memory.
        longest = 64 * max(self.size)
        rows = min(max(round(height * scale), self.size[0]), longest)
        columns = min(max(round(width * scale), self.size[1]), longest)
        return _resized(picture, (rows, columns))


def decode(data: bytes) -> UInt8[np.ndarray, "h w 3"]:
    """Decodes a JPEG, PNG, BMP, PPM, TIFF or WebP file of limited size to RGB.

    Grey is repeated, transparency ignored.

    Raises:
        ValueError: If it is damaged, of another format, or too large.
    """
    # A small file can claim any number of pixels, and OpenCV accepts up to 2^30.
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as header:
            width, height = header.size
            # OpenCV's decoder prints lines of its own about a damaged PNG, so it gets none.
            if header.format == "PNG":
                header.verify()
                if data.rfind(_PNG_END) not in range(len(data) - len(_PNG_END) - 3):
                    raise _damaged(data)
    except Exception:  # decoders raise many kinds
        raise _damaged(data) from None
    if width * height > MOST_PIXELS:
        raise ValueError(
            f"expected a picture of at most {MOST_PIXELS:,} pixels, got {width}×{height}"
        )
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        picture = None
    if picture is None:
        raise _damaged(data)
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB, dst=picture))


def is_picture(name: str) -> bool:
    """Returns whether a file name has an image's suffix."""
    return name.lower().endswith(SUFFIXES)


def _damaged(data: bytes) -> ValueError:
    got = "a damaged or cut-off one" if data else "an empty file"
    return ValueError(f"expected a picture, got {got}")


def _resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    # Area averaging avoids aliasing when shrinking; enlarging with it would show blocks.
    smaller = size[0] <= picture.shape[0] and size[1] <= picture.shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (size[1], size[0]), interpolation=how))


def _centre(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    top, left = ((picture.shape[i] - size[i]) // 2 for i in range(2))
    return picture[top : top + size[0], left : left + size[1]]
