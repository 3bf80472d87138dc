"""A run that begins with another agent's weights: which, what it says of it, that it resumes."""

import os
import shutil
import signal

import pytest
import torch

from rl_abn.recipes import make_run_recipe
from rl_abn.rl.evaluation.card import card_of
from rl_abn.rl.interchange.sb3_export import export_sb3
from rl_abn.rl.training import callbacks
from rl_abn.rl.training.build import make_policy
from rl_abn.rl.training.train import train
from rl_abn.runs import META, RECIPE, Run, read_json
from rl_abn.runs.origin import begun_with, origin_lines, was_taught
from rl_abn.runs.tensors import hash_of
from tests.complaints import complaint
from tests.rl.training.test_teacher import QUIET, saved, taught
from tests.rl.training.test_train import Kill, KilledError, same, start, weights


def begun(folder, first, *settings, agent="ppo_cnn", **kwargs):
    settings = [f"init.path='{first}'", *QUIET, *settings]
    return start(folder, agent, settings=settings, **kwargs)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("init") / "first")


def record_of(first, path):
    """What a run that begins with `first` writes down of it."""
    return {
        "path": str(path),
        "kind": "run",
        "agent": "ppo_cnn",
        "env": "space_invaders",
        "protocol": "legacy",
        "steps": 640,
        "sha256": hash_of(weights(first)),
    }


def test_it_begins_with_the_weights_and_says_so(first, tmp_path):
    run, _ = begun(tmp_path / "run", first.path, steps=64)
    assert train(run, resume=False).step == 64
    assert [point.step for point in run.checkpoints] == [0, 32, 64]
    assert same(weights(run, 0), weights(first))
    assert not same(weights(run), weights(first))
    record = read_json(run.path / META)["init"]
    assert record == record_of(first, first.path)
    said = f"begun with ppo_cnn on space_invaders (640 steps), sha256 {record['sha256'][:12]}, "
    assert origin_lines(run) == [said + str(first.path)]
    card = card_of(run, 64)
    assert "64 more agent steps (four frames each), learnt from reward alone." in card
    assert f"| weights | {said}" in card


class _KillBeforeTheFirstCheckpoint(Kill):
    def _on_step(self):
        raise KilledError


@pytest.mark.more
@pytest.mark.parametrize("kill", [Kill, _KillBeforeTheFirstCheckpoint])
def test_it_resumes_exactly_and_without_the_agent_it_began_with(kill, first, tmp_path):
    original = shutil.copytree(first.path, tmp_path / "original")
    whole, _ = begun(tmp_path / "whole", original)
    train(whole, resume=False)
    cut, _ = begun(tmp_path / "cut", original)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rl_abn.rl.training.train.StopCallback", lambda stop: kill())
        with pytest.raises(KilledError):
            train(cut, resume=False)
    shutil.rmtree(original)
    again, resume = start(tmp_path / "cut", "ppo_cnn", settings=QUIET, on_exists="resume")
    assert train(again, resume=resume).step == 96
    assert same(weights(whole), weights(again))


