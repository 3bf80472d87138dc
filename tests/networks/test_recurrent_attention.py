import pytest
import torch

from rl_abn.attention import MECHANISMS, AttentionSite
from rl_abn.networks import RecurrentAttention
from rl_abn.networks.recurrent_attention import N_COORDINATES

T, N, C, H = 5, 3, 4, 8
FEATURES = torch.randn(T * N, C, 3, 3, generator=torch.Generator().manual_seed(0))
RESTARTS = torch.zeros(T, N, dtype=torch.bool)
RESTARTS[2, 1] = True


def make(mechanism):
    torch.manual_seed(0)
    site = AttentionSite(C + N_COORDINATES, query_size=H)
    return RecurrentAttention(MECHANISMS[mechanism](site), C, H)


@pytest.mark.parametrize("mechanism", ["soft", "hard"])
def test_a_sequence_is_the_same_as_its_steps(mechanism):
    gaze = make(mechanism)
    places = torch.arange(T * N) % 9
    whole, last = gaze(FEATURES, None, RESTARTS, None, places)
    state = gaze.lstm.initial_state(N)
    for t in range(T):
        state = tuple(part * ~RESTARTS[t][:, None] for part in state)
        steps = slice(t * N, (t + 1) * N)
        step, state = gaze(FEATURES[steps], state, None, None, places[steps])
        torch.testing.assert_close(whole.output[steps], step.output, atol=1e-5, rtol=0)
        torch.testing.assert_close(whole.map[steps], step.map, atol=1e-5, rtol=0)
    torch.testing.assert_close(last[1], state[1], atol=1e-5, rtol=0)


def test_a_soft_look_is_its_distribution_over_places():
    look, _ = make("soft")(FEATURES, None)
    torch.testing.assert_close(look.map.sum(dim=(1, 2, 3)), torch.ones(len(FEATURES)))
    assert look.map.max() < 1
    assert look.glimpse is None
    assert look.glimpse_logits is None


def test_a_hard_look_is_at_the_likeliest_place_the_given_one_or_one_that_is_drawn():
    gaze = make("hard")
    likeliest, _ = gaze(FEATURES, None)
    assert torch.equal(likeliest.glimpse, likeliest.glimpse_logits.argmax(dim=1))
    given = torch.full((len(FEATURES),), 5)
    for choose in (given, lambda logits: given[: len(logits)]):
        look, _ = gaze(FEATURES, None, None, None, choose)
        assert torch.equal(look.map[:, 0, 1, 2], torch.ones(len(FEATURES)))
        assert torch.equal(look.map.sum(dim=(1, 2, 3)), torch.ones(len(FEATURES)))
        torch.testing.assert_close(look.glimpse_logits, likeliest.glimpse_logits)


def test_it_sees_nothing_but_what_it_looks_at():
    gaze = make("hard")
    elsewhere = FEATURES.clone()
    elsewhere[:, :, 0, 0] += 1.0
    at = torch.full((len(FEATURES),), 4)
    one, other = (gaze(features, None, None, None, at)[0] for features in (FEATURES, elsewhere))
    assert torch.equal(one.output, other.output)
    there = (
        gaze(FEATURES, None, None, None, at - 4)[0],
        gaze(elsewhere, None, None, None, at - 4)[0],
    )
    assert not torch.allclose(there[0].output, there[1].output)


def test_it_knows_where_it_looks_on_an_even_screen():
    gaze, even = make("hard"), torch.ones(2, C, 3, 3)
    look, _ = gaze(even, None, None, None, torch.tensor([0, 8]))
    assert not torch.allclose(look.output[0], look.output[1])


def test_what_it_remembers_decides_where_it_looks():
    gaze = make("soft")
    _, state = gaze(FEATURES[:N], None)
    fresh, remembering = gaze(FEATURES[N : 2 * N], None)[0], gaze(FEATURES[N : 2 * N], state)[0]
    assert not torch.allclose(fresh.map, remembering.map)


@pytest.mark.parametrize("mechanism", ["soft", "hard"])
def test_other_maps_come_in_at_every_step(mechanism):
    gaze = make(mechanism)
    painted = torch.rand(T * N, 1, 3, 3)
    look, _ = gaze(FEATURES, None, RESTARTS, painted)
    assert torch.equal(look.map, painted)
    look, _ = gaze(FEATURES, None, RESTARTS, lambda own: 1 - own)
    assert look.map.min() >= 0
    torch.testing.assert_close(look.map.sum(dim=(1, 2, 3)), torch.full((T * N,), 8.0))
    with pytest.raises(ValueError, match="broadcasts"):
        gaze(FEATURES, None, RESTARTS, torch.zeros(4, 4))
