import numpy as np
import pytest
import torch
from torch.nn import functional as F

from rl_abn.attention import Abilities, Mechanism, no_answer, register_mechanism
from rl_abn.attention.mechanisms.registry import MECHANISMS
from rl_abn.rl.evaluation.players import AgentPlayer, RandomPlayer, WrappedPlayer
from rl_abn.rl.evaluation.reliance import OBSERVATION, REPLACED_BY, map_reliance
from rl_abn.rl.evaluation.state_bank import StateBank, collect_bank
from tests.rl.conftest import SIZE, PatchSignal, ProbeGame, make_algorithm, make_probe


def bank_of(game=PatchSignal, n_steps=64, n_games=4):
    return collect_bank(RandomPlayer(2, seed=0), make_probe(game, n_games), n_steps)


class Counted(ProbeGame):
    length = 3

    def picture(self):
        return np.full((1, SIZE, SIZE), self.t, np.uint8)


def test_a_bank_is_what_the_player_saw():
    bank = bank_of(Counted, 7, 2)
    assert bank.observations[:, 1, 0, 0, 0].tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert bank.episode_starts[:, 1].tolist() == [True, False, False, True, False, False, True]
    (flat, starts), (rest, _) = bank.chunks(4, torch.device("cpu"))
    assert flat[:, 0, 0, 0].tolist() == [0, 0, 1, 1, 2, 2, 0, 0]
    assert starts.shape == (4, 2)
    assert len(rest) == 3 * 2


class Decoration(Mechanism):
    """Makes maps and lets all features through as they are."""

    abilities = Abilities(splits=False)

    def __init__(self, site):
        super().__init__()

    def forward(self, features):
        return no_answer(features, features[:, :1].sigmoid())

    def gate(self, features, attention_map):
        return features


@pytest.fixture
def decoration(monkeypatch):
    monkeypatch.setattr(MECHANISMS, "_classes", dict(MECHANISMS._classes))
    register_mechanism("decoration", Decoration)


def policy_with(mechanism, game=PatchSignal, **settings):
    kwargs = {"mechanism": mechanism, **settings}
    return make_algorithm("ppo", make_probe(game), policy_kwargs=kwargs).policy


def test_a_map_that_is_decoration_is_not_relied_on(decoration):
    reliance = map_reliance(policy_with("decoration", Counted), bank_of(Counted))
    assert set(reliance.policy_kl) == {*REPLACED_BY, OBSERVATION}
    assert all(np.abs(reliance.policy_kl[name]).max() < 1e-12 for name in REPLACED_BY)
    assert reliance.contrast["shared"] < 1e-3  # the pictures of this game are even
    assert reliance.change["shared"] > 0


def test_a_mask_is_relied_on_once_it_decides_what_is_seen():
    policy = policy_with("mask", mechanism_options={"map_form": "softmax"})
    with torch.no_grad():
        head = policy.attention_branch.map_head[0]
        head.weight.mul_(300)
        policy.action_net.weight.mul_(300)
    reliance = map_reliance(policy, bank_of())
    for name, kl in reliance.policy_kl.items():
        assert kl.shape == (64, 4)
        assert kl.min() > -1e-9
        assert kl.mean() > 0.01, name
    estimate = reliance.estimates()["swap"]
    assert estimate.low < estimate.value < estimate.high


def test_the_numbers_are_those_of_the_definition():
    policy, bank = policy_with("mask"), bank_of()
    with torch.no_grad():
        policy.action_net.weight.mul_(1000)
    reliance = map_reliance(policy, bank)
    observations = torch.as_tensor(bank.observations).flatten(0, 1)
    with torch.no_grad():
        own, _ = policy.attend(observations)
        average = own.map.mean(dim=0, keepdim=True)
        other, _ = policy.attend(observations, map_override=average)
    expected = F.kl_div(
        other.action_logits.double().log_softmax(1),
        own.action_logits.double().log_softmax(1),
        log_target=True,
        reduction="none",
    ).sum(1)
    found = reliance.policy_kl["time_average"].ravel()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-7)
    log_probs = own.action_logits.double().log_softmax(1)
    of_others = log_probs[np.random.default_rng(0).permutation(len(observations))]
    expected = F.kl_div(of_others, log_probs, log_target=True, reduction="none").sum(1)
    found = reliance.policy_kl[OBSERVATION].ravel()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-7)
    maps = own.map[:, 0]
    contrast = (maps.std(dim=(1, 2), correction=0) / maps.mean(dim=(1, 2))).mean()
    assert reliance.contrast["shared"] == pytest.approx(contrast.item(), rel=1e-4)
    assert set(reliance.numbers()) == {
        *(f"reliance_{name}" for name in (*REPLACED_BY, OBSERVATION)),
        *(f"reliance_{name}_value" for name in (*REPLACED_BY, OBSERVATION)),
        "bank_shared_map_contrast",
        "shared_map_change",
    }