def test_stopped_before_its_first_update_it_leaves_the_run_it_replaces(
    first, tmp_path, monkeypatch
):
    def end(self):
        os.kill(os.getpid(), signal.SIGINT)
        return True

    old = Run.open(shutil.copytree(first.path, tmp_path / "old"))
    old.update_meta(status="finished")
    before = {path: path.read_bytes() for path in old.path.rglob("*") if path.is_file()}
    run, _ = begun(old.path, first.path, on_exists="overwrite")
    monkeypatch.setattr(callbacks.CheckpointCallback, "_on_step", end)
    assert not train(run, resume=False).saved
    assert {path: path.read_bytes() for path in old.path.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.more
def test_what_the_other_agent_came_from_is_told_too(first, tmp_path):
    pupil, _ = taught(tmp_path / "pupil", first.path, agent="ppo_cnn", steps=32)
    train(pupil, resume=False)
    second, _ = begun(tmp_path / "second", pupil.path, steps=32)
    train(second, resume=False)
    third, _ = begun(tmp_path / "third", second.path, steps=32)
    train(third, resume=False)
    (said,) = origin_lines(third)
    order = ["begun with ppo_cnn", "itself begun with ppo_cnn", "itself taught by ppo_cnn"]
    assert sorted(order, key=said.index) == order
    assert "learnt from a teacher" in card_of(third, 32)
    # A damaged record of the past is passed over.
    record = read_json(third.path / META)["init"]
    assert was_taught(record)
    for damaged in ({"path": 1}, "text", [1], None):
        assert "taught" not in begun_with({**record, "init": damaged})
        assert not was_taught({**record, "init": damaged, "taught_by": damaged})


@pytest.mark.more
def test_a_zip_and_agents_with_other_rewards_are_taken(first, tmp_path):
    sign = "algorithm.clip_reward=sign"
    signs, _ = begun(tmp_path / "signs", first.path, sign, steps=32)
    train(signs, resume=False)
    export_sb3(signs, tmp_path / "signs.zip")
    scaled, _ = begun(
        tmp_path / "scaled", tmp_path / "signs.zip", "algorithm.clip_reward=return_std", steps=32
    )
    train(scaled, resume=False)
    began = weights(scaled, 0)
    moments = began.pop("reward_moments")
    assert same(began, weights(signs))
    assert torch.equal(moments, torch.zeros(3, dtype=torch.float64))
    export_sb3(scaled, tmp_path / "scaled.zip")  # whose recipe's own rewards are signs
    pupil = taught(tmp_path / "pupil", tmp_path / "scaled.zip", "teacher.agent=ppo_cnn_zoo")[0]
    assert "reward_moments" in weights(Run.open(pupil.path / "teacher"))
    plain, _ = begun(tmp_path / "plain", scaled.path, sign, steps=32)
    train(plain, resume=False)
    kept = weights(scaled)
    del kept["reward_moments"]
    assert same(weights(plain, 0), kept)


def test_who_cannot_be_begun_with(first, tmp_path):
    def refused(path, *settings, **kwargs):
        folder = tmp_path / "run"
        said = complaint(lambda: begun(folder, path, *settings, **kwargs), longest=900)
        assert not folder.exists()
        return said

    said = refused(first.path, agent="ppo_abn")
    assert said.startswith("expected an agent with ppo_abn's network to begin with, got ppo_cnn's")
    assert said.endswith("--teacher learns from agents of any network")
    said = refused(first.path, env="pong")
    assert said.startswith(
        "expected an agent to begin with that plays Pong, got one of Space Invaders ("
    )
    said = refused(first.path, "train.protocol=machado2018")
    assert said.startswith("expected an agent to begin with that has the run's 18 actions")
    assert "expected a run folder, got 'nowhere'" in refused("nowhere")
    said = complaint(lambda: start(tmp_path / "run", settings=["init.checkpoint=best"]))
    assert said == "expected an agent to begin with (--init RUN|ZIP, or init.path), got none"


@pytest.mark.more
def test_other_weights_than_those_it_began_with_are_refused(first, tmp_path):
    original = shutil.copytree(first.path, tmp_path / "original")
    run, _ = begun(tmp_path / "run", original, steps=32)
    run.update_meta(init={**record_of(first, original), "sha256": "0" * 64})
    said = complaint(lambda: train(run, resume=False))
    assert "expected the agent that the run began with, sha256 000" in said


def test_recipes_of_runs_that_begin_with_random_weights_do_not_speak_of_it(tmp_path):
    run, _ = start(tmp_path / "run")
    assert "[agent.init]" not in (run.path / RECIPE).read_text()
    assert origin_lines(run) == []
    recipe = make_run_recipe("pong", "ppo_cnn", 0, ["init.path=x", "init.checkpoint=7"])
    assert (recipe.agent.init.path, recipe.agent.init.checkpoint) == ("x", 7)
    assert isinstance(make_policy(recipe), torch.nn.Module)
    assert Run.open(run.path).recipe.agent.init is None
