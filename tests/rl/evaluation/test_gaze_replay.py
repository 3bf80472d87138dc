"""A person's recorded game looks to the agent as the game itself would have."""

import numpy as np
import pytest
import torch

from rl_abn.rl.envs.single_env import SingleEnv
from rl_abn.rl.evaluation.atari_head import read_trial
from rl_abn.rl.evaluation.explained_policy import in_fp32
from rl_abn.rl.evaluation.gaze_replay import GazeMoments, choose_steps, grey_of, replay, steps_of
from rl_abn.rl.evaluation.players import AgentPlayer
from rl_abn.rl.training.build import load_policy, training_protocol
from tests.covering import more
from tests.rl.evaluation.gazed import moving_object, write_trial
from tests.rl.evaluation.recorded import make_run

CPU = torch.device("cpu")
SKIP = 4


def policy_of(run):
    return in_fp32(load_policy(run, run.checkpoint(None), CPU))


def played(run, n_steps):
    """A game's frames, one after the other, and what the agent sees at every step."""
    protocol = training_protocol(run.recipe)
    env = SingleEnv(run.recipe.env.game, protocol)
    observations = [env.reset(5)]
    frames = [env.frame.copy()]
    for i in range(n_steps):
        step = env.step(i % len(env.action_names), lambda frame: frames.append(frame.copy()))
        observations.append(step.observation)
    return frames, observations


@pytest.mark.parametrize(
    ("agent", "protocol"), [("ppo_mask_convlstm", "legacy"), *more(("a2c_mask_a3c", "mask_a3c"))]
)
def test_observations_and_memory_are_those_of_the_game(tmp_path, agent, protocol):
    run = make_run(tmp_path / "run", agent, "space_invaders")
    assert run.recipe.protocol_name == protocol
    policy = policy_of(run)
    frames, observations = played(run, 12)
    gaze = [np.array([[80.0, 100.0]])] * len(frames)
    trial = read_trial(write_trial(tmp_path, frames, gaze), 1000)
    chosen = [5, 9, 12]
    found = replay(policy, training_protocol(run.recipe), trial, 3, chosen)
    for k, j in enumerate(chosen):
        np.testing.assert_array_equal(found.observations[k], observations[j])
        np.testing.assert_array_equal(found.previous[k], observations[j - 1])
        np.testing.assert_array_equal(found.screens[k], frames[SKIP * j])
    assert found.frames.tolist() == [20, 36, 48]
    assert found.trials.tolist() == [3, 3, 3]
    # The memory before a moment is what an agent has that saw the steps before it.
    player = AgentPlayer("agent", policy, greedy=True, seed=0)
    for j in range(9):
        player.attend(observations[j][None], np.array([j == 0]))
    assert found.memory
    for part, expected in zip(found.memory, player.memory_before(np.array([False])), strict=True):
        np.testing.assert_allclose(part[1], expected[0].numpy(), atol=1e-6)
        assert np.abs(part).max() > 0
    back = GazeMoments.of_arrays([found.arrays(), found.arrays()])
    assert len(back.observations) == 6
    np.testing.assert_array_equal(back.memory[0][3:], found.memory[0])


def test_games_and_gaps_begin_anew(tmp_path):
    run = make_run(tmp_path / "run", "ppo_cnn", "pong")
    protocol = training_protocol(run.recipe)
    frames, centres = moving_object(30)
    table = write_trial(tmp_path, frames, centres[:, None], episodes=[0] * 10 + [1] * 20)
    steps = steps_of(read_trial(table, 100), protocol)
    assert [step.newest for step in steps] == [0, 4, 8, 10, 14, 18, 22, 26]
    assert [step.newest for step in steps if step.starts] == [0, 10]
    # Without a frame in the middle what follows is no longer of the same stretch.
    lines = table.read_text().splitlines()
    table.write_text("\n".join(lines[:17] + lines[18:]) + "\n")
    steps = steps_of(read_trial(table, 100), protocol)
    assert [step.newest for step in steps if step.starts] == [0, 10, 16]


def test_moments_have_a_gaze_that_the_agent_can_see_and_a_full_stack(tmp_path):
    run = make_run(tmp_path / "run", "ppo_cnn", "pong")
    protocol = training_protocol(run.recipe)
    frames, centres = moving_object(80)
    gaze = [None if i == 24 else each[None] for i, each in enumerate(centres)]
    trial = read_trial(write_trial(tmp_path, frames, gaze), 100)
    every = [4, 5, *range(7, 20)]
    assert choose_steps([trial], protocol, 100) == [every]
    assert choose_steps([trial, trial], protocol, 2) == [[4], [19]]
    # What lies off the rows of a crop is nothing that the agent could look at.
    seen = training_protocol(make_run(tmp_path / "crop", "a2c_mask_a3c", "pong").recipe)
    top, end = seen.seen_rows
    inside = [j for j in range(1, 20) if j != 6 and top <= centres[SKIP * j][1] < end]
    assert choose_steps([trial], seen, 100) == [inside]
    assert len(inside) < 18


def test_grey_is_that_of_the_emulator(tmp_path):
    run = make_run(tmp_path / "run", "ppo_cnn", "pong")
    env = SingleEnv(run.recipe.env.game, training_protocol(run.recipe))
    env.reset(0)
    np.testing.assert_array_equal(grey_of(env.frame), env._ale.getScreenGrayscale())