@pytest.mark.parametrize("mechanism", ["mask", "soft"])
def test_agents_with_memory_remember_along_the_games(mechanism):
    policy = policy_with(mechanism, memory="lstm", memory_size=8)
    with torch.no_grad():
        policy.action_net.weight.mul_(300)
    bank = bank_of(PatchSignal, 40, 2)
    # The same games in one stretch and in two are remembered alike.
    long = map_reliance(policy, bank)
    assert long.policy_kl["uniform"].shape == (40, 2)
    first = map_reliance(policy, StateBank(bank.observations[:8], bank.episode_starts[:8]))
    np.testing.assert_allclose(long.policy_kl["uniform"][:8], first.policy_kl["uniform"], atol=1e-6)


class TwoLives(PatchSignal):
    """Loses a life every third step, and is over after eight."""

    length = 8

    def step(self, action):
        observation, reward, _, cut, info = super().step(action)
        over, lost = self.t >= self.length, self.t % 3 == 0
        return observation, reward, over, cut, {"lost_life": True} if lost and not over else info


@pytest.mark.parametrize("forget_at", ["life", "game"])
def test_memory_is_emptied_where_it_was_when_the_agent_played(forget_at):
    policy = policy_with("mask", memory="lstm", memory_size=8, forget_at=forget_at)
    with torch.no_grad():
        policy.action_net.weight.mul_(300)
    policy.set_training_mode(False)
    acted = []

    class Listening(WrappedPlayer):
        def act(self, observations, episode_start, lost_life=None):
            actions, output = super().act(observations, episode_start, lost_life)
            acted.append(output.action_logits)
            return actions, output

    player = Listening(AgentPlayer("agent", policy, greedy=True, seed=0))
    bank = collect_bank(player, make_probe(TwoLives, 2), 20)
    assert bank.lost_lives[:, 0].nonzero()[0].tolist() == [3, 6, 11, 14, 19]
    ((flat, emptied),) = bank.chunks(20, torch.device("cpu"), forget_at)
    again, _ = policy.attend(flat, reset_mask=emptied)
    torch.testing.assert_close(again.action_logits, torch.cat(acted), rtol=0, atol=1e-4)
    # Steps on either side of a lost life are of the same game in any case.
    known = StateBank(bank.observations, bank.forgets(forget_at))
    other = StateBank(bank.observations, bank.forgets("game" if forget_at == "life" else "life"))
    found, expected, wrong = (map_reliance(policy, which) for which in (bank, known, other))
    assert np.array_equal(found.policy_kl["swap"], expected.policy_kl["swap"])
    assert not np.allclose(found.policy_kl["swap"], wrong.policy_kl["swap"])
    of_games = map_reliance(policy, StateBank(bank.observations, bank.episode_starts))
    assert found.change == of_games.change


def test_maps_of_pairs_are_shifted_as_pictures():
    policy = policy_with("transformer")
    with torch.no_grad():
        policy.action_net.weight.mul_(300)
    bank = bank_of(n_steps=8)
    found = map_reliance(policy, bank).policy_kl["shifted"].ravel()
    observations = torch.as_tensor(bank.observations).flatten(0, 1)

    def moved(own):
        pictures = own.unflatten(3, (6, 6))  # what each place looks at
        return pictures.roll((2, 2), (3, 4)).flatten(3)

    with torch.no_grad():
        log_probs = policy.attend(observations)[0].action_logits.double().log_softmax(1)
        output, _ = policy.attend(observations, map_override=moved)
    then = output.action_logits.double().log_softmax(1)
    expected = F.kl_div(then, log_probs, log_target=True, reduction="none").sum(1)
    assert expected.max() > 1e-6
    np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-9)


def test_an_agent_without_maps_relies_on_none():
    with pytest.raises(ValueError, match="expected a policy with maps"):
        map_reliance(policy_with("none"), bank_of())
