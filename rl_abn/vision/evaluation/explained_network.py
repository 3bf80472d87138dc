"""A network of the vision track and pictures, as `rl_abn.explain` takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rl_abn.explain.cells import grid_of
from rl_abn.explain.randomisation import MakeMap
from rl_abn.explain.subject import Answer, Subject
from rl_abn.vision.evaluation.predict import batch_size
from rl_abn.vision.models.abn import AbnNetwork
from rl_abn.vision.models.network import VisionAttention, VisionNetwork


def network_subject(network: VisionNetwork, images: Tensor, speed: Tensor | None = None) -> Subject:
    """Returns a network and pictures as `rl_abn.explain` takes them.

    What is explained of a classifier is its class, of a network with a map for each task the task
    that it is surest of, with that task's map, of a driver its steering. Answers below 0, a left
    turn or a no, are explained by what lowers them.

    Args:
        network: In evaluation mode.
        images: float32 [N, 3, H, W], normalised.
        speed: The vehicle's, [N]; None for a network that takes none.
    """
    intact = attend_all(network, images, speed)
    own = None if network.task.categorical else OwnAnswers.of(network, intact.outputs)
    with torch.no_grad():
        rows, columns = network.extract(images[:1]).shape[-2:]
    if (maps := network.abilities.on_picture(intact.maps[:1], intact.places)) is not None:
        rows, columns = maps.shape[-2:]
    return _subject(network, images, speed, own, grid_of(rows, columns))


class Said(NamedTuple):
    """What a network says of N pictures.

    Attributes:
        outputs: float32 [N, K].
        maps: Those that it acted on, [N, m, rows, columns].
        places: Height and width of the features that they were made of.
    """

    outputs: Tensor
    maps: Tensor
    places: tuple[int, int]


@torch.no_grad()
def attend_all(
    network: VisionNetwork, images: Tensor, speed: Tensor | None = None, maps: Tensor | None = None
) -> Said:
    """Asks a network about pictures, some at a time.

    Args:
        network: In evaluation mode.
        images: float32 [N, 3, H, W], normalised.
        speed: The vehicle's, [N]; None for a network that takes none.
        maps: To act on, [N, m, rows, columns]; None is its own.
    """
    parts, size = [], batch_size(network)
    for start in range(0, len(images), size):
        some = slice(start, start + size)
        seen, instead = (None if each is None else each[some] for each in (speed, maps))
        parts.append(network.attend(images[some], seen, instead))
    outputs = torch.cat([part.outputs.float() for part in parts])
    return Said(outputs, torch.cat([part.map for part in parts]), parts[0].places)


class OwnAnswers(NamedTuple):
    """Which numbers are explained of a network that says no classes, at N pictures.

    Attributes:
        outputs: The output of each picture, int64 [N].
        signs: Of the network's own answers, -1 or 1, [N].
    """

    outputs: Tensor
    signs: Tensor

    @classmethod
    def of(cls, network: VisionNetwork, outputs: Tensor) -> OwnAnswers:
        """Chooses by a network's outputs for the pictures as they are, [N, K]."""
        chosen = torch.zeros(len(outputs), dtype=torch.int64, device=outputs.device)
        if network.task.map_per_output:
            chosen = outputs.abs().argmax(dim=1)
        return cls(chosen, torch.where(picked(outputs, chosen) < 0, -1.0, 1.0))


def picked(values: Tensor, numbers: Tensor) -> Tensor:
    """Returns values[i, numbers[i]] of each i, [B, ...] of [B, K, ...]."""
    return values[torch.arange(len(values), device=values.device), numbers]


def _subject(
    network: VisionNetwork,
    images: Tensor,
    speed: Tensor | None,
    own: OwnAnswers | None,
    grid: tuple[int, int],
) -> Subject:
    def answer(attention: VisionAttention, numbers: Tensor) -> Answer:
        outputs = attention.outputs.float()
        maps = network.abilities.on_picture(attention.map, attention.places)
        if own is None:
            evidence = attention.evidence if attention.evidence.shape[1] else None
            return Answer(outputs, None, maps, evidence)
        chosen = own.outputs[numbers]
        if maps is not None and maps.shape[1] > 1:  # the output hangs on its own map alone
            maps = picked(maps, chosen)[:, None]
        return Answer(None, picked(outputs, chosen), maps, sign=own.signs[numbers])

    def ask(pixels: Tensor, numbers: Tensor) -> Answer:
        return answer(_attend(network, pixels, speed, numbers), numbers)

    def ask_features(features: Tensor, numbers: Tensor) -> Answer:
        seen = None if speed is None else speed[numbers]
        return answer(network.attend_features(features, seen), numbers)

    def ask_maps(maps: Tensor, features: Tensor, numbers: Tensor) -> Answer:
        seen = None if speed is None else speed[numbers]
        return answer(network.attend_features(features, seen, maps), numbers)

    def rebuilt(module: nn.Module) -> Subject:
        assert isinstance(module, VisionNetwork)
        return _subject(module, images, speed, own, grid)

    return Subject(
        images=images,
        ask=ask,
        module=network,
        grid=grid,
        features=lambda pixels, numbers: network.extract(pixels),
        ask_features=ask_features,
        rebuilt=rebuilt,
        cam=_class_activations(network, speed),
        ask_maps=ask_maps if network.abilities.paintable else None,
        batch=batch_size(network),
    )


def _class_activations(
    network: VisionNetwork, speed: Tensor | None
) -> Callable[[Tensor, Tensor], Tensor] | None:
    """Returns what computes class activation maps; None where nothing is averaged before a head.

    They are the last linear layer's weights times the features before their global average.
    """
    if not isinstance(network, AbnNetwork) or not network.task.categorical or speed is not None:
        return None
    stage = [part for part in network.perception if isinstance(part, nn.Sequential)]
    layers = list(stage[0]) if len(stage) == 1 else []
    ends = [type(layer) for layer in layers[-2:]]
    head = network.head
    if ends != [nn.AdaptiveAvgPool2d, nn.Flatten] or not isinstance(head, nn.Linear):
        return None

    def activations(images: Tensor, numbers: Tensor) -> Tensor:
        features = network.extract(images)
        attention = network.branch(features)
        seen = network.branch.gate(features, attention.map, *attention.context)
        for layer in layers[:-2]:
            seen = layer(seen)
        return torch.einsum("kc,bchw->bkhw", head.weight, seen)

    return activations


def own_maps(subject: Subject) -> dict[str, MakeMap]:
    """Returns by name what makes a network's own map, as it lies on the pictures; none for bars.

    Args:
        subject: A network's.
    """
    return {"map": Subject.own_map} if subject.has_maps else {}


def _attend(
    network: VisionNetwork, images: Tensor, speed: Tensor | None, numbers: Tensor
) -> VisionAttention:
    return network.attend(images, None if speed is None else speed[numbers.to(speed.device)])
