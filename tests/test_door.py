"""The Python door: what it loads acts, attends and scores as the commands do."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rl_abn
from rl_abn.cli.commands import make_parser
from rl_abn.recipes import VisionRunRecipe
from rl_abn.rl.agent import Agent
from rl_abn.rl.envs.ale_vec_env import AleVecEnv
from rl_abn.rl.evaluation.interventions import read_interventions
from rl_abn.rl.evaluation.run_evaluation import evaluate_run
from rl_abn.rl.training.train import prepare_run, train
from rl_abn.runs import META, Run, read_json, shipped
from rl_abn.vision.evaluation.evaluate import evaluate_run as evaluate_vision
from rl_abn.vision.model import Model
from rl_abn.vision.training.train import train as train_vision
from tests.complaints import complaint
from tests.vision.tiny_sets import small_run, write_classes

SETTINGS = (
    "algorithm.n_envs=2",
    "algorithm.n_steps=8",
    "protocol.legacy.max_frames=120",
    "train.steps=32",
    "train.n_probes=0",
)


def trained(folder: Path, agent: str, *settings: str) -> Run:
    run, _ = prepare_run(
        env="pong",
        agent=agent,
        seed=0,
        folder=folder,
        settings=[*SETTINGS, *settings],
        device="cpu",
    )
    train(run, resume=False, device="cpu")
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(tmp_path_factory.mktemp("a2c") / "run", "a2c_abn")


@pytest.fixture
def agent(run: Run) -> Agent:
    loaded = rl_abn.load(str(run.path), device="cpu")
    assert isinstance(loaded, Agent)
    return loaded


@pytest.fixture(scope="module")
def remembering(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(tmp_path_factory.mktemp("lstm") / "run", "a2c_abn", "network.memory=lstm")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("classes")
    made, data, _ = small_run(folder / "run", write_classes(folder / "set"), "train.epochs=1")
    train_vision(made, data, resume=False, device="cpu")
    loaded = rl_abn.load(made.path, device="cpu")
    assert isinstance(loaded, Model)
    return loaded


def test_importing_loads_nothing_heavy() -> None:
    heavy = ["torch", "numpy", "stable_baselines3", "gymnasium", "rl_abn.door"]
    code = f"import sys, rl_abn; dir(rl_abn); print(set({heavy!r}) & sys.modules.keys())"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "set()\n"
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        rl_abn.lod  # noqa: B018


def test_an_agent_says_what_it_is(agent: Agent, run: Run) -> None:
    assert (agent.map_names, agent.step, agent.recipe) == (("shared",), 32, run.recipe)
    assert agent.action_names[0] == "NOOP"
    assert len(agent.action_names) == agent.policy.n_actions
    assert repr(agent).startswith("Agent(a2c_abn on pong, step 32, maps: shared, 6 actions")


def test_it_acts_for_one_game_and_for_several(agent: Agent) -> None:
    env = agent.make_env(3)
    obs = env.reset()
    actions = agent.act(obs, deterministic=True)
    expected = agent.attend(obs).action_logits.argmax(dim=1).numpy()
    np.testing.assert_array_equal(actions, expected)
    assert agent.act(obs[0], deterministic=True) == expected[0]
    assert env.step(actions)[0].shape == obs.shape


def test_samples_follow_the_seed(agent: Agent) -> None:
    obs = agent.make_env(2).reset()
    first = [agent.act(obs) for _ in range(8)]
    agent.reset(seed=0)
    np.testing.assert_array_equal(first, [agent.act(obs) for _ in range(8)])
    assert len({tuple(actions) for actions in first}) > 1
    agent.reset()  # the next episode is not sampled alike
    assert not np.array_equal(first, [agent.act(obs) for _ in range(8)])


def test_maps_can_be_replaced_in_every_way(agent: Agent) -> None:
    obs = agent.make_env(2).reset()
    own = agent.attend(obs)
    assert torch.equal(own.map, agent.attend(obs, own.map).map)
    zeros = np.zeros(own.map.shape[2:], np.float32)
    flipped = zeros[::-1]
    functions = (torch.zeros_like, lambda maps: 0 * maps.numpy()[..., ::-1])
    for override in ("zero", "zero:shared", zeros, flipped, 0.0, [[0]], torch.zeros(1), *functions):
        changed = agent.attend(obs, override)
        assert not changed.map.any()
        assert not torch.equal(changed.value, own.value)
    assert torch.allclose(agent.attend(obs, "inverted").map, 1 - own.map, atol=5e-3)  # in bf16


def test_frozen_holds_the_map_of_the_start(agent: Agent) -> None:
    env = agent.make_env(1)
    obs = env.reset()
    first = agent.attend(obs, "frozen", episode_start=True).map
    later = env.step(np.zeros(1, int))[0]
    later = np.roll(later, 40, axis=2)
    assert not torch.equal(agent.attend(later).map, first)
    assert torch.equal(agent.attend(later, "frozen").map, first)
    agent.reset()
    assert not torch.equal(agent.attend(later, "frozen").map, first)


def test_memory_is_carried_by_act_and_only_read_by_attend(remembering: Run) -> None:
    agent = Agent(remembering, device="cpu")
    obs = agent.make_env(2).reset()
    fresh = agent.attend(obs).value
    agent.act(obs)
    after = agent.attend(obs).value
    assert torch.equal(agent.attend(obs).value, after)
    assert not torch.equal(after, fresh)
    half = agent.attend(obs, episode_start=np.array([True, False])).value
    torch.testing.assert_close(half[0], fresh[0])
    torch.testing.assert_close(half[1], after[1])
    agent.reset()
    assert torch.equal(agent.attend(obs).value, fresh)


def test_outputs_are_plain_tensors(agent: Agent) -> None:
    output = agent.attend(agent.make_env(1).reset())
    fields = [field for field in output if field is not None]
    assert all(field.device.type == "cpu" and not field.requires_grad for field in fields)
    assert np.asarray(output.map).shape == (1, 1, 9, 9)


@pytest.mark.parametrize(("forget_at", "lost_lives"), [("game", False), ("life", True)])
def test_games_tell_an_agent_when_to_forget(
    agent: Agent, monkeypatch: pytest.MonkeyPatch, forget_at: str, lost_lives: bool
) -> None:
    asked = []

    def make(*arguments: Any, life_loss_terminal: bool, **more: Any) -> AleVecEnv:
        asked.append(life_loss_terminal)
        return AleVecEnv(*arguments, life_loss_terminal=life_loss_terminal, **more)

    monkeypatch.setattr("rl_abn.rl.envs.make.AleVecEnv", make)
    monkeypatch.setattr(
        agent.policy, "settings", replace(agent.policy.settings, forget_at=forget_at)
    )
    agent.make_env()
    agent.make_env(life_loss_terminal=not lost_lives)
    assert asked == [lost_lives, not lost_lives]


def test_games_of_another_protocol_keep_the_agents_actions(agent: Agent) -> None:
    assert agent.make_env(protocol="machado2018").action_space.n == len(agent.action_names)


def test_it_records_a_game(agent: Agent, tmp_path: Path) -> None:
    video = agent.watch(tmp_path / "game.mp4", max_steps=3)
    assert (video.path, video.n_frames) == (tmp_path / "game.mp4", 3)
    assert video.path.stat().st_size > 0


def test_an_evaluation_is_shown_by_a_line_a_player(agent: Agent) -> None:
    shown = repr(agent.evaluate(episodes=2, interventions="zero", max_steps=3)).splitlines()
    assert shown[0].startswith("Pong, ")
    assert shown[0].endswith(
        "at step 32: raw scores of 2 games each, cut off after 3 steps, [95% interval]"
    )
    assert shown[1:] == [
        "  a2c_abn: mean 0.0 [0.0, 0.0], IQM 0.0 [0.0, 0.0]",
        "  zero: mean 0.0 [0.0, 0.0], IQM 0.0 [0.0, 0.0], difference +0.0 [+0.0, +0.0]",
    ]


@pytest.mark.more
def test_its_scores_are_those_of_the_command(agent: Agent, run: Run) -> None:
    specs = read_interventions(["zero"], "a2c_abn", run.recipe.agent)
    expected = evaluate_run(run, n_games=2, interventions=specs, seed=3, device="cpu")
    got = agent.evaluate(episodes=2, seed=3, interventions="zero")
    assert got.as_json() == expected.as_json()


def test_a_game_ends_whole(agent: Agent) -> None:
    env = agent.make_env(1, seed=5)
    obs, done, start = env.reset(), np.array([False]), True
    while not done[0]:
        obs, _, done, infos = env.step(agent.act(obs, episode_start=start))
        start = False
    assert "episode" in infos[0]


def test_a_model_answers_as_its_evaluation(model: Model) -> None:
    assert (model.step, len(model.output_names), model.map_names) == (1, 3, ("shared",))
    images = np.random.default_rng(0).integers(0, 256, (40, 12, 12, 3), dtype=np.uint8)
    outputs = model.predict(images)
    assert outputs.shape == (40, 3)
    np.testing.assert_allclose(model.predict(images[7]), outputs[7:8], rtol=1e-4, atol=1e-5)
    own = model.attend(images)
    for override in (
        "zero",
        0,
        np.zeros(own.map.shape[2:]),
        np.zeros(own.map.shape[1:])[:, ::-1],
        torch.zeros_like,
        lambda maps: 0 * maps.numpy()[..., ::-1],
        torch.zeros_like(own.map),
    ):
        assert not model.attend(images, override).map.any()
    run = Run.open(model.run.path, VisionRunRecipe)
    expected = evaluate_vision(run, interventions=["zero"], device="cpu")
    scores = model.evaluate(interventions="zero")
    assert scores.as_json() == expected.as_json()
    assert [line.split(":")[0].strip() for line in repr(scores).splitlines()[1:]] == [
        row.name for row in scores.rows
    ]
    assert repr(model).startswith("Model(resnet20_abn on cifar10, epoch 1, 1 maps, 3 outputs")


def test_mistakes_are_one_line(
    agent: Agent, model: Model, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "got 'nowhere' (no such folder)" in complaint(lambda: rl_abn.load("nowhere"))
    Run.create(tmp_path / "new", run.recipe, "cpu")
    assert "expected a checkpoint, got none yet" in complaint(lambda: rl_abn.load("new"))
    assert "the nearest is 32" in complaint(lambda: rl_abn.load(run.path, step=5))
    wrong = np.zeros((2, 84, 84), np.uint8)
    expected = "expected observations uint8 [4, 84, 84] or [n, 4, 84, 84], got"
    assert complaint(lambda: agent.act(wrong)) == f"{expected} uint8 [2, 84, 84]"
    shares = np.zeros((1, 4, 84, 84))  # divided by 255 already
    assert complaint(lambda: agent.attend(shares)) == f"{expected} float64 [1, 4, 84, 84]"
    obs = np.zeros((2, 4, 84, 84), np.uint8)
    assert "episode_start [2], got [3]" in complaint(lambda: agent.act(obs, False, np.ones(3)))
    assert "got (5, 5)" in complaint(lambda: agent.attend(obs, np.zeros((5, 5))))
    assert "got object" in complaint(lambda: agent.attend(obs, object()))
    assert "got str" in complaint(lambda: agent.attend(obs, lambda maps: "dark"))
    assert "did you mean 'zero'?" in complaint(lambda: agent.attend(obs, "zeros"))
    assert "which is 8" in complaint(lambda: agent.attend(obs, "all"))
    assert "1 episode or more" in complaint(lambda: agent.evaluate(episodes=0))
    assert "1 game or more" in complaint(lambda: agent.make_env(0))
    assert "got 'mask_a3c' with float32 [1, 80, 80]" in complaint(
        lambda: agent.make_env(protocol="mask_a3c")
    )
    assert "got 'new'" in complaint(lambda: agent.make_env(protocol="new"))
    message = complaint(lambda: model.predict(np.zeros((1, 3, 12, 12), np.uint8)))
    assert message == "expected images uint8 [N, 12, 12, 3], got uint8 [1, 3, 12, 12]"
    pictures = np.zeros((2, 12, 12, 3), np.uint8)
    assert "broadcasts" in complaint(lambda: model.attend(pictures, np.zeros((5, 5))))
    assert "got object" in complaint(lambda: model.attend(pictures, object()))
    assert "broadcasts" in complaint(lambda: model.attend(pictures, np.zeros((3, 1, 3, 3))))


def test_shipped_agents_are_found_by_name(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped, "AGENTS", tmp_path)
    assert rl_abn.list_agents() == []
    (tmp_path / "pong").mkdir()
    (tmp_path / "pong" / "a2c_abn").symlink_to(run.path)
    assert rl_abn.list_agents() == ["pong/a2c_abn"]
    assert rl_abn.load("pong/a2c_abn", device="cpu").step == 32
    assert "did you mean 'pong/a2c_abn'?" in complaint(lambda: rl_abn.load("pong/a2c_ab"))
    monkeypatch.chdir(tmp_path)
    Run.create(Path("runs/pong/ppo/seed-0"), run.recipe, "cpu")
    nearest = complaint(lambda: rl_abn.load("runs/pong/ppo/seed-1"))
    assert "did you mean 'runs/pong/ppo/seed-0'?" in nearest


@pytest.mark.more
def test_what_an_agent_that_ships_leaves_goes_to_its_copy(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ships = tmp_path / "agents" / "pong" / "a2c_abn"
    shutil.copytree(run.path, ships)
    monkeypatch.setattr(shipped, "AGENTS", tmp_path / "agents")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    before = sorted(ships.rglob("*"))
    agent = rl_abn.load("pong/a2c_abn", device="cpu")
    result = agent.evaluate(episodes=1, max_steps=3, record=1)
    (game,) = agent.record(max_steps=3)
    left = [result.save(agent.run), result.recorded[0].path, game.path]
    left.append(agent.watch(max_steps=3).path)
    assert sorted(ships.rglob("*")) == before
    copy = Path("runs", "pong", "a2c_abn", "shipped")
    for path, folder in zip(left, ("evaluations", "episodes", "episodes", "videos"), strict=True):
        assert path.exists()
        assert path.parent == copy / folder


def test_a_run_made_in_python_names_the_command_that_makes_the_same(run: Run) -> None:
    name, *words = shlex.split(read_json(run.path / META)["command"])
    assert (name, words[0]) == ("rl-abn", "train")
    arguments = make_parser(words).parse_args(words)
    assert (arguments.env, arguments.agent, arguments.seed) == ("pong", "a2c_abn", 0)
    assert tuple(arguments.settings) == SETTINGS


def test_an_agent_without_maps_has_none_to_replace(tmp_path: Path) -> None:
    agent = Agent(trained(tmp_path / "run", "a2c_cnn"), device="cpu")
    obs = agent.make_env().reset()
    assert agent.attend(obs).map.shape[1] == 0
    for override in (np.zeros((9, 9)), torch.zeros_like, "zero"):
        assert "'a2c_cnn', which has none" in complaint(lambda o=override: agent.attend(obs, o))
