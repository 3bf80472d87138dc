"""Mask-A3C's observations: the published steps, and the statistics they are normalised by."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from gymnasium import spaces

from rl_abn.recipes import list_recipes, load_env
from rl_abn.rl import AleVecEnv
from rl_abn.rl.envs.ale_vec_env import make_ale
from rl_abn.rl.envs.env_parts import PartitionedVecEnv
from rl_abn.rl.envs.observations import MaskA3CPipeline, make_pipeline
from tests.covering import more

DECAY = 0.9999


def published_crop(frame, rows, height):
    """The published steps, one numpy or OpenCV call each."""
    grey = frame[rows[0] : rows[1], :160].mean(2).astype(np.float32)
    grey *= 1.0 / 255.0
    grey = cv2.resize(grey, (80, height))
    return cv2.resize(grey, (80, 80))


class Published:
    """One emulator's running statistics, by their closed form."""

    def __init__(self, crop):
        self.crop = crop
        self.moments = []

    def see(self, frame):
        picture = published_crop(frame, self.crop.rows, self.crop.height)
        self.moments.append((float(picture.mean()), float(picture.std())))
        weights = DECAY ** np.arange(len(self.moments))[::-1]
        mean, deviation = weights @ np.array(self.moments) / weights.sum()
        return (picture - np.float32(mean)) / np.float32(deviation + 1e-8)


@pytest.fixture
def pipeline(space_invaders):
    return make_pipeline(space_invaders.protocol["mask_a3c"], 3)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*shape, 210, 160, 3)).astype(np.uint8)


SOME = ("ms_pacman", "space_invaders")


@pytest.mark.parametrize(
    "name", [*SOME, *more(*(name for name in list_recipes("envs") if name not in SOME))]
)
def test_the_crop_is_the_published_one(name):
    protocol = load_env(name).protocol["mask_a3c"]
    pipeline = make_pipeline(protocol, 1)
    assert isinstance(pipeline, MaskA3CPipeline)
    env = make_ale(load_env(name).game, protocol, 1)
    frames, _ = env.reset(seed=np.array([1], np.int32))
    for frame in (frames[0, 0], noise(), np.full((210, 160, 3), 255, np.uint8)):
        expected = published_crop(frame, protocol.crop.rows, protocol.crop.height)
        assert np.array_equal(pipeline.grey_crop(frame), expected)
        assert pipeline.grey_crop(frame).dtype == np.float32


def test_every_sum_of_three_channels_gives_the_published_mean(pipeline):
    """All 766 sums, in a frame that no resizing mixes."""
    sums = np.arange(210 * 160).reshape(210, 160) % 766
    frame = np.stack([np.clip(sums - 255 * i, 0, 255) for i in range(3)], axis=2).astype(np.uint8)
    crop, size = pipeline.crop, pipeline.size
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cv2, "resize", lambda picture, dsize: picture)
        expected = frame[slice(*crop.rows)].mean(2).astype(np.float32)
        expected *= 1.0 / 255.0
        assert np.array_equal(pipeline.grey_crop(frame), expected)
    assert size == 80


