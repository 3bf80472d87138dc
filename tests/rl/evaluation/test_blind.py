import numpy as np
import pytest

from rl_abn.rl.evaluation.blind import BlindPlayer
from rl_abn.rl.evaluation.players import AgentPlayer
from tests.rl.conftest import ConstantReward, Signal, make_algorithm, make_probe


class Shown:
    """Keeps what it is shown."""

    name, map_names, observation_space = "shown", (), None

    def __init__(self):
        self.seen = []

    def act(self, observations, episode_start, lost_life=None):
        self.seen.append(observations[:, 0, 0, 0].tolist())
        return np.zeros(len(observations), np.int64), None


def screens(*shades):
    return np.array(shades, np.uint8).reshape(-1, 1, 1, 1)


def test_frozen_is_each_games_first_screen():
    blind = BlindPlayer(player := Shown(), "frozen")
    blind.act(screens(1, 2), np.array([True, True]))
    blind.act(screens(3, 4), np.array([False, False]))
    blind.act(screens(5, 6), np.array([False, True]))
    blind.act(screens(7, 8), np.array([False, False]))
    assert player.seen == [[1, 2], [1, 2], [1, 6], [1, 6]]
    assert blind.name == "blind: frozen"


def test_swapped_is_another_games_screen():
    blind = BlindPlayer(player := Shown(), "swapped")
    blind.act(screens(1, 2, 3), np.zeros(3, bool))
    assert player.seen == [[3, 1, 2]]
    with pytest.raises(ValueError, match="two games or more"):
        blind.act(screens(1), np.zeros(1, bool))


def test_an_unknown_blindness_is_named():
    with pytest.raises(ValueError, match=r"expected a blindness of .* got 'shut'"):
        BlindPlayer(Shown(), "shut")


def rewards(player, env, steps=200):
    observations, total = env.reset(), 0.0
    starts = np.ones(env.num_envs, bool)
    for _ in range(steps):
        actions, _ = player.act(observations, starts)
        observations, reward, starts, _ = env.step(actions)
        total += reward.mean()
    return total / steps


def test_an_agent_that_reacts_is_worth_nothing_blind_and_one_that_does_not_the_same():
    model = make_algorithm("ppo", make_probe(Signal)).learn(2048)
    seeing = AgentPlayer("ppo", model.policy, greedy=False, seed=0)
    assert rewards(seeing, make_probe(Signal)) > 0.8
    assert abs(rewards(BlindPlayer(seeing, "swapped"), make_probe(Signal))) < 0.2
    assert rewards(BlindPlayer(seeing, "frozen"), make_probe(ConstantReward)) == 1.0
