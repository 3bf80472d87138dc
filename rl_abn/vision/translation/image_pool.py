"""Earlier translations that a discriminator is shown again, so that it forgets none of them."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn


class ImagePool(nn.Module):
    """Keeps translations (Shrivastava et al., CVPR 2017; 50 of them in CycleGAN).

    They are buffers: a checkpoint stores and checks them as it does weights.

    Args:
        capacity: How many; 0 keeps none.
        size: Height and width of the pictures.
    """

    pictures: Tensor
    count: Tensor

    def __init__(self, capacity: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.register_buffer("pictures", torch.zeros(capacity, 3, *size))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def query(
        self, translated: Float[Tensor, "B 3 H W"], generator: Generator
    ) -> Float[Tensor, "B 3 H W"]:
        """Takes new translations, and returns as many to be shown.

        While there is room, a new one is kept and shown. Then it is shown, or with a probability of
        one half takes the place of a kept one, which is shown instead.

        Args:
            translated: The new ones, without gradients.
            generator: Of what is drawn, on the CPU: two numbers a picture, whatever comes of them.
        """
        capacity = len(self.pictures)
        if not capacity:
            return translated
        shown = []
        draws = torch.rand(len(translated), 2, generator=generator).tolist()
        count = int(self.count)
        for picture, (swaps, which) in zip(translated, draws, strict=True):
            if count < capacity:
                self.pictures[count] = picture
                count += 1
                shown.append(picture)
            elif swaps < 0.5:
                place = min(int(which * capacity), capacity - 1)
                shown.append(self.pictures[place].clone())
                self.pictures[place] = picture
            else:
                shown.append(picture)
        self.count.fill_(count)
        return torch.stack(shown)
