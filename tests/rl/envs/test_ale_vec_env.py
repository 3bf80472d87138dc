import os
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from rl_abn.compute.background_threads import NICENESS
from rl_abn.errors import RlAbnError
from rl_abn.recipes import Game, make_run_recipe
from rl_abn.rl import AleVecEnv
from rl_abn.rl.envs.single_env import SingleEnv
from rl_abn.rl.training.build import make_training_env
from rl_abn.seeds import derive_seeds
from tests.covering import more


def play(env, n_steps, seed=0):
    """Plays at random; returns actions, rewards and dones [T, N], infos and the last screens."""
    rng = np.random.default_rng(seed)
    actions, rewards, dones, infos = [], [], [], []
    for _ in range(n_steps):
        actions.append(rng.integers(env.action_space.n, size=env.num_envs))
        observations, reward, done, info = env.step(actions[-1])
        rewards.append(reward)
        dones.append(done)
        infos.append(info)
    return np.array(actions), np.array(rewards), np.array(dones), infos, observations


def test_a_lost_life_ends_an_episode_but_not_the_game(space_invaders):
    env = AleVecEnv(space_invaders.game, space_invaders.protocol["legacy"], 1, seed=1)
    seed = int(env._game_seeds[0])
    env.reset()
    actions, _, dones, infos, _ = play(env, 700)
    ends = [t for t, info in enumerate(infos) if "episode" in info[0]]
    lives_lost = [t for t in np.flatnonzero(dones[:, 0]) if t <= ends[0]]
    assert len(lives_lost) == 3  # three cannons; only the last one is the game
    assert lives_lost[-1] == ends[0]

    single_env = SingleEnv(space_invaders.game, space_invaders.protocol["legacy"])
    single_env.reset(seed)
    lives = []
    for t in range(ends[0]):
        assert not single_env.step(int(actions[t, 0])).terminated
        lives.append(single_env.lives)
    assert [t for t in range(1, len(lives)) if lives[t] < lives[t - 1]] == lives_lost[:-1]


def test_evaluation_sees_no_lost_life(space_invaders):
    env = AleVecEnv(
        space_invaders.game, space_invaders.protocol["legacy"], 1, seed=1, life_loss_terminal=False
    )
    env.reset()
    _, _, dones, infos, _ = play(env, 700)
    assert [t for t, i in enumerate(infos) if "episode" in i[0]] == list(np.flatnonzero(dones))


def test_returns_and_lengths_are_those_of_a_single_emulator(space_invaders):
    protocol = space_invaders.protocol["legacy"]
    env = AleVecEnv(space_invaders.game, protocol, 2, seed=5)
    seeds = env._game_seeds.copy()
    env.reset()
    actions, rewards, _, infos, _ = play(env, 700)
    for i in range(2):
        single_env = SingleEnv(space_invaders.game, protocol)
        single_env.reset(int(seeds[i]))
        total, t, outcome = 0.0, 0, None
        while outcome is None or not outcome.terminated:
            outcome = single_env.step(int(actions[t, i]))
            assert outcome.reward == rewards[t, i]
            total, t = total + outcome.reward, t + 1
        episode = infos[t - 1][i]["episode"]
        assert (episode["r"], episode["l"]) == (total, t)
        assert total > 0


def test_a_game_cut_off_by_the_frame_cap_says_so(space_invaders):
    protocol = space_invaders.protocol["legacy"].model_copy(update={"max_frames": 200})
    env = AleVecEnv(space_invaders.game, protocol, 2, seed=0)
    env.reset()
    _, _, dones, infos, _ = play(env, 50)
    assert not dones[:49].any()
    for info in infos[-1]:
        assert info["TimeLimit.truncated"]
        assert info["terminal_observation"].shape == (4, 84, 84)
        assert info["episode"]["l"] == 50


@pytest.mark.more
@pytest.mark.parametrize("n_threads", [1, 2])
def test_same_seed_same_games(space_invaders, n_threads):
    screens = []
    for threads in (1, n_threads):
        env = AleVecEnv(
            space_invaders.game, space_invaders.protocol["legacy"], 4, seed=3, n_threads=threads
        )
        env.reset()
        screens.append(play(env, 100)[-1])
    assert np.array_equal(*screens)


def test_a_second_seeded_reset_begins_the_same_games(ale_env):
    ale_env.seed(7)
    first = ale_env.reset().copy()
    play(ale_env, 50)
    ale_env.seed(7)
    assert np.array_equal(ale_env.reset(), first)


def test_observations_stay_as_they_were_when_the_game_goes_on(ale_env):
    observations = ale_env.reset()
    before = observations.copy()
    play(ale_env, 20)
    assert np.array_equal(observations, before)


def test_neighbouring_runs_share_no_games():
    seeds = np.concatenate([derive_seeds(run, count=64) for run in range(50)])
    assert len(np.unique(seeds)) == len(seeds)
    assert seeds.min() >= 0


@pytest.mark.more
def test_rewards_are_raw(space_invaders):
    env = AleVecEnv(space_invaders.game, space_invaders.protocol["legacy"], 4, seed=0)
    env.reset()
    rewards = play(env, 300)[1]
    assert set(np.unique(rewards)) <= {0, 5, 10, 15, 20, 25, 30, 200}
    assert rewards.max() > 1


def test_a_game_ale_does_not_have_is_refused(space_invaders):
    with pytest.raises(RlAbnError, match="rom = 'space_invader'"):
        AleVecEnv(
            Game(title="x", id="x", rom="space_invader"), space_invaders.protocol["legacy"], 1
        )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads' own priorities")
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["train.env_parts=1"], ("SCHED_OTHER", 0)),
        *more((["train.env_parts=2"], ("SCHED_OTHER", NICENESS))),
        (["train.env_parts=2", "train.emulator_priority=idle"], ("SCHED_IDLE", 0)),
    ],
)
def test_emulators_beside_an_agent_give_way(settings, expected):
    def threads():
        return {int(thread.name) for thread in Path("/proc/self/task").iterdir()}

    def priorities(threads):
        for thread in threads:
            with suppress(ProcessLookupError):  # the one that made them ends about now
                yield os.sched_getscheduler(thread), os.getpriority(os.PRIO_PROCESS, thread)

    before = threads()
    settings = [*settings, "algorithm.n_envs=4", "train.emulator_threads=2"]
    env = make_training_env(make_run_recipe("pong", "ppo_abn_paper", 0, settings))
    emulators = list(priorities(threads() - before))
    assert len(emulators) >= 2
    policy, niceness = expected
    niceness = min(os.getpriority(os.PRIO_PROCESS, 0) + niceness, 19)  # none is nicer than 19
    assert set(emulators) == {(getattr(os, policy), niceness)}
    env.close()