def test_the_first_frame_has_mean_0_and_deviation_1(pipeline):
    seen = pipeline.observe(noise(3, 1), range(3))
    assert seen.shape == (3, 1, 80, 80)
    assert seen.dtype == np.float32
    np.testing.assert_allclose(seen.mean((1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(seen.std((1, 2, 3)), 1, atol=1e-5)


def test_the_statistics_are_those_of_the_closed_form(pipeline):
    published = Published(pipeline.crop)
    for t in range(60):
        frame = noise(1, 1, seed=t) // (1 + t % 5)
        seen = pipeline.observe(frame, [1])[0, 0]
        np.testing.assert_allclose(seen, published.see(frame[0, 0]), atol=2e-5)


def test_a_black_frame_is_zero_everywhere(pipeline):
    assert (pipeline.observe(np.zeros((1, 1, 210, 160, 3), np.uint8), [0]) == 0).all()


def test_every_game_has_statistics_of_its_own_until_the_pipeline_is_reset(pipeline):
    frames = noise(3, 1)
    first = pipeline.observe(frames, range(3))
    pipeline.observe(frames[:1] // 3, [1])
    changed = [
        not np.array_equal(a, b)
        for a, b in zip(first, pipeline.observe(frames, range(3)), strict=True)
    ]
    assert changed == [False, True, False]
    pipeline.reset()
    assert np.array_equal(pipeline.observe(frames, range(3)), first)


@pytest.mark.parametrize("name", list_recipes("envs"))
def test_only_the_rows_of_the_crop_are_seen(name):
    protocol = load_env(name).protocol["mask_a3c"]
    top, end = protocol.seen_rows
    pipeline = make_pipeline(protocol, 1)
    frame = noise()
    seen = pipeline.grey_crop(frame)
    for row, is_seen in ((top - 1, False), (top, True), (end - 1, True), (end, False)):
        other = frame.copy()
        other[row] = 255 - other[row]
        assert np.array_equal(pipeline.grey_crop(other), seen) != is_seen


def test_the_space_is_one_of_floats(space_invaders):
    env = AleVecEnv(space_invaders.game, space_invaders.protocol["mask_a3c"], 2)
    assert env.observation_space == spaces.Box(-np.inf, np.inf, (1, 80, 80), np.float32)
    assert env.reset().dtype == np.float32


@pytest.mark.more
@pytest.mark.parametrize("name", ["ms_pacman", "space_invaders"])
def test_the_statistics_go_on_when_a_game_ends(name):
    """Three games a row cut off by the frame cap, and lost lives: every frame counts once."""
    recipe = load_env(name)
    protocol = recipe.protocol["mask_a3c"].model_copy(update={"max_frames": 480})
    seeds = np.array([3, 4], np.int32)
    env = AleVecEnv(recipe.game, protocol, 2)
    env.seed_games(seeds)
    games = make_ale(recipe.game, protocol, 2, life_loss_terminal=True)
    frames, _ = games.reset(seed=seeds)
    published = [Published(protocol.crop) for _ in seeds]

    def expect(observations, frames):
        for p, observation, frame in zip(published, observations, frames, strict=True):
            np.testing.assert_allclose(observation[0], p.see(frame[0]), atol=2e-5)

    expect(env.reset(), frames)
    rng, n_cut = np.random.default_rng(0), 0
    for _ in range(370):
        actions = rng.integers(env.action_space.n, size=2)
        observations, _, _, infos = env.step(actions)
        frames, _, _, truncated, info = games.step(actions)
        for i in np.flatnonzero(truncated):
            n_cut += 1
            last = published[i].see(info["final_obs"][i][0])
            np.testing.assert_allclose(infos[i]["terminal_observation"][0], last, atol=2e-5)
        expect(observations, frames)
    assert n_cut == 6


def test_the_last_frame_of_a_lost_game_counts_too(space_invaders):
    protocol = space_invaders.protocol["mask_a3c"]
    env = AleVecEnv(space_invaders.game, protocol, 1, seed=1)
    env.reset()
    rng, n_steps = np.random.default_rng(0), 0
    while True:
        infos = env.step(rng.integers(env.action_space.n, size=1))[3]
        n_steps += 1
        assert env._pipeline._n_seen[0] == n_steps + 1 + ("episode" in infos[0])
        if "episode" in infos[0]:
            break


def test_equal_seeds_give_equal_observations_and_unseeded_games_go_on(space_invaders):
    env = AleVecEnv(space_invaders.game, space_invaders.protocol["mask_a3c"], 2, seed=5)

    def play():
        first = env.reset()
        return np.stack([first, *(env.step(np.array([t % 6, 2]))[0] for t in range(40))])

    env.seed(7)
    once = play()
    env.seed(7)
    assert np.array_equal(play(), once)
    env.reset()
    assert env._pipeline._n_seen.tolist() == [42, 42]


@pytest.mark.more
def test_parts_give_the_observations_of_one_environment(space_invaders):
    protocol = space_invaders.protocol["mask_a3c"]
    whole = AleVecEnv(space_invaders.game, protocol, 4)
    parts = PartitionedVecEnv([AleVecEnv(space_invaders.game, protocol, 2) for _ in range(2)])
    for env in (whole, parts):
        env.seed(3)
    assert np.array_equal(whole.reset(), parts.reset())
    for t in range(60):
        actions = np.arange(4) * t % 6
        assert np.array_equal(whole.step(actions)[0], parts.step(actions)[0])
