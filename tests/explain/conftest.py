"""Planted truths: functions of pictures of which it is known what they depend on."""

import pytest
import torch
from torch import nn

from rl_abn.explain.subject import Answer, Subject

SIZE, GRID = 16, (8, 8)
CELL = SIZE // GRID[0]


class OnePatch(nn.Module):
    """Three choices that hang on the four brightest shades of one patch of 2x2 cells."""

    def __init__(self, row: int = 2, column: int = 5) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, CELL, stride=CELL, bias=False)
        self.out = nn.Linear(4 * GRID[0] * GRID[1], 3)
        self.place = row, column
        with torch.no_grad():
            self.conv.weight.fill_(1 / CELL**2)
            weights = torch.zeros(3, 4, *GRID)
            for choice in range(3):
                patch = weights[choice, :, row : row + 2, column : column + 2]
                patch.fill_(float(choice - 1))
            self.out.weight.copy_(weights.flatten(1))
            self.out.bias.zero_()

    def features(self, images: torch.Tensor) -> torch.Tensor:
        return self.conv(images)

    def head(self, features: torch.Tensor) -> torch.Tensor:
        return self.out(features.flatten(1))

    def planted(self, n: int) -> torch.Tensor:
        """The map of the truth, [n, h, w]."""
        row, column = self.place
        truth = torch.zeros(n, *GRID)
        truth[:, row : row + 2, column : column + 2] = 1.0
        return truth


def subject_of(module: OnePatch, images: torch.Tensor) -> Subject:
    def answer(features: torch.Tensor) -> Answer:
        logits = module.head(features)
        return Answer(logits, logits[:, 2])

    return Subject(
        images=images,
        ask=lambda pixels, numbers: answer(module.features(pixels)),
        module=module,
        grid=GRID,
        features=lambda pixels, numbers: module.features(pixels),
        ask_features=lambda features, numbers: answer(features),
        rebuilt=lambda other: subject_of(other, images),
        previous=images.roll(1, dims=0),
    )


@pytest.fixture
def module() -> OnePatch:
    return OnePatch()


@pytest.fixture
def images(module: OnePatch) -> torch.Tensor:
    """Noise everywhere, and something bright in the patch."""
    pictures = 0.2 * torch.rand(24, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    row, column = (CELL * place for place in module.place)
    pictures[:, :, row : row + 2 * CELL, column : column + 2 * CELL] += 0.6
    return pictures


@pytest.fixture
def subject(module: OnePatch, images: torch.Tensor) -> Subject:
    return subject_of(module, images)
