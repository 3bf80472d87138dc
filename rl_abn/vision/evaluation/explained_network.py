"""A network of the vision track and pictures, as `rl_abn.explain` takes them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from rl_abn.explain.cells import grid_of
from rl_abn.explain.randomisation import MakeMap
from rl_abn.explain.subject import Answer, Subject
from rl_abn.vision.models.abn import AbnNetwork
from rl_abn.vision.models.network import VisionAttention, VisionNetwork


def network_subject(network: VisionNetwork, images: Tensor, speed: Tensor | None = None) -> Subject:
    """Returns a network and pictures as `rl_abn.explain` takes them.

    What is explained of a classifier is its class, of a network with several tasks the task that
    it is surest of, of a driver its steering.

    Args:
        network: In evaluation mode.
        images: float32 [N, 3, H, W], normalised.
        speed: The vehicle's, [N]; None for a network that takes none.
    """
    with torch.no_grad():
        first = _attend(network, images[:1], speed, torch.zeros(1, dtype=torch.int64))
        rows, columns = network.extract(images[:1]).shape[-2:]
        surest: Tensor | None = None
        if network.task.map_per_output:
            everything = torch.arange(len(images))
            parts = [
                _attend(network, some, speed, which).outputs
                for some, which in zip(images.split(64), everything.split(64), strict=True)
            ]
            surest = torch.cat(parts).abs().argmax(dim=1)
    if (maps := network.abilities.on_picture(first.map, first.places)) is not None:
        rows, columns = maps.shape[-2:]
    return _subject(network, images, speed, surest, grid_of(rows, columns))


def _subject(
    network: VisionNetwork,
    images: Tensor,
    speed: Tensor | None,
    surest: Tensor | None,
    grid: tuple[int, int],
) -> Subject:
    def answer(attention: VisionAttention, numbers: Tensor) -> Answer:
        outputs = attention.outputs.float()
        maps = network.abilities.on_picture(attention.map, attention.places)
        if network.task.categorical:
            evidence = attention.evidence if attention.evidence.shape[1] else None
            return Answer(outputs, None, maps, evidence)
        if surest is not None:
            of = surest[numbers]
            value = outputs.gather(1, of[:, None]).squeeze(1)
            return Answer(None, value, maps)
        return Answer(None, outputs[:, 0], maps)

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
        return _subject(module, images, speed, surest, grid)

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
    network = subject.module
    assert isinstance(network, VisionNetwork)
    if not subject.has_maps:
        return {}
    # A map an output: their mean, since which one counts depends on the output.
    return {"map": partial(Subject.own_map, number=0 if network.n_maps == 1 else None)}


def _attend(
    network: VisionNetwork, images: Tensor, speed: Tensor | None, numbers: Tensor
) -> VisionAttention:
    return network.attend(images, None if speed is None else speed[numbers.to(speed.device)])
