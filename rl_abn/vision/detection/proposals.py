"""The attention branch of a detector: on the pooled features of every proposal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor, nn

from rl_abn.attention import MECHANISMS, AttentionSite, MapOverride, Mechanism, override_map
from rl_abn.attention.interventions import Layout
from rl_abn.errors import RlAbnError
from rl_abn.vision.models.backbone import he_init
from rl_abn.vision.models.resnet import ResidualBlock, conv_norm

POOLED = 7
"""Height and width of a proposal's features, and of its map."""


class ProposalAttention(NamedTuple):
    """What the heads say about P proposals.

    Attributes:
        logits: The perception branch's, of K categories after the background, [P, 1 + K].
        deltas: How each category's box differs from the proposal, [P, 4 (1 + K)].
        branch_logits: The attention branch's own, [P, 1 + K]; None for the no-attention baseline.
        map: The maps the heads acted on, [P, m, h, w]; m is 0 for the no-attention baseline.
        own_loss: What the mechanism adds to the loss, [P]; None is nothing.
        evidence: What speaks for each of the branch's answers where, [P, 1 + K, h, w]; None for the
            no-attention baseline.
    """

    logits: Tensor
    deltas: Tensor
    branch_logits: Tensor | None
    map: Tensor
    own_loss: Tensor | None = None
    evidence: Tensor | None = None


def make_branch(
    channels: int, n_categories: int, blocks: int, mechanism: str, options: Mapping[str, Any]
) -> Mechanism:
    """Builds the mechanism that attaches to proposals' features, [P, channels, 7, 7].

    Its answer is a category or the background, as the perception branch's. Its body is of residual
    blocks, as a box head has no stage of convolutions to copy.

    Args:
        channels: Of the features.
        n_categories: K.
        blocks: Residual blocks of the body.
        mechanism: A name in `MECHANISMS`, of one for single pictures.
        options: The mechanism's own options.

    Raises:
        RlAbnError: If the mechanism samples, or an option does not go with it.
    """
    abilities = MECHANISMS[mechanism].abilities_with(**options)
    if abilities.samples:
        raise RlAbnError(
            f"attention.mechanism: expected one that samples nothing for a detector, got "
            f"'{mechanism}': the nearest is 'residual'"
        )
    site = AttentionSite(
        channels=channels,
        n_maps=1 if abilities.maps is not None else 0,
        n_outputs=1 + n_categories if abilities.answers else 0,
        body=partial(_body, channels, blocks),
        norm=nn.BatchNorm2d,
        map_size=(POOLED, POOLED),
    )
    try:
        branch: Mechanism = MECHANISMS[mechanism](site, **options)
    except ValueError as error:
        raise RlAbnError(f"attention of a detector: {error}") from None
    for layer in branch.own_layers():
        he_init(layer)
    branch.set_own_start()
    return branch


def layout_of(branch: Mechanism) -> Layout:
    """Returns what the values of proposals' maps lie beside."""
    return Layout(branch.abilities, (POOLED, POOLED))


def attend_proposals(
    features: Tensor,
    branch: Mechanism,
    head: Callable[[Tensor], Tensor],
    predictor: Callable[[Tensor], tuple[Tensor, Tensor]],
    map_override: MapOverride | None = None,
) -> ProposalAttention:
    """Gates proposals' features by their maps, (1 + M) · F, and asks the box head.

    Args:
        features: Pooled, [P, C, h, w].
        branch: Makes the maps and gates by them.
        head: From gated features to [P, hidden].
        predictor: From these to logits [P, 1 + K] and deltas [P, 4 (1 + K)].
        map_override: Maps to act on instead of its own, or a function of them.

    Raises:
        ValueError: If the override does not fit the maps, or there are none to override.
    """
    if map_override is not None and branch.abilities.maps is None:
        raise ValueError("expected a detector with attention, got a map for one without")
    attention = branch(features)
    maps = override_map(attention.map, map_override)
    logits, deltas = predictor(head(branch.gate(features, maps, *attention.context)))
    return ProposalAttention(
        logits.float(),
        deltas.float(),
        attention.logits.float() if branch.abilities.answers else None,
        maps.float(),
        attention.own_loss,
        attention.evidence.float() if branch.abilities.answers else None,
    )


def _body(channels: int, blocks: int) -> nn.Module:
    return he_init(nn.Sequential(*(_block(channels) for _ in range(blocks))))


def _block(channels: int) -> nn.Module:
    layers = nn.Sequential(
        conv_norm(channels, channels, 3), nn.ReLU(inplace=True), conv_norm(channels, channels, 3)
    )
    return ResidualBlock(layers, channels, channels, 1)
