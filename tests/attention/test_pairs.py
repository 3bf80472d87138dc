"""Mechanisms that compare all locations with each other: their papers, and torch's own layers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rl_abn.attention import MECHANISMS, AttentionSite, Mechanism
from rl_abn.attention.mechanisms.transformer import sines

C, H, W = 8, 4, 3
N = H * W
FEATURES = torch.randn(2, C, H, W, generator=torch.Generator().manual_seed(0))
TOKENS = FEATURES.flatten(2).transpose(1, 2)


def make(name: str, **options: Any) -> Mechanism:
    torch.manual_seed(0)
    return MECHANISMS[name](AttentionSite(C), **options)


def run(mechanism: Mechanism, features: Tensor = FEATURES) -> Tensor:
    return mechanism.gate(features, mechanism(features).map)


@pytest.mark.parametrize(
    "similarity", ["gaussian", "embedded_gaussian", "dot_product", "concatenation"]
)
def test_a_non_local_block_is_that_of_the_paper(similarity: str) -> None:
    """Wang et al., eq. 1 to 6, location by location."""
    block = make("non_local", similarity=similarity)
    for b in range(2):
        x = TOKENS[b]
        theta, phi, g = block.theta(x), block.phi(x), block.g(x)
        for i in range(N):
            if similarity == "concatenation":
                pair = block.pair.weight[0]
                f = torch.stack([(pair @ torch.cat([theta[i], phi[j]])).relu() for j in range(N)])
            else:
                f = torch.stack([theta[i] @ phi[j] for j in range(N)])
            f = f.exp() / f.exp().sum() if "gaussian" in similarity else f / N
            torch.testing.assert_close(block(FEATURES).map[b, 0, i], f)
            z = block.out((f[:, None] * g).sum(dim=0)) + x[i]
            torch.testing.assert_close(run(block)[b, :, i // W, i % W], z)


def test_a_non_local_block_begins_as_if_it_were_not_there() -> None:
    block = make("non_local")
    assert not torch.allclose(run(block), FEATURES)
    block.set_own_start()
    assert torch.equal(run(block), FEATURES)


@pytest.mark.parametrize("similarity", ["dot_product", "concatenation"])
def test_maps_of_dot_products_and_concatenation_share_out_no_sum(similarity: str) -> None:
    block = MECHANISMS["non_local"]
    assert block.abilities_with().sums_to_one
    assert not block.abilities_with(similarity=similarity).sums_to_one


def test_an_augmented_convolution_is_that_of_the_paper() -> None:
    """Bello et al., section 3: eq. 1 to 3 with relative logits, pair by pair."""
    options = {"heads": 2, "attention_channels": 4, "key_channels": 6, "positions": 5}
    layer = make("augmented_convolution", **options)
    queries, keys = layer.query(TOKENS), layer.key(TOKENS)
    values, found = layer.value(TOKENS), torch.zeros(2, N, 4)
    own = layer(FEATURES).map.view(2, 2, N, N)
    for head in range(2):
        q, k = queries[..., 3 * head : 3 * head + 3], keys[..., 3 * head : 3 * head + 3]
        logits = torch.zeros(2, N, N)
        for i in range(N):
            for j in range(N):
                right = layer.right[j % W - i % W + 4]
                below = layer.below[j // W - i // W + 4]
                logits[:, i, j] = (q[:, i] * (k[:, j] + right + below)).sum(dim=1) / 3**0.5
        torch.testing.assert_close(own[:, head], logits.softmax(dim=2))
        part = slice(2 * head, 2 * head + 2)
        found[..., part] = logits.softmax(dim=2) @ values[..., part]
    attended = layer.join(found).transpose(1, 2).view(2, 4, H, W)
    expected = torch.cat([layer.convolution(FEATURES), attended], dim=1).relu()
    torch.testing.assert_close(run(layer), expected)


def test_relative_positions_are_for_the_size_of_the_features() -> None:
    layer = MECHANISMS["augmented_convolution"](
        AttentionSite(C, map_size=(H, W)), attention_channels=8
    )
    assert (len(layer.below), len(layer.right)) == (2 * H - 1, 2 * W - 1)
    assert layer.convolution is None  # all channels attend
    with pytest.raises(ValueError, match=r"at most 4x3 .* got 5x3"):
        layer(torch.zeros(1, C, 5, 3))


def as_torchs_layer(block: nn.Module) -> nn.TransformerEncoderLayer:
    """torch's encoder layer with a block's weights."""
    layer = nn.TransformerEncoderLayer(
        C, block.heads, 16, dropout=0.0, batch_first=True, norm_first=block.norm_first
    )
    attention = layer.self_attn
    with torch.no_grad():
        for name in ("weight", "bias"):
            parts = [getattr(part, name) for part in (block.query, block.key, block.value)]
            getattr(attention, f"in_proj_{name}").copy_(torch.cat(parts))
    attention.out_proj.load_state_dict(block.out.state_dict())
    layer.linear1.load_state_dict(block.feedforward[0].state_dict())
    layer.linear2.load_state_dict(block.feedforward[2].state_dict())
    layer.norm1.load_state_dict(block.norm1.state_dict())
    layer.norm2.load_state_dict(block.norm2.state_dict())
    return layer


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("positions", ["none", "sine", "near"])
def test_a_transformer_is_torchs(norm_first: bool, positions: str) -> None:
    mechanism = make(
        "transformer",
        blocks=2,
        heads=2,
        feedforward=16,
        positions=positions,
        norm_first=norm_first,
    )
    for parameter in mechanism.parameters():
        nn.init.normal_(parameter, std=0.3)
    tokens = TOKENS
    if positions == "sine":
        tokens = tokens + sines(FEATURES).flatten(1).T
    maps = []
    for i, block in enumerate(mechanism.blocks):
        layer = as_torchs_layer(block)
        added = mechanism.near[i](H, W).repeat(2, 1, 1) if positions == "near" else None
        asks = layer.norm1(tokens) if norm_first else tokens
        _, weights = layer.self_attn(asks, asks, asks, attn_mask=added, average_attn_weights=False)
        maps.append(weights)
        tokens = layer(tokens, src_mask=added)
    own = mechanism(FEATURES).map
    torch.testing.assert_close(own.view(2, 4, N, N), torch.cat(maps, dim=1))
    expected = tokens.transpose(1, 2).view(2, C, H, W)
    torch.testing.assert_close(run(mechanism), expected, atol=1e-5, rtol=1e-5)


def test_positions_are_sines_and_cosines_of_row_and_column() -> None:
    """Vaswani et al., section 3.5, for 4 channels a dimension."""
    encoded = sines(FEATURES)
    for y in range(H):
        for x in range(W):
            expected = [
                f(torch.tensor(place / 10_000 ** (2 * i / 4)))
                for place in (y, x)
                for i in range(2)
                for f in (torch.sin, torch.cos)
            ]
            torch.testing.assert_close(encoded[:, y, x], torch.stack(expected))


def test_heads_look_near_by_at_first() -> None:
    """d'Ascoli et al., section 3, for four heads: centres half a location off, strength 1."""
    mechanism = make("transformer", positions="near", heads=4)
    (block,) = mechanism.blocks
    for layer in (block.query, block.key):  # what is there does not count
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    own = mechanism(FEATURES).map.view(2, 4, N, N)
    centres = [(-0.5, -0.5), (-0.5, 0.5), (0.5, -0.5), (0.5, 0.5)]
    for head, (below, right) in enumerate(centres):
        for i in range(N):
            expected = torch.tensor(
                [-((j // W - i // W - below) ** 2) - (j % W - i % W - right) ** 2 for j in range(N)]
            )
            torch.testing.assert_close(own[0, head, i], expected.softmax(dim=0))
    mechanism(FEATURES).map[:, :, ::5].square().sum().backward()
    (near,) = mechanism.near
    assert near.centres.grad.abs().min() > 0
    assert near.strength.grad.abs().min() > 0


def test_a_transformer_without_positions_does_not_know_where_things_are() -> None:
    order = torch.randperm(N, generator=torch.Generator().manual_seed(0))
    shuffled = FEATURES.flatten(2)[..., order].view(2, C, H, W)
    for positions in ("none", "sine", "near"):
        mechanism = make("transformer", positions=positions)
        same = torch.allclose(
            run(mechanism, shuffled).flatten(2), run(mechanism).flatten(2)[..., order], atol=1e-5
        )
        assert same == (positions == "none")


@pytest.mark.parametrize("form", ["1d", "2d"])
@pytest.mark.parametrize(("block", "memory"), [(2, 1), (3, 0), (1, 2)])
def test_an_image_transformer_computes_block_by_block(form: str, block: int, memory: int) -> None:
    """Parmar et al., section 3.3: each query block and its memory block by themselves."""
    options = {"heads": 2, "feedforward": 16, "positions": "none"}
    mechanism = make("image_transformer", form=form, block=block, memory=memory, **options)
    layer = mechanism.blocks[0]
    grid = torch.arange(N).view(H, W) if form == "2d" else torch.arange(N).view(1, N)
    expected = torch.zeros(2, N, C)
    for top in range(0, grid.shape[0], block):
        for left in range(0, grid.shape[1], block):
            queries = grid[top : top + block, left : left + block].flatten()
            around = grid[
                max(top - memory, 0) : top + block + memory,
                max(left - memory, 0) : left + block + memory,
            ].flatten()
            normed = layer.norm1(TOKENS)
            attention = as_torchs_layer(layer).self_attn
            found, _ = attention(normed[:, queries], normed[:, around], normed[:, around])
            tokens = TOKENS[:, queries] + found
            expected[:, queries] = tokens + layer.feedforward(layer.norm2(tokens))
    torch.testing.assert_close(run(mechanism), expected.transpose(1, 2).view(2, C, H, W))


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("non_local", {"similarity": "cosine"}, "a similarity of"),
        ("non_local", {"inner": -1}, "inner channels of 0 or more, got -1"),
        ("augmented_convolution", {"heads": 3}, "heads that divide attention_channels = 16"),
        ("augmented_convolution", {"attention_channels": 16}, "attention_channels of 1 to 8"),
        ("augmented_convolution", {"attention_channels": 4, "kernel": 2}, "an odd kernel from 1"),
        ("transformer", {"heads": 3}, "heads that divide 8 channels, got 3"),
        ("transformer", {"blocks": 0}, "blocks and feedforward of 1 or more, got 0"),
        ("transformer", {"positions": "learned"}, "positions of"),
        ("image_transformer", {"form": "3d"}, "a form of"),
        ("image_transformer", {"memory": -1}, "a block of 1 or more and a memory"),
        ("image_transformer", {"heads": 3}, "heads that divide 8 channels, got 3"),
    ],
)
def test_options_out_of_range_are_refused(
    name: str, options: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ValueError, match=f"expected {expected}"):
        make(name, **options)
