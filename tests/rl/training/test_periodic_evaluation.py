import signal

import numpy as np
import pytest
import torch

import rl_abn
from rl_abn.errors import RlAbnError
from rl_abn.rl.evaluation.run_evaluation import evaluate_run
from rl_abn.rl.evaluation.watch import watch_game
from rl_abn.rl.interchange.sb3_export import export_sb3
from rl_abn.rl.training import periodic_evaluation
from rl_abn.rl.training.build import load_policy
from rl_abn.rl.training.metrics import read_metrics
from rl_abn.rl.training.train import prepare_run, train
from rl_abn.runs import METRICS, WEIGHTS, load_tensors, read_json
from rl_abn.stop_signal import StopSignal

SETTINGS = [
    "algorithm.n_envs=2",
    "algorithm.n_steps=16",
    "algorithm.batch_size=16",
    "algorithm.n_epochs=1",
    "protocol.legacy.max_frames=60",
    "train.n_probes=0",
    "train.log_every=32",
    "train.checkpoint_every=32",
    "train.steps=96",
    "train.eval_games=3",
]


def start(folder, *settings, **kwargs):
    return prepare_run(
        env="space_invaders",
        agent="ppo_abn_paper",
        seed=0,
        settings=[*SETTINGS, *settings],
        folder=folder,
        **kwargs,
    )[0]


def evaluations(run):
    return {
        row["step"]: row["eval/mean_score"]
        for row in read_metrics(run.path / METRICS)
        if "eval/mean_score" in row
    }


def weights(run, step=None):
    return load_tensors(run.checkpoint(step).path / WEIGHTS)


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.fixture
def scores(monkeypatch):
    """Lets evaluations end with these mean scores, after games that are really played."""
    wanted = []
    play = periodic_evaluation.play_games

    def play_for(*args):
        games = play(*args)
        score = wanted.pop(0)
        return [game._replace(score=score) for game in games]

    monkeypatch.setattr(periodic_evaluation, "play_games", play_for)
    return wanted


@pytest.mark.more
@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=pytest.mark.full)])
def test_evaluations_are_logged_and_change_no_byte_of_the_training(tmp_path, precision):
    precision = f"train.precision={precision}"
    plain, evaluated = (
        start(tmp_path / name, precision, f"train.eval_every={every}")
        for name, every in (("plain", 0), ("evaluated", 32))
    )
    for run in (plain, evaluated):
        train(run, resume=False)
    assert same(weights(plain), weights(evaluated))
    assert evaluations(plain) == {}
    assert list(evaluations(evaluated)) == [32, 64, 96]
    # Lines of their own: what a training logs is the same with and without.
    rows = [
        [r for r in read_metrics(run.path / METRICS) if "eval/mean_score" not in r]
        for run in (plain, evaluated)
    ]
    timeless = [[{k: v for k, v in r.items() if k.startswith("train/")} for r in x] for x in rows]
    assert timeless[0] == timeless[1]
    assert [r["step"] for r in rows[0]] == [r["step"] for r in rows[1]]


@pytest.mark.more
def test_the_best_is_kept_evaluated_watched_loaded_and_exported(tmp_path, scores):
    scores += [3.0, 7.0, 7.0]
    run = start(tmp_path / "run", "train.eval_every=32", "train.keep=1")
    train(run, resume=False)
    assert [c.step for c in run.checkpoints] == [96]
    best = run.checkpoint("best")
    assert best.step == 64  # the first of two that are equally good
    assert read_json(best.path / "evaluation.json")["mean_score"] == 7.0
    assert [p.name for p in best.path.parent.glob("*best*")] == ["best-000000000064"]
    everything = start(tmp_path / "all")
    train(everything, resume=False)
    assert same(weights(run, "best"), weights(everything, 64))
    rows = [r for r in read_metrics(run.path / METRICS) if "eval/best_score" in r]
    assert [r["eval/best_score"] for r in rows] == [3.0, 7.0, 7.0]
    assert evaluate_run(run, n_games=1, step="best").step == 64
    assert "step-64" in watch_game(run, step="best", max_steps=2).path.name
    assert rl_abn.load(run.path, step="best").step == 64
    assert export_sb3(run, tmp_path / "best.zip", "best").step == 64


@pytest.mark.more
def test_the_score_is_that_of_games_of_its_own(tmp_path):
    run = start(tmp_path / "run", "train.eval_every=32", "train.steps=32")
    train(run, resume=False)
    (score,) = evaluations(run).values()
    recipe = run.recipe
    policy = load_policy(run, run.checkpoint(), torch.device("cpu"))
    callback = periodic_evaluation.EvaluationCallback(run, None, StopSignal())
    player = periodic_evaluation.AgentPlayer("agent", policy, greedy=False, seed=callback.seed)
    seeds = periodic_evaluation.derive_seeds(callback.seed, count=3)
    callback.env.seed_games(seeds)
    games = periodic_evaluation.play_games(player, callback.env, 3)
    assert score == np.mean([game.score for game in games])
    assert not set(seeds) & set(periodic_evaluation.derive_seeds(recipe.seed, 3, count=3))


@pytest.mark.more
def test_a_resumed_run_evaluates_what_a_signal_kept_it_from(tmp_path, monkeypatch):
    whole = start(tmp_path / "whole", "train.eval_every=32", "train.steps=64")
    train(whole, resume=False)
    cut = start(tmp_path / "cut", "train.eval_every=32", "train.steps=64")
    play = periodic_evaluation.play_games

    def interrupted(player, *args):
        signal.raise_signal(signal.SIGINT)
        return play(player, *args)

    with monkeypatch.context() as patch:
        patch.setattr(periodic_evaluation, "play_games", interrupted)
        assert train(cut, resume=False).step == 32
    assert evaluations(cut) == {}
    with pytest.raises(RlAbnError, match=r"expected a best checkpoint, got none.*--checkpoint 32"):
        cut.checkpoint("best")
    again = start(tmp_path / "cut", "train.eval_every=32", "train.steps=64", on_exists="resume")
    train(again, resume=True)
    # Games restart at a stop, so later weights are others than without one.
    assert list(evaluations(again)) == list(evaluations(whole))
    assert evaluations(again)[32] == evaluations(whole)[32]
