"""Agents of Gymnasium environments: trained, resumed, evaluated, watched and exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rl_abn.recipes import RunRecipe
from rl_abn.render import read_video
from rl_abn.rl.agent import Agent
from rl_abn.rl.algorithms.ppo import AttentionPPO
from rl_abn.rl.evaluation.run_evaluation import evaluate_run
from rl_abn.rl.evaluation.watch import watch_game, watch_training
from rl_abn.rl.interchange.sb3_export import export_sb3
from rl_abn.rl.training.probes import ProbeLog
from rl_abn.rl.training.train import prepare_run, train
from rl_abn.runs import WEIGHTS, Run, load_tensors
from tests.complaints import complaint
from tests.covering import more
from tests.rl.envs.catch_games import ID

SMALL = [
    "algorithm.n_envs=2",
    "algorithm.n_steps=16",
    "algorithm.batch_size=16",
    "preprocessing.screen_size=40",
    "train.n_probes=2",
    "train.log_every=32",
    "train.checkpoint_every=32",
]


def trained(folder: Path, *settings: str, steps: int = 64, resume: bool = False) -> Run[RunRecipe]:
    run, goes_on = prepare_run(
        env=ID,
        agent="ppo_abn_paper",
        seed=0,
        settings=[*SMALL, *settings, f"train.steps={steps}"],
        folder=folder,
        on_exists="resume" if resume else None,
    )
    assert goes_on == resume
    assert train(run, resume=resume).step == steps
    return run


def weights(run: Run[RunRecipe]) -> dict[str, torch.Tensor]:
    return load_tensors(run.checkpoint().path / WEIGHTS)


@pytest.mark.parametrize("shown", ["rgb", *more("minatar", "halves")])
def test_it_is_trained_evaluated_and_watched(shown: str, tmp_path: Path) -> None:
    run = trained(tmp_path / "run", f"options.shown={shown}")
    assert run.recipe.agent.train.env_parts == 1
    assert len(ProbeLog.open(run).probes.frames) == 2
    result = evaluate_run(run, n_games=3, with_random=True)
    for evaluation in result.evaluations:
        assert (evaluation.protocol, evaluation.n_actions) == ("gymnasium", 3)
        assert evaluation.human_normalised is None
        for game in evaluation.games:
            assert game.length == 12  # three patches, four steps each
            assert game.score in (-3, -1, 1, 3)
    video = watch_game(run)
    assert (video.n_frames, video.seconds) == (12, pytest.approx(1.2))
    assert video.score in (-3, -1, 1, 3)
    assert read_video(video.path)[2] == pytest.approx(10)
    assert watch_training(run).n_frames > 0


@pytest.mark.more
def test_a_resumed_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    # Constant, as a schedule over fewer steps would be another.
    settings = ["train.n_probes=0", "algorithm.learning_rate=0.001", "algorithm.clip_range=0.1"]
    whole = trained(tmp_path / "whole", *settings)
    trained(tmp_path / "half", *settings, steps=32)
    half = trained(tmp_path / "half", *settings, resume=True)
    first, second = weights(whole), weights(half)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.full
def test_processes_of_their_own_give_the_same_weights(tmp_path: Path) -> None:
    runs = [
        trained(tmp_path / name, f"processes={name}", "train.n_probes=0")
        for name in ("sync", "async")
    ]
    first, second = map(weights, runs)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_it_is_loaded_and_exported(tmp_path: Path) -> None:
    run = trained(tmp_path / "run")
    agent = Agent(Run.open(run.path))
    assert agent.action_names == ("LEFT", "STAY", "RIGHT")
    env = agent.make_env(2)
    observations = env.reset()
    assert agent.act(observations).shape == (2,)
    export_sb3(run, tmp_path / "catch.zip")
    loaded = AttentionPPO.load(tmp_path / "catch.zip", device="cpu")
    expected = agent.policy.predict(observations, deterministic=True)[0]
    assert np.array_equal(loaded.predict(observations, deterministic=True)[0], expected)


def test_it_has_one_way_to_be_played(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", "train.n_probes=0", steps=32)
    assert complaint(lambda: evaluate_run(run, n_games=1, protocol="machado2018")) == (
        "expected a protocol of the game's recipe (gymnasium), got 'machado2018'"
    )
