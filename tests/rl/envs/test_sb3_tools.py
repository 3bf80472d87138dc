"""stable-baselines3's own evaluation and video recorder on `AleVecEnv`."""

import importlib.util
import sys
import types

import ale_py
import cv2
import gymnasium
import imageio_ffmpeg
import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.atari_wrappers import EpisodicLifeEnv, MaxAndSkipEnv
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecVideoRecorder

from rl_abn.errors import RlAbnError
from rl_abn.recipes import load_env
from rl_abn.rl import AleVecEnv, AttentionPolicy
from rl_abn.rl.envs.env_parts import PartitionedVecEnv

gymnasium.register_envs(ale_py)


class Fire:
    """Shoots without moving, which scores a little and loses all lives."""

    def predict(self, observations, state=None, episode_start=None, deterministic=False):
        return np.ones(len(observations), int), None


def make_env(game="space_invaders", n_envs=1, render_mode=None, **changes):
    """A game in which actions alone decide, so that two emulators play the same one."""
    recipe = load_env(game)
    changes = {"noop_max": 0, "fire_reset": False, **changes}
    protocol = recipe.protocol["legacy"].model_copy(update=changes)
    assert protocol.life_loss_terminal
    return AleVecEnv(recipe.game, protocol, n_envs, render_mode=render_mode)


def monitored(*, lives):
    """SB3's own environment of that game, with or without its signal for lost lives."""
    env = Monitor(gymnasium.make("SpaceInvadersNoFrameskip-v4"))
    env = MaxAndSkipEnv(env, 4)
    return DummyVecEnv([lambda: EpisodicLifeEnv(env) if lives else env])


class Clip:
    """Writes a video by ffmpeg, in place of moviepy's `ImageSequenceClip`."""

    def __init__(self, frames, fps):
        self.frames, self.fps = frames, fps

    def write_videofile(self, path):
        height, width = self.frames[0].shape[:2]
        writer = imageio_ffmpeg.write_frames(
            path, (width, height), fps=self.fps, macro_block_size=1
        )
        writer.send(None)
        for frame in self.frames:
            writer.send(np.ascontiguousarray(frame))
        writer.close()


def provide_moviepy(monkeypatch):
    """SB3's recorder asks for moviepy, which rl-abn does without."""
    if importlib.util.find_spec("moviepy") is None:
        module = "moviepy.video.io.ImageSequenceClip"
        names = ["moviepy", "moviepy.video", "moviepy.video.io", module]
        for name in names:
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        monkeypatch.setattr(sys.modules[module], "ImageSequenceClip", Clip, raising=False)


@pytest.mark.more
@pytest.mark.filterwarnings("error:Evaluation environment")
def test_sb3_counts_the_games_that_a_monitor_counts():
    returns, lengths = evaluate_policy(Fire(), make_env(), 1, return_episode_rewards=True)
    game = evaluate_policy(Fire(), monitored(lives=False), 1, return_episode_rewards=True)
    assert returns == game[0]
    assert returns[0] > 0
    # With its signal for lost lives SB3 inserts a no-op after each: nearly the same game. The
    # Monitor below MaxAndSkipEnv counts frames.
    _, frames = evaluate_policy(Fire(), monitored(lives=True), 1, return_episode_rewards=True)
    assert lengths[0] == pytest.approx(frames[0] / 4, rel=0.25)
    parts = PartitionedVecEnv([make_env(), make_env()])
    assert evaluate_policy(Fire(), parts, 2, return_episode_rewards=True)[0] == returns * 2


@pytest.mark.more
def test_a_game_is_what_its_info_says():
    env = make_env()
    env.reset()
    total, lost, infos = 0.0, 0, [{}]
    while "episode" not in infos[0]:
        _, rewards, _, infos = env.step(np.ones(1, int))
        total += rewards[0]
        lost += "lost_life" in infos[0]
    assert lost == 2
    assert infos[0]["episode"]["r"] == total
    assert evaluate_policy(Fire(), make_env(), 1) == (total, 0.0)


@pytest.mark.more
def test_sb3_s_eval_callback_counts_games(tmp_path):
    env = make_env("breakout", fire_reset=True, max_frames=300)
    model = PPO(AttentionPolicy, env, n_steps=8, batch_size=8, n_epochs=1, seed=0)
    # The ball is lost once in 75 steps, and never five times.
    evaluation = make_env("breakout", 2, fire_reset=True, max_frames=300)
    callback = EvalCallback(
        evaluation, n_eval_episodes=2, eval_freq=8, log_path=str(tmp_path), verbose=0
    )
    model.learn(8, callback=callback)
    assert callback.evaluations_length == [[75, 75]]


@pytest.mark.more
@pytest.mark.parametrize("protocol", ["legacy", "machado2018"])
def test_screens_are_those_of_the_games(space_invaders, protocol):
    short = {"max_pool": False, "max_frames": 400}
    protocol = space_invaders.protocol[protocol].model_copy(update=short)
    env = AleVecEnv(space_invaders.game, protocol, 2, seed=3, render_mode="rgb_array")
    env.reset()
    rng = np.random.default_rng(0)
    n_games = 0
    for _ in range(220):
        observations, _, _, infos = env.step(rng.integers(env.action_space.n, size=2))
        n_games += sum("episode" in info for info in infos)
        for game, observation in zip(env._screens._games, observations, strict=True):
            grey = game.ale.getScreenGrayscale()
            expected = cv2.resize(grey, (84, 84), interpolation=cv2.INTER_AREA)
            assert np.array_equal(observation[-1], expected)
    assert n_games >= 4
    assert [image.shape for image in env.get_images()] == [(210, 160, 3)] * 2
    assert env.render().shape == (420, 160, 3)


@pytest.mark.more
def test_parts_show_the_screens_of_all_games():
    env = PartitionedVecEnv([make_env(n_envs=n, render_mode="rgb_array") for n in (1, 2)])
    env.reset()
    assert env.render_mode == "rgb_array"
    assert [image.shape for image in env.get_images()] == [(210, 160, 3)] * 3
    assert env.render().ndim == 3


@pytest.mark.more
@pytest.mark.parametrize("in_parts", [False, True])
def test_sb3_s_recorder_writes_a_video(tmp_path, monkeypatch, in_parts):
    provide_moviepy(monkeypatch)
    env = make_env(n_envs=2, render_mode="rgb_array")
    if in_parts:
        env = PartitionedVecEnv([make_env(render_mode="rgb_array") for _ in range(2)])
    env = VecVideoRecorder(env, str(tmp_path), lambda step: step == 0, video_length=12)
    env.reset()
    for _ in range(13):
        env.step(np.ones(2, int))
    env.close()
    (file,) = tmp_path.glob("*.mp4")
    video = cv2.VideoCapture(str(file))
    assert video.get(cv2.CAP_PROP_FPS) == 15
    frames = []
    while (read := video.read())[0]:
        frames.append(read[1])
    assert len(frames) in (12, 13)  # moviepy rounds the length
    assert frames[0].shape == (420, 160, 3)
    assert np.ptp(frames[0]) > 100


def test_an_unknown_render_mode_is_refused():
    with pytest.raises(RlAbnError, match=r"got 'rgb_aray': did you mean 'rgb_array'\?"):
        make_env(render_mode="rgb_aray")
    with pytest.raises(RlAbnError, match="render_mode='rgb_array'"):
        make_env().get_images()
