"""Pictures with boxes as a detector takes them: what a run learns from, holds out, is tested on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rl_abn.errors import RlAbnError
from rl_abn.files.images import MOST_BYTES, decode
from rl_abn.recipes import VisionRunRecipe
from rl_abn.vision.data.pictures import MEMORY_LIMIT
from rl_abn.vision.data.splits import hold_out
from rl_abn.vision.detection.annotations import BoxedSet, Picture
from rl_abn.vision.detection.categories import Categories
from rl_abn.vision.detection.detector import BoxTargets
from rl_abn.vision.detection.layouts import open_layout, read_split

# Not the run's seed: all runs on a set hold out the same pictures, and can be compared on them.
_HELD_OUT_SEED = 0


class BoxedExamples:
    """N pictures and their boxes; decoded pictures stay in memory while there is room.

    Args:
        boxed: What they are.
        device: Where they go.
        memory_limit: Bytes that decoded pictures may take.
    """

    def __init__(
        self, boxed: BoxedSet, device: torch.device, memory_limit: int = MEMORY_LIMIT
    ) -> None:
        self.boxed, self.device = boxed, device
        total = sum(3 * height * width for height, width in (p.size for p in boxed.pictures))
        self._kept: dict[int, Tensor] | None = {} if total <= memory_limit else None

    def __len__(self) -> int:
        return len(self.boxed)

    def pixels(self, number: int) -> Tensor:
        """Returns a picture, uint8 [3, H, W] on the CPU.

        Raises:
            RlAbnError: If it is missing, damaged or of another size than its boxes say.
        """
        if self._kept is not None and number in self._kept:
            return self._kept[number]
        picture = self.boxed.pictures[number]
        place = self.boxed.store.place(picture.name)
        try:
            decoded = decode(self.boxed.store.read(picture.name, MOST_BYTES))
        except ValueError as error:
            raise RlAbnError(f"{place}: {error}") from None
        if decoded.shape[:2] != picture.size:
            (height, width), (high, wide) = picture.size, decoded.shape[:2]
            raise RlAbnError(
                f"{place}: expected a picture of {width}×{height}, as its annotations say, "
                f"got {wide}×{high}"
            )
        pixels = torch.from_numpy(decoded).permute(2, 0, 1).contiguous()
        if self._kept is not None:
            self._kept[number] = pixels
        return pixels

    def batch(
        self, numbers: Sequence[int], generator: torch.Generator | None = None, flip: float = 0.0
    ) -> tuple[list[Tensor], list[BoxTargets]]:
        """Returns pictures [3, H, W] in 0..1 and what is right for each, on the device.

        Args:
            numbers: Which, 0 to N - 1.
            generator: Of the augmentation; None augments nothing.
            flip: Share of the pictures that are mirrored.
        """
        images, targets = [], []
        for number in numbers:
            pixels, picture = self.pixels(number), self.boxed.pictures[number]
            if generator is not None and float(torch.rand((), generator=generator)) < flip:
                pixels, picture = pixels.flip(2), mirrored(picture)
            images.append(pixels.to(self.device).float() / 255.0)
            targets.append(
                BoxTargets(
                    torch.from_numpy(picture.boxes).to(self.device),
                    torch.from_numpy(picture.labels).to(self.device),
                    torch.from_numpy(picture.ignored).to(self.device),
                )
            )
        return images, targets

    def in_order(self, size: int) -> Iterator[tuple[list[int], list[Tensor]]]:
        """Yields all pictures in their order, with their numbers."""
        for start in range(0, len(self), size):
            numbers = list(range(start, min(start + size, len(self))))
            yield numbers, self.batch(numbers)[0]


class BoxedDataSet(NamedTuple):
    """What a detector is trained on, as `DataSet` is for other networks.

    Attributes:
        train: To learn from.
        held_out: To be looked at after every epoch; None where nothing is held out.
        outputs: What it finds.
        notes: What was got round, a line each.
    """

    train: BoxedExamples
    held_out: BoxedExamples | None
    outputs: Categories
    notes: tuple[str, ...] = ()


def open_training(recipe: VisionRunRecipe, path: str | Path, device: torch.device) -> BoxedDataSet:
    """Opens what a recipe learns from and what it holds out: the set's val, or a share of train.

    Args:
        recipe: The run's.
        path: Where the data lies.
        device: Where pictures go.

    Raises:
        RlAbnError: If there is no such data, or something in it is wrong.
    """
    train, held_out = read_split(path, "train"), None
    share = recipe.agent.train.held_out
    if "val" in open_layout(path).splits():
        held_out = read_split(path, "val")
        check_categories(held_out, train.categories, path)
    elif share > 0:
        split = hold_out(torch.zeros(len(train), 1), share, _HELD_OUT_SEED)
        whole, train = train, train.chosen(split.train.tolist())
        held_out = whole.chosen(split.held_out.tolist())
    notes = dict.fromkeys([*train.notes, *(() if held_out is None else held_out.notes)])
    categories = Categories(
        names=train.categories,
        n_train=len(train),
        n_held_out=0 if held_out is None else len(held_out),
        train_sha256=train.fingerprint(),
    )
    return BoxedDataSet(
        BoxedExamples(train, device),
        None if held_out is None else BoxedExamples(held_out, device),
        categories,
        tuple(notes),
    )


def open_split(
    recipe: VisionRunRecipe,
    categories: Categories,
    path: str | Path,
    split: str | None,
    device: torch.device,
) -> tuple[str, BoxedExamples]:
    """Opens pictures that a run did not learn from, and says which they are.

    Args:
        recipe: The run's.
        categories: What its detector finds.
        path: Where the data lies.
        split: "test" or "held_out"; None is the test pictures, where there are any.
        device: Where they go.

    Raises:
        RlAbnError: If there are none, or they have other categories than the detector.
    """
    split = split or ("test" if "test" in open_layout(path).splits() else "held_out")
    if split == "test":
        test = read_split(path, "test")
        check_categories(test, categories.names, path)
        return split, BoxedExamples(test, device)
    data = open_training(recipe, path, device)
    if data.outputs.train_sha256 != categories.train_sha256:
        raise RlAbnError(
            f"{path}: expected the set the run was trained on, to know what was held out, "
            "got other pictures or boxes"
        )
    if data.held_out is None:
        raise RlAbnError(f"{path}: expected a run that holds pictures out, got train.held_out = 0")
    return split, data.held_out


def check_categories(boxed: BoxedSet, names: tuple[str, ...], path: str | Path) -> None:
    """Refuses pictures with other categories than a detector's.

    Raises:
        RlAbnError: With what differs.
    """
    if boxed.categories == names:
        return
    other = [name for name in boxed.categories if name not in names]
    got = f"'{other[0]}'" if other else f"{len(boxed.categories)} of them, or in another order"
    raise RlAbnError(
        f"{path}: expected the {len(names)} categories of the training pictures "
        f"({', '.join(names[:6])}{', …' if len(names) > 6 else ''}), got {got}"
    )


def mirrored(picture: Picture) -> Picture:
    """Returns a picture's boxes after it was mirrored, left to right."""
    width = picture.size[1]

    def turned(boxes: np.ndarray) -> np.ndarray:
        x1, y1, x2, y2 = boxes.T
        return np.stack([width - x2, y1, width - x1, y2], axis=1).astype(np.float32)

    return picture._replace(
        boxes=turned(picture.boxes),
        visible=turned(picture.visible),
        ignored=turned(picture.ignored),
    )
