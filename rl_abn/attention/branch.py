"""The attention branch: features in; maps, evidence and the branch's own answer out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

from jaxtyping import Float
from torch import Tensor, nn

from rl_abn.attention.fp32 import in_fp32
from rl_abn.attention.gradients import scale_gradient
from rl_abn.attention.map_scores import check_map_form, maps_of_scores, sums_to_one
from rl_abn.attention.mechanism import Abilities, Attention, AttentionSite, Mechanism
from rl_abn.attention.pooling import WeightedGlobalPooling

T = TypeVar("T")
MAP_STARTS = ("even", "published")
MAP_INPUTS = ("response", "body", "features")
POOLINGS = ("average", "weighted")
_LEAST_MEAN = 1e-6  # a factor of zeros stays zeros
_HIDDEN = 32  # channels between the two layers of a map head


class AttentionBranch(Mechanism):
    """The branch of an Attention Branch Network (Fukui et al., CVPR 2019, section 3).

    The body works on the features at their own resolution. A 1x1 convolution turns its output
    into one response per answer; from these responses a 3x3 convolution and a sigmoid make the
    maps, and a 1x1 convolution and pooling make the answer. Where no answer is wanted
    (`site.n_outputs` = 0) the maps come straight from the features by a 1x1 convolution, the form
    of Mask-A3C (Itaya et al., IJCNN 2021).

    The map head and what follows it compute in fp32: in bfloat16 a map of 49 places would have
    three or four different values.

    How a map gates the features is a subclass's.

    Args:
        site: Where it attaches. The published body is a copy of the network's last stage at
            stride 1.
        map_form: How scores become a map, a `MapForm`: "sigmoid" as published, "standardised",
            "softmax" or "standardised_softmax".
        map_gain: How steeply the map follows its scores.
        map_bias: Added to the scores before a sigmoid.
        map_layers: Layers of the map head, 1 as published or 2.
        map_input: What the map head reads: the "response" of the answers as published, or what
            the "body" puts out, or the "features" that it gates. From these, a map is learnt by
            the agent's loss whatever `trunk_gradient` is.
        map_start: Where an agent's map head starts: "even" with small weights and even maps, or
            "published" as Mask-A3C's does, Xavier's uniform weights times sqrt(2).
        pooling: What makes an answer of its evidence: "average", or "weighted" with a weight a
            place. A site that brings a pooling of its own keeps it.
        trunk_gradient: How much of the gradient through the body reaches the layers before it,
            0..1.
        unit_mean: Whether what the features are multiplied with is divided by its mean over the
            places, so that gated features are of the same size whatever the map's mean.

    Raises:
        ValueError: If a count or an option is out of range.
    """

    abilities: ClassVar[Abilities] = Abilities(answers=True)

    def __init__(
        self,
        site: AttentionSite,
        *,
        map_form: str = "sigmoid",
        map_gain: float = 1.0,
        map_bias: float = 0.0,
        map_layers: int = 1,
        map_input: str = "response",
        map_start: str = "even",
        pooling: str = "average",
        trunk_gradient: float = 1.0,
        unit_mean: bool = False,
    ) -> None:
        super().__init__()
        n_outputs, n_maps, norm = site.n_outputs, site.n_maps, site.norm
        if site.channels < 1 or n_outputs < 0 or n_maps < 1:
            raise ValueError(
                "expected channels >= 1, n_outputs >= 0 and n_maps >= 1, "
                f"got {site.channels}, {n_outputs} and {n_maps}"
            )
        check_map_form(map_form)
        _check_choice("map_input", map_input, MAP_INPUTS)
        _check_choice("map_start", map_start, MAP_STARTS)
        _check_choice("pooling", pooling, POOLINGS)
        if map_layers not in (1, 2):
            raise ValueError(f"expected map_layers of 1 or 2, got {map_layers}")
        if not map_gain > 0:
            raise ValueError(f"expected a map_gain above 0, got {map_gain}")
        if not 0 <= trunk_gradient <= 1:
            raise ValueError(f"expected a trunk_gradient of 0 to 1, got {trunk_gradient}")
        self.n_outputs = n_outputs
        self.n_maps = n_maps
        self.map_form, self.map_gain, self.map_bias = map_form, map_gain, map_bias
        self.map_input = map_input
        self.map_start = map_start
        self.trunk_gradient = trunk_gradient
        self.unit_mean = unit_mean
        if n_outputs == 0:
            self.body: nn.Module = nn.Identity()
            self.pool = None
            self.response = None
            self.evidence_head = None
            self.map_head = nn.Sequential(*_map_layers(site.channels, n_maps, map_layers, 1))
            return
        self.body = nn.Identity() if site.body is None else site.body()
        self.pool = _pooling(site, pooling)
        channels = site.body_channels or site.channels
        self.response = nn.Sequential(
            *_normalised(norm, channels),
            nn.Conv2d(channels, n_outputs, 1, bias=norm is None),
            *_normalised(norm, n_outputs),
            # Without normalisation a ReLU response can die for good, and the map with it.
            nn.LeakyReLU(0.1) if norm is None else nn.ReLU(),
        )
        self.evidence_head = nn.Conv2d(n_outputs, n_outputs, 1, bias=norm is None)
        self.map_head = nn.Sequential(
            *_map_layers(
                self._map_input(n_outputs, channels, site.channels),
                n_maps,
                map_layers,
                1 if map_input == "features" else 3,
                bias=norm is None,
            ),
            *_normalised(norm, n_maps),
        )

    @classmethod
    def abilities_with(cls, **options: Any) -> Abilities:
        """Returns the abilities; the maps of a softmax sum to 1."""
        return replace(cls.abilities, sums_to_one=sums_to_one(options.get("map_form", "sigmoid")))

    def forward(self, features: Float[Tensor, "B C h w"]) -> Attention:
        """Computes maps, evidence and logits.

        Args:
            features: [B, C, h, w].
        """
        hidden = self.body(scale_gradient(features, self.trunk_gradient))
        response = hidden if self.response is None else self.response(hidden)
        with in_fp32(features.device):
            response = response.float()
            source = self._map_input(response, hidden, features)
            scores = self.map_head(source.float())
            attention_map = maps_of_scores(scores, self.map_form, self.map_gain, self.map_bias)
            if self.evidence_head is None:
                evidence = attention_map[:, :0]
            else:
                evidence = self.evidence_head(response)
            logits = evidence.mean(dim=(2, 3)) if self.pool is None else self.pool(evidence)
        return Attention(attention_map, evidence, logits)

    def strength(self, attention_map: Float[Tensor, "B 1 h w"]) -> Float[Tensor, "B 1 h w"]:
        """Returns a map as the gate takes it: one that sums to 1 times the number of places."""
        n_places = attention_map.shape[2] * attention_map.shape[3]
        return attention_map * n_places if sums_to_one(self.map_form) else attention_map

    def multiply(
        self, features: Float[Tensor, "B C h w"], factor: Float[Tensor, "B 1 h w"]
    ) -> Float[Tensor, "B C h w"]:
        """Multiplies features with a factor for every place, of unit mean where that is wanted."""
        if self.unit_mean:
            mean = factor.mean(dim=(2, 3), keepdim=True)
            factor = factor / mean.clamp_min(_LEAST_MEAN)
        return features * factor.to(features.dtype)

    def own_layers(self) -> Iterable[nn.Module]:
        """Returns all layers but the body, which the network built and initialised itself."""
        return (layer for layer in self.children() if layer is not self.body)

    def quiet_layers(self) -> Iterable[nn.Module]:
        """Returns the last layers before maps and answers."""
        if self.map_start == "even":
            yield self._last_of_map_head()
        if self.evidence_head is not None:
            yield self.evidence_head

    def map_parameters(self) -> Iterable[nn.Parameter]:
        """Returns the weights of the map head."""
        return self.map_head.parameters()

    def set_own_start(self) -> None:
        """Gives the map head Mask-A3C's first weights, where these are wanted."""
        if self.map_start == "published":
            head = self._last_of_map_head()
            nn.init.xavier_uniform_(head.weight, gain=2**0.5)
            if head.bias is not None:
                nn.init.zeros_(head.bias)

    def _map_input(self, response: T, body: T, features: T) -> T:
        """Returns of three the one that the map head reads."""
        return {"response": response, "body": body, "features": features}[self.map_input]

    def _last_of_map_head(self) -> nn.Conv2d:
        return [layer for layer in self.map_head if isinstance(layer, nn.Conv2d)][-1]


