"""Mechanisms that timm has too give what its layers give for the same weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rl_abn.attention import MECHANISMS, AttentionSite, Mechanism

layers = pytest.importorskip(
    "timm.layers",
    reason="no timm, which mechanisms are compared with (pip install timm torchvision)",
    exc_type=ImportError,
)

C, SIDE = 16, 6
N = SIDE * SIDE
FEATURES = torch.randn(2, C, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def make(name: str, **options: Any) -> Mechanism:
    """A mechanism whose weights are all far from 0."""
    torch.manual_seed(1)
    mechanism = MECHANISMS[name](AttentionSite(C, map_size=(SIDE, SIDE)), **options)
    for parameter in mechanism.parameters():
        nn.init.normal_(parameter, std=0.3)
    return mechanism


def gated(mechanism: Mechanism, features: Tensor = FEATURES) -> Tensor:
    return mechanism.gate(features, mechanism(features).map)


@torch.no_grad()
def copy(theirs: nn.Module, *ours: nn.Module) -> None:
    """Gives timm's layer the weights of ours, those of several below each other."""
    for name, parameter in theirs.named_parameters():
        parts = torch.cat([getattr(layer, name) for layer in ours])
        parameter.copy_(parts.view_as(parameter))


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


def test_squeeze_and_excitation() -> None:
    ours = make("se", reduction=4)
    theirs = layers.get_attn("se")(C, rd_channels=C // 4)
    copy(theirs.fc1, ours.layers[1])
    copy(theirs.fc2, ours.layers[3])
    torch.testing.assert_close(gated(ours), theirs(FEATURES))


@pytest.mark.parametrize("channels", [8, 16, 64, 256])
def test_efficient_channel_attention(channels: int) -> None:
    """The kernel's size by the number of channels is the same, too."""
    torch.manual_seed(0)
    ours = MECHANISMS["eca"](AttentionSite(channels))
    theirs = layers.get_attn("eca")(channels)
    assert ours.over_channels.kernel_size == theirs.conv.kernel_size
    copy(theirs.conv, ours.over_channels)
    features = torch.randn(2, channels, 5, 4)
    torch.testing.assert_close(gated(ours, features), theirs(features))


def test_cbam() -> None:
    """timm normalises the scores of the locations besides: its layer is set to do nothing."""
    ours = make("cbam", reduction=4)
    theirs = layers.get_attn("cbam")(C, rd_channels=C // 4, mlp_bias=True).eval()
    copy(theirs.channel.fc1, ours.of_channels[0])
    copy(theirs.channel.fc2, ours.of_channels[2])
    copy(theirs.spatial.conv.conv, ours.of_places)
    theirs.spatial.conv.bn.eps = 0.0
    torch.testing.assert_close(gated(ours), theirs(FEATURES))


def test_a_non_local_block() -> None:
    """timm normalises W y besides: its layer is set to do nothing."""
    ours = make("non_local", similarity="embedded_gaussian", inner=8)
    theirs = layers.get_attn("nl")(C, use_scale=False, rd_channels=8).eval()
    for layer, own in ((theirs.t, ours.theta), (theirs.p, ours.phi)):
        copy(layer, own)
    copy(theirs.g, ours.g)
    copy(theirs.z, ours.out)
    theirs.norm.eps = 0.0
    theirs.norm.weight.fill_(1.0)
    torch.testing.assert_close(gated(ours), theirs(FEATURES))


def test_an_augmented_convolution_without_the_convolution() -> None:
    """Relative positions of Bello et al. are those of timm's bottleneck attention."""
    ours = make("augmented_convolution", heads=2, attention_channels=C, key_channels=8)
    theirs = layers.get_attn("bottleneck")(
        C, feat_size=(SIDE, SIDE), num_heads=2, dim_head=4, qkv_bias=True, scale_pos_embed=True
    )
    copy(theirs.qkv, ours.query, ours.key, ours.value)
    theirs.pos_embed.height_rel.copy_(ours.below)
    theirs.pos_embed.width_rel.copy_(ours.right)
    ours.join.weight.copy_(torch.eye(C))
    ours.join.bias.zero_()
    torch.testing.assert_close(gated(ours), theirs(FEATURES).relu())


def test_an_image_transformer_looks_where_halo_attention_does() -> None:
    """Of the block in the middle: at the edges timm's halo has zeros, where ours has nothing."""
    ours = make(
        "image_transformer", form="2d", block=2, memory=1, heads=2, positions="none", feedforward=4
    )
    (block,) = ours.encoder_blocks
    block.feedforward[2].weight.zero_()
    block.feedforward[2].bias.zero_()
    block.out.weight.copy_(torch.eye(C))
    block.out.bias.zero_()
    theirs = layers.get_attn("halo")(C, num_heads=2, dim_head=C // 2, block_size=2, halo_size=1)
    theirs.q = nn.Conv2d(C, C, 1)
    theirs.kv = nn.Conv2d(C, 2 * C, 1)
    copy(theirs.q, block.query)
    for name, parameter in theirs.kv.named_parameters():
        keys, values = (getattr(layer, name).chunk(2) for layer in (block.key, block.value))
        in_turn = [part for head in zip(keys, values, strict=True) for part in head]
        parameter.copy_(torch.cat(in_turn).view_as(parameter))
    theirs.pos_embed.height_rel.zero_()
    theirs.pos_embed.width_rel.zero_()
    tokens = FEATURES.flatten(2).transpose(1, 2)
    normed = block.norm1(tokens).transpose(1, 2).view_as(FEATURES)
    expected = FEATURES + theirs(normed)
    middle = (..., slice(2, 4), slice(2, 4))
    torch.testing.assert_close(gated(ours)[middle], expected[middle])
