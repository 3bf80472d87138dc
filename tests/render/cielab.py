"""CIELAB and simulated colour blindness from their published formulas, independent of OpenCV."""

from __future__ import annotations

import numpy as np

# sRGB's primaries to XYZ (IEC 61966-2-1); white is D65.
_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}


def lab(picture: np.ndarray, blindness: str = "none") -> np.ndarray:
    """Returns L*, a* and b* of uint8 RGB [..., 3], as somebody with a colour blindness sees it."""
    encoded = picture.astype(np.float64) / 255.0
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    xyz = np.clip(linear @ BLINDNESS[blindness].T, 0.0, 1.0) @ _XYZ.T / _XYZ.sum(axis=1)
    d = 6 / 29
    f = np.where(xyz > d**3, np.cbrt(xyz), xyz / (3 * d**2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def difference(a: np.ndarray, b: np.ndarray, blindness: str = "none") -> np.ndarray:
    """Returns the distance of two pictures' colours in CIELAB (Delta E of 1976)."""
    return np.asarray(np.linalg.norm(lab(a, blindness) - lab(b, blindness), axis=-1))