def _normalised(norm: Callable[[int], nn.Module] | None, channels: int) -> list[nn.Module]:
    return [] if norm is None else [norm(channels)]


def _map_layers(
    channels: int, n_maps: int, n_layers: int, kernel_size: int, *, bias: bool = True
) -> list[nn.Module]:
    """Builds the convolutions from what the maps are made of to their scores."""
    padding = kernel_size // 2
    if n_layers == 1:
        return [nn.Conv2d(channels, n_maps, kernel_size, padding=padding, bias=bias)]
    return [
        nn.Conv2d(channels, _HIDDEN, kernel_size, padding=padding),
        nn.LeakyReLU(0.1),
        nn.Conv2d(_HIDDEN, n_maps, 1, bias=bias),
    ]


def _pooling(site: AttentionSite, pooling: str) -> nn.Module | None:
    if site.pool is not None:
        return site.pool()
    if pooling == "average":
        return None
    if site.map_size is None:
        raise ValueError("expected a site of a known map_size for pooling 'weighted', got none")
    return WeightedGlobalPooling(site.n_outputs, site.map_size)


def _check_choice(option: str, got: str, choices: tuple[str, ...]) -> None:
    if got not in choices:
        raise ValueError(f"expected {option} of {list(choices)}, got '{got}'")
