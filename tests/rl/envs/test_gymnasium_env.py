"""Gymnasium environments as an agent sees them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from rl_abn.recipes import GymnasiumRecipe, load_env, override
from rl_abn.recipes.lookup import load_agent
from rl_abn.rl.envs.gymnasium_env import action_names, channels_last, make_gymnasium_env
from rl_abn.rl.envs.gymnasium_single_env import GymnasiumSingleEnv
from rl_abn.rl.envs.gymnasium_vec_env import GymnasiumVecEnv
from rl_abn.rl.envs.make import check_env
from tests.complaints import complaint
from tests.rl.envs.catch_games import ID, MODULE


def recipe(*settings: str, env: str = ID) -> GymnasiumRecipe:
    found = override(load_agent("ppo_abn_paper"), load_env(env), settings)[1]
    assert isinstance(found, GymnasiumRecipe)
    return found


def vec_env(n: int, *settings: str, seed: int = 0) -> GymnasiumVecEnv:
    made = recipe(*settings)
    return GymnasiumVecEnv(made, made.preprocessing, n, seed=seed)


@pytest.mark.parametrize(
    ("shown", "settings", "shape", "dtype", "values"),
    [
        ("rgb", [], (12, 84, 84), "uint8", None),
        ("rgb", ["preprocessing.grey=true"], (4, 84, 84), "uint8", None),
        ("rgb", ["preprocessing.frame_stack=1"], (3, 84, 84), "uint8", None),
        ("procgen", ["preprocessing.screen_size=64"], (12, 64, 64), "uint8", None),
        ("minatar", ["preprocessing.screen_size=40"], (16, 40, 40), "uint8", {0, 255}),
        ("floats", [], (8, 84, 84), "float32", {0.0, 1.0}),
        ("halves", [], (8, 84, 84), "float32", {0.0, 1.0}),
        ("unbounded", [], (8, 84, 84), "float32", {0.0, 1.0}),
        ("grey", [], (4, 84, 84), "uint8", None),
        ("channels_first", ["preprocessing.screen_size=40"], (12, 40, 40), "uint8", None),
    ],
)
def test_every_kind_of_picture_becomes_channels_first(
    shown: str, settings: list[str], shape: tuple[int, ...], dtype: str, values: set[float] | None
) -> None:
    made = recipe(f"options.shown={shown}", *settings)
    env = make_gymnasium_env(made, made.preprocessing)
    space = env.observation_space
    assert (space.shape, str(space.dtype)) == (shape, dtype)
    observation, _ = env.reset(seed=0)
    for _ in range(4):
        assert observation in space
        assert values is None or set(np.unique(observation)) == values
        observation = env.step(1)[0]


def test_a_stack_holds_the_last_pictures_the_oldest_first() -> None:
    made = recipe("options.shown=grey", "preprocessing.screen_size=40")
    env = make_gymnasium_env(made, made.preprocessing)
    first, _ = env.reset(seed=0)
    assert all(np.array_equal(first[0], first[i]) for i in range(4))
    second = env.step(1)[0]
    assert np.array_equal(second[:3], first[1:])
    assert not np.array_equal(second[3], first[3])


def test_a_cell_of_a_grid_stays_a_sharp_square() -> None:
    made = recipe("options.shown=minatar", "preprocessing.screen_size=40")
    env = make_gymnasium_env(made, made.preprocessing)
    newest = env.reset(seed=0)[0][-4:]
    cells = newest[:, ::4, ::4]
    assert np.array_equal(newest, cells.repeat(4, axis=1).repeat(4, axis=2))
    assert np.array_equal(cells, np.moveaxis(env.unwrapped.picture(), 2, 0) * 255)  # type: ignore[attr-defined]


def test_channels_are_the_shorter_end() -> None:
    assert channels_last(np.zeros((3, 40, 60))).shape == (40, 60, 3)
    assert channels_last(np.zeros((40, 60, 3))).shape == (40, 60, 3)
    assert channels_last(np.zeros((40, 60))).shape == (40, 60, 1)
    assert channels_last(np.zeros((5, 5, 5))).shape == (5, 5, 5)


def test_frame_skip_adds_rewards_and_max_frames_cuts_off() -> None:
    made = recipe("preprocessing.frame_skip=2", "preprocessing.max_frames=6", "options.drops=100")
    env = make_gymnasium_env(made, made.preprocessing)
    env.reset(seed=0)
    outcomes = [env.step(1)[1:4] for _ in range(3)]
    assert [abs(float(reward)) for reward, _, _ in outcomes] == [0.0, 1.0, 0.0]
    assert [cut for _, _, cut in outcomes] == [False, False, True]
    assert not any(over for _, over, _ in outcomes)


@pytest.mark.parametrize("processes", ["sync", pytest.param("async", marks=pytest.mark.full)])
def test_games_are_scored_as_ales_are(processes: str) -> None:
    env = vec_env(2, f"processes={processes}", "options.drops=1", seed=3)
    observations = env.reset()
    assert observations.shape == (2, 12, 84, 84)
    for step in range(1, 9):
        observations, rewards, dones, infos = env.step(np.ones(2, int))
        assert rewards.dtype == np.float32
        ends = step % 4 == 0
        assert dones.tolist() == [ends] * 2
        for reward, info in zip(rewards, infos, strict=True):
            assert set(info) == ({"episode"} if ends else set())
            if ends:
                assert (info["episode"]["r"], info["episode"]["l"]) == (reward, 4)
                assert abs(reward) == 1
    env.close()


@pytest.mark.more
def test_both_kinds_of_processes_play_the_same_games() -> None:
    envs = [vec_env(2, f"processes={processes}", seed=5) for processes in ("sync", "async")]
    assert np.array_equal(*(env.reset() for env in envs))
    rng = np.random.default_rng(0)
    for _ in range(15):
        actions = rng.integers(3, size=2)
        (first, *one), (second, *other) = (env.step(actions) for env in envs)
        assert np.array_equal(first, second)
        assert all(np.array_equal(a, b) for a, b in zip(one[:2], other[:2], strict=True))
    for env in envs:
        env.close()


def test_a_game_cut_off_has_its_last_observation() -> None:
    env = vec_env(1, "preprocessing.max_frames=3")
    env.reset()
    env.step(np.array([0]))
    before = env.step(np.array([0]))[0]
    observations, _, dones, infos = env.step(np.array([0]))
    assert dones.tolist() == [True]
    assert infos[0]["TimeLimit.truncated"] is True
    last = infos[0]["terminal_observation"]
    assert np.array_equal(last[:9], before[0, 3:])  # one picture on
    assert not np.array_equal(last, observations[0])  # which is the next game's first


def test_equal_seeds_give_equal_games_and_unequal_ones_others() -> None:
    def seen(seed: int) -> np.ndarray:
        env = vec_env(2, seed=seed)
        pictures = [env.reset()]
        pictures += [env.step(np.ones(2, int))[0] for _ in range(20)]
        return np.stack(pictures)

    first = seen(0)
    assert np.array_equal(first, seen(0))
    assert not np.array_equal(first, seen(1))
    assert not np.array_equal(first[:, 0], first[:, 1])


def test_seeding_again_restarts_the_same_games() -> None:
    env = vec_env(2)
    first = env.reset()
    env.step(np.ones(2, int))
    env.seed(0)
    assert np.array_equal(env.reset(), first)


def test_actions_that_begin_elsewhere_are_counted_from_0() -> None:
    env = vec_env(1, "options.first_action=5")
    assert env.action_space == spaces.Discrete(3)
    env.reset()
    env.step(np.array([0]))
    env.step(np.array([2]))
    single = GymnasiumSingleEnv(made := recipe("options.first_action=5"), made.preprocessing)
    single.reset(0)
    single.step(2)


def test_actions_have_the_environments_names_or_numbers() -> None:
    assert vec_env(1).action_names == ["LEFT", "STAY", "RIGHT"]
    made = recipe()
    env = make_gymnasium_env(made, made.preprocessing)
    env.unwrapped.get_action_meanings = lambda: ["TOO", "FEW"]  # type: ignore[attr-defined]
    assert action_names(env) == ["action 0", "action 1", "action 2"]


def test_one_game_is_the_vector_environments() -> None:
    many, made = vec_env(1), recipe()
    many.seed_games(np.array([7]))
    one = GymnasiumSingleEnv(made, made.preprocessing)
    assert np.array_equal(many.reset()[0], one.reset(7))
    for action in (0, 1, 2, 2):
        assert np.array_equal(many.step(np.array([action]))[0][0], one.step(action).observation)


@pytest.mark.parametrize("shown", ["rgb", "minatar", "floats", "grey", "channels_first"])
@pytest.mark.parametrize("renders", [True, False])
def test_there_is_always_a_picture_to_look_at(
    shown: str, renders: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[str] = ["rgb_array"] if renders else []
    monkeypatch.setattr(f"{MODULE}.Catch.metadata", {"render_modes": modes, "render_fps": 10})
    made = recipe(f"options.shown={shown}", "preprocessing.frame_skip=2")
    env = GymnasiumSingleEnv(made, made.preprocessing)
    env.reset(0)
    frame = env.frame
    assert frame.shape == (*env.frame_size, 3)
    assert frame.dtype == np.uint8
    assert max(env.frame_size) >= 84
    assert frame.max() == 255
    assert env.fps == 5
    if renders:  # the 5x5 picture of `render`, enlarged to 160
        assert env.frame_size == (160, 160)
        assert frame[-1, 80].tolist() == [0, 160, 255]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            ["options.shown=vector"],
            "expected picture observations, [height, width] or [height, width, channels], got "
            f"Box(-1.0, 1.0, (4,), float32) in {ID}",
        ),
        (["options.continuous=true"], "expected discrete actions, got Box("),
        (
            ["options.shown=minatar", "preprocessing.grey=true"],
            "expected preprocessing.grey = false where pictures are not RGB, got true for uint8 "
            f"[10, 10, 4] in {ID}",
        ),
        (["options.hue=3"], f"cannot make the environment '{ID}': TypeError: "),
    ],
)
def test_what_an_agent_cannot_use_gets_one_line(settings: list[str], said: str) -> None:
    assert complaint(lambda: check_env(recipe(*settings))).startswith(said)


@pytest.mark.parametrize(
    ("env", "said"),
    [
        (
            "no_such_module:Catch-v0",
            "expected a module that can be imported, got 'no_such_module': No module named "
            "'no_such_module'; PYTHONPATH=. finds those in this folder",
        ),
        (
            f"{MODULE}:Cach-v0",
            f"unknown environment 'Cach-v0' once {MODULE} is imported: did you mean 'Catch-v0'?",
        ),
        (
            "CartPol-v1",
            "unknown environment 'CartPol-v1'; module:EnvId-v0 imports a module: did you mean "
            "'CartPole-v1'?",
        ),
        ("CartPole-v1", "expected picture observations, "),
    ],
)
def test_an_environment_that_is_not_there_gets_one_line(env: str, said: str) -> None:
    assert complaint(lambda: check_env(recipe(env=env))).startswith(said)


def test_a_module_that_fails_or_registers_when_asked(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_games.py").write_text("raise ValueError('no licence')")
    said = complaint(lambda: check_env(recipe(env="broken_games:A-v0")))
    assert said == "cannot import the module 'broken_games': ValueError: no licence"
    (tmp_path / "late_games.py").write_text(
        "import gymnasium\n"
        "def register_envs():\n"
        f"    gymnasium.register('Late/Catch-v0', entry_point='{MODULE}:Catch')\n"
    )
    check_env(recipe(env="late_games:Late/Catch-v0"))
