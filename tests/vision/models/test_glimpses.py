"""Several glimpses at one picture: maps, regularisation and REINFORCE, and a classifier by them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from rl_abn.attention import MECHANISMS, AttentionSite, Mechanism
from rl_abn.errors import RlAbnError
from rl_abn.vision.models import build_model
from rl_abn.vision.tasks import task_named
from rl_abn.vision.tasks.losses import losses_of

FEATURES = torch.randn(4, 6, 3, 5, generator=torch.Generator().manual_seed(0))
IMAGES = torch.rand(8, 3, 12, 12, generator=torch.Generator().manual_seed(1))
TARGETS = torch.arange(8) % 3


def make(name: str, **options: Any) -> Mechanism:
    torch.manual_seed(0)
    return MECHANISMS[name](AttentionSite(6), hidden=7, **options)


def test_a_glimpse_is_asked_for_by_what_the_last_ones_showed() -> None:
    """Xu et al., eq. 4 to 6 and 13, glimpse by glimpse."""
    series = make("soft_glimpses", glimpses=3)
    y, x = torch.meshgrid(torch.linspace(-1, 1, 3), torch.linspace(-1, 1, 5), indexing="ij")
    located = torch.cat([FEATURES, torch.stack([x, y]).expand(4, 2, 3, 5)], dim=1)
    mean = located.mean(dim=(2, 3))
    h, c = series.first_output(mean).tanh(), series.first_cell(mean).tanh()
    own = series(FEATURES).map
    for t in range(3):
        asked = series.where.query(h)[:, :, None, None]
        shares = (
            series.where.score((series.where.key(located) + asked).tanh()).flatten(1).softmax(1)
        )
        torch.testing.assert_close(3 * own[:, 0, t], shares)
        h, c = series.lstm((located.flatten(2) * shares[:, None]).sum(2), (h, c))
    expected = series.out(h).relu()[:, :, None, None].expand(4, 6, 3, 5)
    torch.testing.assert_close(series.gate(FEATURES, own), expected)


def test_doubly_stochastic_glimpses_should_see_all_of_a_picture_once() -> None:
    """Xu et al., eq. 14."""
    series = make("soft_glimpses", glimpses=3, doubly_stochastic=0.5)
    attention = series(FEATURES)
    alpha = 3 * attention.map[:, 0]
    expected = 0.5 * (1 - alpha.sum(dim=1)).square().sum(dim=1)
    torch.testing.assert_close(attention.own_loss, expected)
    assert make("soft_glimpses")(FEATURES).own_loss is None


def test_hard_glimpses_are_sampled_in_training_and_the_likeliest_otherwise() -> None:
    series = make("hard_glimpses", glimpses=2)
    many = FEATURES[:1].expand(3000, -1, -1, -1)
    attention = series(many)
    taken = 2 * attention.map[:, 0]
    assert torch.equal(taken.amax(dim=2), torch.ones(3000, 2))
    first = series.where.log_probabilities(
        series.where.keys(torch.cat([many, series_coordinates(many)], 1)[:1]),
        series.first_output(torch.cat([many, series_coordinates(many)], 1)[:1].mean((2, 3))).tanh(),
    )[0].exp()
    torch.testing.assert_close(taken[:, 0].mean(dim=0), first, atol=0.05, rtol=0)
    series.eval()
    assert torch.equal(series(FEATURES).map, series(FEATURES).map)
    assert int(series(many).map[0, 0, 0].argmax()) == int(first.argmax())


def series_coordinates(features: torch.Tensor) -> torch.Tensor:
    height, width = features.shape[2:]
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij"
    )
    return torch.stack([x, y]).expand(len(features), 2, height, width)


def test_hard_glimpses_learn_by_reinforce() -> None:
    """The loss is (own loss - mean of the others') log p, less the entropy's bonus."""
    torch.manual_seed(0)
    options = {"glimpses": 2, "entropy": 0.3}
    network = build_model(
        "resnet", n_outputs=3, depth=8, mechanism="hard_glimpses", mechanism_options=options
    )
    attention = network.attend(IMAGES)
    losses = losses_of(attention, TARGETS, task_named("classification"), 1.0)
    each = F.cross_entropy(attention.outputs, TARGETS, reduction="none").detach()
    others = (each.sum() - each) / 7
    expected = ((each - others) * attention.log_prob).mean() + attention.own_loss.mean()
    assert losses.mechanism is not None
    torch.testing.assert_close(losses.mechanism, expected)
    torch.testing.assert_close(losses.total, losses.perception + expected)
    losses.total.backward()
    for name, parameter in network.branch.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("model", ["resnet", "driving_abn"])
def test_glimpses_serve_any_backbone(model: str) -> None:
    options = {"depth": 8} if model == "resnet" else {"size": (66, 80)}
    network = build_model(model, n_outputs=2, mechanism="soft_glimpses", **options).eval()
    images = torch.rand(2, 3, 66, 80)
    speed = torch.zeros(2)
    own = network.attend(images, speed)
    assert own.map.shape[1:3] == (1, 4)
    drawn = network.abilities.drawn(own.map, own.places)
    assert drawn.shape[2:] == own.places
    torch.testing.assert_close(drawn.mean(dim=(2, 3)), torch.ones(2, 1))
    other = network.attend(images, speed, map_override=torch.zeros_like)
    assert not torch.allclose(other.outputs, own.outputs)


@pytest.mark.parametrize("mechanism", ["soft", "hard"])
def test_a_mechanism_that_needs_an_agent_names_the_one_for_pictures(mechanism: str) -> None:
    with pytest.raises(RlAbnError, match=f"the nearest is '{mechanism}_glimpses'"):
        build_model("resnet", n_outputs=2, depth=8, mechanism=mechanism)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("soft_glimpses", {"glimpses": 0}, "glimpses and hidden from 1, got 0 and 7"),
        ("soft_glimpses", {"doubly_stochastic": -1.0}, "doubly_stochastic of 0 or more, got -1"),
        ("hard_glimpses", {"entropy": -1.0}, "entropy of 0 or more, got -1"),
    ],
)
def test_options_out_of_range_are_refused(
    name: str, options: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ValueError, match=f"expected {expected}"):
        make(name, **options)
