"""Whether edited maps talk a network out of a planted shortcut, beside what should not."""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from rl_abn.map_editing.edits import Edits
from rl_abn.progress import ProgressReport
from rl_abn.vision.data.augment import normalise
from rl_abn.vision.data.shortcut import SHAPES, ShortcutSet, make_shortcut_set, shortcut_edits
from rl_abn.vision.models import build_model
from rl_abn.vision.models.abn import AbnNetwork
from rl_abn.vision.training.finetune import Examples, FineTuning, finetune

DEPTH = 8
_BATCH = 64
_prepare = partial(normalise, statistics="half")


class ShortcutResult(NamedTuple):
    """What became of one network. The standings are on pictures whose patch says nothing.

    Attributes:
        planted: Accuracy before, on new pictures whose patch gives the class away, 0..1.
        unedited: Fine-tuned with gamma 0, a control.
        edited: Fine-tuned on maps with the patch removed and the shape added.
        random: Fine-tuned on maps with boxes of those sizes in random places, a control.
    """

    planted: float
    unedited: FineTuning
    edited: FineTuning
    random: FineTuning


def study_shortcut(
    mechanism: str,
    seed: int,
    *,
    n_train: int = 1_000,
    n_test: int = 500,
    n_edits: int | None = None,
    gamma: float = 10.0,
    epochs: int = 3,
    tuning_epochs: int = 16,
    learning_rate: float = 0.1,
    device: str | torch.device = "cpu",
    report: ProgressReport | None = None,
) -> ShortcutResult:
    """Trains a ResNet-8 ABN on pictures with a planted shortcut, then fine-tunes it three ways.

    Fine-tuning sees the pictures it was trained on, shortcut and all; only the edits differ.

    Args:
        mechanism: How the map gates the features.
        seed: Of the pictures, the weights and the order of the pictures.
        n_train: Pictures to learn from.
        n_test: Pictures to test on.
        n_edits: How many of the training pictures are edited; None is all.
        gamma: Weight of L_map.
        epochs: Of the training.
        tuning_epochs: Of each fine-tuning.
        learning_rate: Of each fine-tuning; half of it in training.
        device: Where the networks run.
        report: Shows how many of the four trainings are done.

    Raises:
        RlAbnError: If a number is out of range.
    """
    train, test, planted = (
        make_shortcut_set(n, seed=3 * seed + i, planted=i != 1)
        for i, n in enumerate((n_train, n_test, n_test))
    )
    torch.manual_seed(seed)
    network = build_model("resnet", n_outputs=len(SHAPES), depth=DEPTH, mechanism=mechanism)
    network.to(device)
    _train(network, train, epochs, learning_rate / 2, seed)
    tuned = []
    edits = [
        Edits(),
        shortcut_edits(train, n_train if n_edits is None else n_edits),
        shortcut_edits(train, n_train if n_edits is None else n_edits, "random", seed),
    ]
    for i, some in enumerate(edits):
        if report is not None:
            report.update(i + 1)
        done = finetune(
            deepcopy(network),
            _examples(train),
            some,
            prepare=_prepare,
            gamma=gamma,
            epochs=tuning_epochs,
            held_out=_examples(test),
            learning_rate=learning_rate,
            batch_size=_BATCH,
            seed=seed,
        )
        tuned.append(done)
    if report is not None:
        report.update(len(edits) + 1)
    return ShortcutResult(_accuracy(network, planted), *tuned)


def _examples(shortcut: ShortcutSet) -> Examples:
    return Examples(shortcut.pictures, shortcut.targets, shortcut.names)


def _train(
    network: AbnNetwork, train: ShortcutSet, epochs: int, learning_rate: float, seed: int
) -> None:
    optimizer = torch.optim.SGD(
        network.parameters(), learning_rate, momentum=0.9, weight_decay=1e-4
    )
    generator = torch.Generator().manual_seed(seed)
    device = next(network.parameters()).device
    network.train()
    for _ in range(epochs):
        for numbers in torch.randperm(len(train.targets), generator=generator).split(_BATCH):
            attention = network.attend(_images(train, numbers, device))
            targets = train.targets[numbers].to(device)
            assert attention.branch_outputs is not None
            loss = F.cross_entropy(attention.outputs, targets)
            loss = loss + F.cross_entropy(attention.branch_outputs, targets)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
    network.eval()


def _accuracy(network: AbnNetwork, shortcut: ShortcutSet) -> float:
    device = next(network.parameters()).device
    right = 0
    with torch.no_grad():
        for numbers in torch.arange(len(shortcut.targets)).split(_BATCH):
            predicted = network.attend(_images(shortcut, numbers, device)).outputs.argmax(1).cpu()
            right += int((predicted == shortcut.targets[numbers]).sum())
    return right / len(shortcut.targets)


def _images(shortcut: ShortcutSet, numbers: Tensor, device: torch.device) -> Tensor:
    return _prepare(shortcut.pictures.read(numbers).to(device))
