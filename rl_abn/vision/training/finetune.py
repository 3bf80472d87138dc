"""Fine-tunes a trained network so that it looks where a person says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from rl_abn.attention import map_loss
from rl_abn.compute import Compute
from rl_abn.errors import RlAbnError
from rl_abn.map_editing.edits import Edits
from rl_abn.progress import ProgressReport
from rl_abn.vision.data.pictures import Pictures
from rl_abn.vision.models.abn import AbnNetwork
from rl_abn.vision.models.modes import evaluating, modes_kept

Prepare = Callable[[UInt8[Tensor, "B 3 H W"]], Float[Tensor, "B 3 H W"]]
"""From pictures as they are read to what the network was trained on."""


class Examples(NamedTuple):
    """Pictures and what is right for them.

    Attributes:
        pictures: N of them.
        targets: Classes, int64 [N], or tasks or controls, float32 [N, K].
        names: What each picture is called; edits go by that.
        speed: The vehicle's, as the network was trained, [N]; None for one that takes none.
    """

    pictures: Pictures
    targets: Tensor
    names: Sequence[str] = ()
    speed: Float[Tensor, " N"] | None = None


class Standing(NamedTuple):
    """How good a network is, and how near its maps are to the edited ones.

    Attributes:
        score: On held-out examples: the share of right predictions, 0..1; of controls the mean
            absolute error. None without such examples.
        map_loss: Mean ||M' - M||_2 over the edited pictures, gamma left out; 0 without edits.
    """

    score: float | None
    map_loss: float


class FineTuning(NamedTuple):
    """What came of it.

    Attributes:
        before: Before the first step.
        after: After the last.
    """

    before: Standing
    after: Standing


def finetune(
    network: AbnNetwork,
    examples: Examples,
    edits: Edits,
    *,
    prepare: Prepare,
    gamma: float,
    epochs: int,
    held_out: Examples | None = None,
    learning_rate: float = 0.01,
    momentum: float = 0.9,
    weight_decay: float = 1e-4,
    batch_size: int = 64,
    seed: int = 0,
    compute: Compute | None = None,
    report: ProgressReport | None = None,
) -> FineTuning:
    """Trains the attention branch and the perception branch on; the extractor stays as it is.

    L = L_att + L_per + gamma * L_map (Mitsuhara et al. 2019). Edits that start at the network's
    own maps start at those it has now. Pictures are not augmented: an edit is of a picture as it
    is. The extractor's BatchNorm statistics stay too.

    Args:
        network: A trained ABN; changed in place, and left in the mode it was in.
        examples: To learn from; the edited pictures are among them.
        edits: Of some of the pictures.
        prepare: As the network was trained.
        gamma: Weight of L_map; 0 fine-tunes without it.
        epochs: How often each picture is seen.
        held_out: What the score before and after is measured on.
        learning_rate: Of SGD; falls to 0 along a cosine.
        momentum: Of SGD.
        weight_decay: Of SGD.
        batch_size: Pictures in a step.
        seed: Of the order of the pictures, and of dropout.
        compute: Precision and memory layout; None is fp32.
        report: Shows how many epochs are done.

    Raises:
        RlAbnError: If the network has no attention, an edit names no picture of the examples or
            does not fit it, a number is out of range, or the loss is no number.
    """
    _check(network, examples, gamma, epochs, batch_size, learning_rate)
    tuner = _Tuner(network, prepare, compute or Compute(), batch_size)
    tuner.edit(examples, edits)
    with evaluating(network):
        before = tuner.standing(examples, held_out)
    parts = (network.branch, network.perception, network.head)
    weights = [p for part in parts for p in part.parameters()]
    optimizer = torch.optim.SGD(
        weights, learning_rate, momentum=momentum, weight_decay=weight_decay
    )
    total = epochs * -(-len(examples.pictures) // batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total)
    generator = torch.Generator().manual_seed(seed)
    with modes_kept(network), torch.random.fork_rng():
        torch.manual_seed(seed)
        network.train()
        network.extractor.eval()  # its BatchNorm statistics are to stay
        for epoch in range(epochs):
            order = torch.randperm(len(examples.pictures), generator=generator)
            for numbers in order.split(batch_size):
                loss = tuner.loss(examples, numbers, gamma)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
            if not torch.isfinite(loss):
                raise RlAbnError(
                    f"expected a loss, got {loss.item()} in epoch {epoch + 1}: "
                    f"a lower learning rate than {learning_rate:g} may help"
                )
            if report is not None:
                report.update(epoch + 1, loss=f"{loss.item():.3f}")
    with evaluating(network):
        return FineTuning(before, tuner.standing(examples, held_out))


class _Tuner:
    """A network on its device, its edited maps, and what is computed of both."""

    def __init__(
        self, network: AbnNetwork, prepare: Prepare, compute: Compute, batch_size: int
    ) -> None:
        self._network, self._prepare = network, prepare
        self._compute, self._batch_size = compute, batch_size
        self._device = next(network.parameters()).device

    def edit(self, examples: Examples, edits: Edits) -> None:
        """Takes the edits: the maps they lead to, and which picture has which."""
        self._edited = edits.numbers(examples.names)
        size = examples.pictures.size
        with evaluating(self._network):
            maps = [self._maps(examples, part) for part in self._edited.split(self._batch_size)]
        sums_to_one = self._network.abilities.sums_to_one
        self._targets = (
            edits.apply(torch.cat(maps), size, sums_to_one=sums_to_one)
            if maps and len(self._edited)
            else None
        )
        # Which edited map a picture has; -1 is none.
        self._which = torch.full((len(examples.pictures),), -1, dtype=torch.int64)
        self._which[self._edited] = torch.arange(len(self._edited))

    def loss(
        self, examples: Examples, numbers: Int64[Tensor, " B"], gamma: float
    ) -> Float[Tensor, ""]:
        """Computes L_att + L_per + gamma * L_map of a batch."""
        with self._compute.autocast(self._device):
            with torch.no_grad():
                features = self._network.extract(self._images(examples, numbers))
            speed = self._speed(examples, numbers)
            attention = self._network.attend_features(features, speed)
        targets = examples.targets[numbers].to(self._device)
        task = self._network.task
        loss = task.loss(attention.outputs, targets)
        if attention.branch_outputs is not None:
            loss = task.loss(attention.branch_outputs, targets) + loss
        if self._targets is None or gamma == 0.0:
            return loss
        which = self._which[numbers].to(self._device)
        edited = self._targets[which.clamp(min=0)]
        return loss + gamma * map_loss(attention.map, edited, which >= 0)

    def standing(self, examples: Examples, held_out: Examples | None) -> Standing:
        """Measures the network as it is."""
        distance = torch.zeros((), device=self._device)
        targets = self._targets
        for part in self._edited.split(self._batch_size) if targets is not None else ():
            assert targets is not None
            edited = targets[self._which[part].to(self._device)]
            every = torch.ones(len(part), dtype=torch.bool, device=self._device)
            distance += len(part) * map_loss(self._maps(examples, part), edited, every)
        score = None if held_out is None else self._score(held_out)
        return Standing(score, float(distance) / max(len(self._edited), 1))

    def _score(self, examples: Examples) -> float:
        parts = torch.arange(len(examples.pictures)).split(self._batch_size)
        outputs = torch.cat([self._attend(examples, part)[0] for part in parts]).cpu()
        return self._network.task.mean_score(outputs, examples.targets)

    def _maps(self, examples: Examples, numbers: Int64[Tensor, " B"]) -> Tensor:
        return self._attend(examples, numbers)[1]

    def _attend(self, examples: Examples, numbers: Int64[Tensor, " B"]) -> tuple[Tensor, Tensor]:
        """Returns outputs [B, K] and maps [B, m, h, w]."""
        images = self._images(examples, numbers)
        with torch.no_grad(), self._compute.autocast(self._device):
            attention = self._network.attend(images, self._speed(examples, numbers))
        return attention.outputs, attention.map

    def _images(self, examples: Examples, numbers: Int64[Tensor, " B"]) -> Tensor:
        return self._prepare(examples.pictures.read(numbers).to(self._device))

    def _speed(self, examples: Examples, numbers: Int64[Tensor, " B"]) -> Tensor | None:
        return None if examples.speed is None else examples.speed[numbers].to(self._device)


def _check(
    network: AbnNetwork,
    examples: Examples,
    gamma: float,
    epochs: int,
    batch_size: int,
    learning_rate: float,
) -> None:
    if not network.n_maps:
        raise RlAbnError(
            "expected a network with attention maps to edit, got a no-attention baseline"
        )
    if not network.abilities.paintable:
        raise RlAbnError(
            f"expected a network whose maps lie on the picture, got mechanism '{network.mechanism}'"
        )
    if not gamma >= 0.0 or gamma == float("inf"):
        raise RlAbnError(f"expected gamma to be 0 or more, got {gamma}")
    if epochs < 1 or batch_size < 2 or not 0.0 < learning_rate < float("inf"):
        raise RlAbnError(
            "expected epochs from 1, a batch_size from 2 and a learning_rate above 0, "
            f"got {epochs}, {batch_size} and {learning_rate:g}"
        )
    if not len(examples.pictures) or len(examples.pictures) != len(examples.targets):
        raise RlAbnError(
            f"expected pictures and a target for each, got {len(examples.pictures):,} "
            f"and {len(examples.targets):,}"
        )
