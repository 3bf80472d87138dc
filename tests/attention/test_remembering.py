"""Attention to earlier steps: what the papers say, written out step by step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rl_abn.attention import MECHANISMS, AttentionSite, RememberingMechanism

C, L, D = 6, 5, 8
PLACES = (2, 3)
G = torch.Generator().manual_seed(0)
FEATURES = torch.randn(3, C, *PLACES, generator=G)
EARLIER = torch.randn(3, L - 1, C, *PLACES, generator=G)
KNOWN = torch.tensor([[True] * 5, [False, False, True, True, True], [False] * 4 + [True]])
SITE = AttentionSite(C, map_size=PLACES)
NAMES = [name for name in MECHANISMS if MECHANISMS[name].abilities.remembers]
FORMS: list[tuple[str, dict[str, Any]]] = [
    ("causal", {"heads": 2}),
    *(("over_time", {"score": score}) for score in ("additive", "dot", "general", "concat")),
    ("over_time", {"scope": "local", "half_width": 2}),
    ("over_time", {"where": True}),
    ("memory_network", {"hops": 3}),
    ("memory_network", {"hops": 2, "tying": "layerwise"}),
    ("key_value_memory", {"hops": 2}),
]
Made = tuple[RememberingMechanism, Tensor]


def make(name: str, **options: Any) -> Made:
    """A mechanism of weights that are not 0, and the entries of the last steps."""
    torch.manual_seed(0)
    mechanism = MECHANISMS[name](SITE, length=L, size=D, **options)
    assert isinstance(mechanism, RememberingMechanism)
    for parameter in mechanism.parameters():
        nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
    entries = [mechanism.write(features) for features in EARLIER.unbind(1)]
    past = torch.stack([*entries, mechanism.write(FEATURES)], dim=1)
    return mechanism, past * KNOWN[..., None]


def softmax_of_known(scores: Tensor, b: int) -> Tensor:
    return scores.masked_fill(~KNOWN[b], -torch.inf).softmax(dim=0)


@pytest.mark.parametrize(("name", "options"), FORMS)
def test_it_looks_at_what_there_was_alone(name: str, options: dict[str, Any]) -> None:
    mechanism, entries = make(name, **options)
    attention = mechanism(FEATURES, entries, KNOWN)
    abilities = mechanism.abilities_with(**options)
    total = attention.map.sum(dim=(1, 2, 3))
    assert abilities.sums_to_one == torch.allclose(total, torch.ones(3))
    steps = attention.map.unflatten(2, (-1, L)).sum(dim=(1, 2, 4))
    if options.get("scope") != "local":
        assert torch.equal(steps > 0, KNOWN)
    assert not steps[~KNOWN].any()
    gated = mechanism.gate(FEATURES, attention.map, entries)
    assert gated.shape == FEATURES.shape
    other = entries + 100 * ~KNOWN[..., None]
    torch.testing.assert_close(mechanism(FEATURES, other, KNOWN).map, attention.map)
    first = mechanism(FEATURES[2:])  # the first step of a game: what is known is this step
    torch.testing.assert_close(first.map, attention.map[2:])


@pytest.mark.parametrize(("name", "options"), FORMS)
def test_a_gradient_reaches_every_parameter(name: str, options: dict[str, Any]) -> None:
    mechanism, entries = make(name, **options)
    mechanism.gate(
        FEATURES, mechanism(FEATURES, entries, KNOWN).map, entries
    ).square().sum().backward()
    for parameter_name, parameter in mechanism.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


def test_causal_attention_is_torchs_attention_without_ages() -> None:
    mechanism, _ = make("causal", heads=2)
    with torch.no_grad():
        mechanism.age.zero_()
    steps = torch.cat([EARLIER, FEATURES[:, None]], dim=1)
    normed = mechanism.norm1(mechanism.embed(steps.flatten(0, 1)).unflatten(0, (3, L)))
    attention = nn.MultiheadAttention(D, 2, batch_first=True)
    with torch.no_grad():
        for name in ("weight", "bias"):
            parts = [getattr(part, name) for part in (mechanism.query, mechanism.key_value)]
            getattr(attention, f"in_proj_{name}").copy_(torch.cat(parts))
    attention.out_proj.load_state_dict(mechanism.attended.state_dict())
    allowed = torch.ones(L, L, dtype=torch.bool).tril()
    found, weights = attention(
        normed, normed, normed, attn_mask=~allowed, average_attn_weights=False
    )
    entries = mechanism.write(steps.flatten(0, 1)).unflatten(0, (3, L))
    everything = torch.ones(3, L, dtype=torch.bool)
    own = mechanism(FEATURES, entries, everything).map
    torch.testing.assert_close(2 * own.view(3, 2, L), weights[:, :, -1])
    token = mechanism.embed(FEATURES) + found[:, -1]
    token = token + mechanism.feedforward(mechanism.norm2(token))
    read = mechanism.read(FEATURES, own[:, 0], entries)
    torch.testing.assert_close(read, token)


def test_an_age_is_added_to_the_keys() -> None:
    """Shaw et al., eq. 3: q · (k + a) / √d."""
    mechanism, entries = make("causal", heads=1)
    query = mechanism.query(mechanism.norm1(mechanism.embed(FEATURES)))
    own = mechanism(FEATURES, entries, KNOWN).map.view(3, L)
    for b in range(3):
        scores = [query[b] @ (entries[b, i, :D] + mechanism.age[i]) / D**0.5 for i in range(L)]
        torch.testing.assert_close(own[b], softmax_of_known(torch.stack(scores), b))


@pytest.mark.parametrize("score", ["additive", "dot", "general", "concat"])
def test_scores_over_time_are_those_of_the_papers(score: str) -> None:
    """Bahdanau et al., A.1.2; Luong et al., eq. 5, 7 and 8."""
    mechanism, entries = make("over_time", score=score)
    own = mechanism(FEATURES, entries, KNOWN).map.view(3, L)
    state = mechanism.state(FEATURES)
    found = []
    for b in range(3):
        h, scores = state[b], []
        for h_s in entries[b]:
            if score == "additive":
                value = mechanism.weigh((mechanism.ask(h) + mechanism.answer(h_s)).tanh())[0]
            elif score == "concat":
                value = mechanism.weigh(mechanism.both(torch.cat([h, h_s])).tanh())[0]
            else:
                value = h @ (h_s if score == "dot" else mechanism.answer(h_s))
            scores.append(value)
        shares = softmax_of_known(torch.stack(scores), b)
        torch.testing.assert_close(own[b], shares)
        found.append(mechanism.combine(torch.cat([shares @ entries[b], h])).tanh())
    added = mechanism.out(torch.stack(found))[:, :, None, None]
    gated = mechanism.gate(FEATURES, own[:, None, :, None], entries)
    torch.testing.assert_close(gated, FEATURES + added)


def test_local_attention_looks_around_a_predicted_step() -> None:
    """Luong et al., eq. 9 and 10: p among the known steps, a window, and a Gaussian."""
    mechanism, entries = make("over_time", score="dot", scope="local", half_width=1)
    own = mechanism(FEATURES, entries, KNOWN).map.view(3, L)
    state = mechanism.state(FEATURES)
    for b in range(3):
        first = L - int(KNOWN[b].sum())
        centre = first + (L - 1 - first) * mechanism.centre(state[b]).sigmoid().item()
        near = [abs(s - centre) <= 1 and bool(KNOWN[b, s]) for s in range(L)]
        scores = (entries[b] @ state[b]).masked_fill(~torch.tensor(near), -torch.inf)
        gauss = torch.tensor([-((s - centre) ** 2) / (2 * 0.5**2) for s in range(L)]).exp()
        torch.testing.assert_close(own[b], scores.softmax(dim=0) * gauss)


def test_maps_with_places_say_when_and_where() -> None:
    mechanism, entries = make("over_time", score="dot", where=True)
    own = mechanism(FEATURES, entries, KNOWN).map
    assert own.shape == (3, 1, L, 6)
    assert mechanism.abilities.drawn(own, PLACES).shape == (3, 1, *PLACES)
    state = mechanism.state(FEATURES)[0]
    scores = entries[0].view(L, 6, D) @ state
    torch.testing.assert_close(own[0, 0], scores.flatten().softmax(dim=0).view(L, 6))
    last = mechanism.entry(FEATURES.flatten(2).transpose(1, 2)).flatten(1)
    torch.testing.assert_close(entries[:, -1], last)


@pytest.mark.parametrize("tying", ["adjacent", "layerwise"])
def test_a_memory_network_is_that_of_the_paper(tying: str) -> None:
    """Sukhbaatar et al., eq. 1, 2 and 4, and section 2.2."""
    mechanism, x = make("memory_network", hops=2, tying=tying)
    own = 2 * mechanism(FEATURES, x, KNOWN).map.view(3, 2, L)
    u = mechanism.question(FEATURES)
    for hop in range(2):
        first = hop if tying == "adjacent" else 0
        m, c = (mechanism.embeddings[i](x) + mechanism.times[i] for i in (first, first + 1))
        shares = torch.stack([softmax_of_known(m[b] @ u[b], b) for b in range(3)])
        torch.testing.assert_close(own[:, hop], shares)
        o = (shares[..., None] * c).sum(dim=1)
        u = (u if tying == "adjacent" else mechanism.carry(u)) + o
    read = mechanism.read(FEATURES, own.flatten(1)[..., None] / 2, x)
    torch.testing.assert_close(read, u)


def test_a_key_value_memory_is_that_of_the_paper() -> None:
    """Miller et al., section 3.1: found by keys, read by values, asked again by R (q + o)."""
    mechanism, entries = make("key_value_memory", hops=2)
    keys, values = entries.split(D, dim=2)
    torch.testing.assert_close(keys[:, -1], mechanism.key(FEATURES))
    torch.testing.assert_close(values[:, -1], mechanism.value(FEATURES))
    own = 2 * mechanism(FEATURES, entries, KNOWN).map.view(3, 2, L)
    q = mechanism.question(FEATURES)
    for hop in range(2):
        shares = torch.stack([softmax_of_known(keys[b] @ q[b], b) for b in range(3)])
        torch.testing.assert_close(own[:, hop], shares)
        q = mechanism.asks_next[hop](q + (shares[..., None] * values).sum(dim=1))
    read = mechanism.read(FEATURES, own.flatten(1)[..., None] / 2, entries)
    torch.testing.assert_close(read, q)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        *((name, {"length": 0}, "a length and a size from 1, got 0") for name in NAMES),
        ("causal", {"heads": 3}, "heads that divide size = 8, got 3"),
        ("causal", {"feedforward": 0}, "feedforward of 1 or more, got 0"),
        ("over_time", {"score": "cosine"}, "a score of"),
        ("over_time", {"scope": "near"}, "a scope of"),
        ("over_time", {"half_width": 0}, "a half_width of 1 or more, got 0"),
        ("memory_network", {"hops": 0}, "hops of 1 or more, got 0"),
        ("memory_network", {"tying": "none"}, "a tying of 'adjacent' or 'layerwise'"),
    ],
)
def test_options_out_of_range_are_refused(
    name: str, options: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ValueError, match=f"expected {expected}"):
        MECHANISMS[name](SITE, **{"size": D, **options})


def test_features_of_any_size_cannot_be_remembered() -> None:
    with pytest.raises(ValueError, match="features of a known size for CausalAttention"):
        MECHANISMS["causal"](AttentionSite(C))
