"""What lies in a box of a picture, as a picture of its own."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, UInt8


def crop(
    frame: UInt8[np.ndarray, "H W 3"], box: Float[np.ndarray, " 4"], size: tuple[int, int]
) -> UInt8[np.ndarray, "h w 3"]:
    """Returns what lies in a box of a picture, in h and w pixels.

    Edges of the box within a pixel are kept, so that a map stretched over the result lies where it
    lies on the box.

    Args:
        frame: The picture.
        box: x1, y1, x2, y2 in its pixels.
        size: h and w.
    """
    height, width = size
    x1, y1, x2, y2 = map(float, box)
    # A box that gets smaller is drawn larger first: each pixel is the mean of those it stands for.
    finer = max(1, int(np.ceil(max((x2 - x1) / width, (y2 - y1) / height))))
    down, right = (y2 - y1) / (height * finer), (x2 - x1) / (width * finer)
    to_frame = np.array([[right, 0, x1 + right / 2 - 0.5], [0, down, y1 + down / 2 - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    drawn = cv2.warpAffine(
        frame,
        to_frame,
        (width * finer, height * finer),
        flags=flags,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA))
