"""A run that is taught: whom it may learn from, what it keeps, and that it resumes exactly."""

import io
import shutil

import numpy as np
import pytest
import torch

from rl_abn.recipes import make_run_recipe, recipe_path
from rl_abn.rl.envs.env_parts import PartitionedVecEnv
from rl_abn.rl.envs.two_view_vec_env import TwoViewVecEnv
from rl_abn.rl.evaluation.players import AgentPlayer
from rl_abn.rl.interchange.mask_a3c import to_published
from rl_abn.rl.interchange.sb3_export import export_sb3
from rl_abn.rl.training.build import load_policy, make_model, make_policy, make_training_env
from rl_abn.rl.training.metrics import read_metrics
from rl_abn.rl.training.teacher import find_teacher, kept_teacher, own_teacher
from rl_abn.rl.training.train import train
from rl_abn.runs import META, METRICS, RECIPE, Run, read_json
from rl_abn.runs.tensors import hash_of
from tests.complaints import complaint
from tests.rl.training.test_train import Kill, KilledError, same, start, weights

CPU = torch.device("cpu")
QUIET = ["train.n_probes=0", "train.reliance_every=0"]


def saved(folder, agent="ppo_cnn", env="space_invaders", *settings):
    """A run with an untrained agent whose policy is far from even."""
    recipe = make_run_recipe(env, agent, 3, settings)
    torch.manual_seed(3)
    policy = make_policy(recipe)
    torch.nn.init.normal_(policy.action_net.weight, std=0.3)
    run = Run.create(folder, recipe, "cpu")
    run.save_checkpoint(640, policy.state_dict(), {}, {"num_timesteps": 640})
    return run


def taught(folder, teacher, *settings, **kwargs):
    settings = [f"teacher.path='{teacher}'", *QUIET, *settings]
    return start(folder, settings=settings, **kwargs)


@pytest.fixture(scope="module")
def teachers(tmp_path_factory):
    """By agent: one that sees what its student does, and one with memory and another view."""
    folder = tmp_path_factory.mktemp("teachers")
    return {agent: saved(folder / agent, agent) for agent in ("ppo_cnn", "a2c_mask_a3c")}


@pytest.mark.more
@pytest.mark.parametrize(
    ("agent", "teacher", "parts"),
    [
        pytest.param("ppo_abn_paper", "ppo_cnn", 1, marks=pytest.mark.full),
        ("a2c_abn", "a2c_mask_a3c", 2),
        pytest.param("ppo_abn_paper", "a2c_mask_a3c", 1, marks=pytest.mark.full),
        pytest.param("ppo_abn_paper", "ppo_cnn", 2, marks=pytest.mark.full),
        pytest.param("ppo_mask_convlstm", "a2c_mask_a3c", 2, marks=pytest.mark.full),
        pytest.param("a2c_mask_a3c", "ppo_cnn", 2, marks=pytest.mark.full),
    ],
)
def test_a_taught_run_resumes_exactly(agent, teacher, parts, teachers, tmp_path):
    words = (teachers[teacher].path, f"train.env_parts={parts}")
    whole, _ = taught(tmp_path / "whole", *words, agent=agent)
    train(whole, resume=False)
    cut, _ = taught(tmp_path / "cut", *words, agent=agent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rl_abn.rl.training.train.StopCallback", lambda stop: Kill())
        with pytest.raises(KilledError):
            train(cut, resume=False)
    again, resume = taught(tmp_path / "cut", *words, agent=agent, on_exists="resume")
    assert resume
    assert train(again, resume=True).step == 96
    assert same(weights(whole), weights(again))
    (*_, row) = (row for row in read_metrics(again.path / METRICS) if "train/teacher_kl" in row)
    assert row["train/teacher_kl"] > 0.01
    assert 0 <= row["train/teacher_agreement"] <= 1


@pytest.mark.more
@pytest.mark.parametrize(
    "teacher", [pytest.param("ppo_cnn", marks=pytest.mark.full), "a2c_mask_a3c"]
)
def test_the_parts_change_neither_games_nor_lessons(teacher, teachers, tmp_path):
    trained = []
    for parts in (1, 2):
        words = (teachers[teacher].path, f"train.env_parts={parts}", "train.precision=fp32")
        run, _ = taught(tmp_path / str(parts), *words, steps=32)
        train(run, resume=False)
        trained.append(weights(run))
    for name, one in trained[0].items():
        torch.testing.assert_close(one, trained[1][name], atol=1e-5, rtol=1e-4)


@pytest.mark.more
def test_a_teacher_hears_of_games_and_lives_as_when_it_plays(teachers, tmp_path):
    """With memory and a view of its own: what is recorded is what it says by itself."""
    run, _ = taught(
        tmp_path / "run", teachers["a2c_mask_a3c"].path, "protocol.legacy.max_frames=60"
    )
    teacher = kept_teacher(run)
    env = make_training_env(run.recipe, None, teacher.view)
    env.seed(7)
    assert isinstance(env, TwoViewVecEnv)
    model = make_model(run.recipe, env, CPU, None, teacher.policy)
    first = env.reset()
    shown, dones, lost = [env.second_observations], [], []
    step_wait = env.step_wait

    def spied():
        result = step_wait()
        shown.append(env.second_observations)
        dones.append(result[2])
        lost.append(np.array(["lost_life" in info for info in result[3]]))
        return result

    env.step_wait = spied
    model._last_obs = first
    model.restart(first)
    recorded = []
    for _ in range(2):
        model._collector.collect(model.rollout_buffer, lambda *_: True)
        recorded.append(model.rollout_buffer.old.teacher_logits.clone())
    player = AgentPlayer("teacher", teacher.policy, greedy=True, seed=0)
    starts, lives = np.ones(2, bool), np.zeros(2, bool)
    assert np.concatenate(dones).any()
    for t, logits in enumerate(torch.cat(recorded)):
        assert torch.equal(player.attend(shown[t], starts, lives).action_logits, logits), t
        starts, lives = dones[t] & ~lost[t], lost[t]


def test_a_run_says_who_taught_it_and_keeps_the_weights(teachers, tmp_path):
    original = shutil.copytree(teachers["a2c_mask_a3c"].path, tmp_path / "original")
    run, _ = taught(tmp_path / "run", original, steps=32)
    shutil.rmtree(original)
    train(run, resume=False)
    record = read_json(run.path / META)["teacher"]
    assert record == {
        "path": str(original),
        "kind": "run",
        "agent": "a2c_mask_a3c",
        "env": "space_invaders",
        "protocol": "mask_a3c",
        "steps": 640,
        "sha256": hash_of(weights(teachers["a2c_mask_a3c"])),
    }
    kept = Run.open(run.path / "teacher")
    assert same(weights(kept), weights(teachers["a2c_mask_a3c"]))
    assert kept.is_imported
    longer, resume = taught(tmp_path / "run", original, steps=64, on_exists="resume")
    assert train(longer, resume=resume).step == 64
    export_sb3(run, tmp_path / "student.zip")  # without its teacher
    again, _ = start(tmp_path / "run", on_exists="overwrite")
    assert again.recipe.agent.teacher is None
    assert not (again.path / "teacher").exists()


@pytest.mark.more
def test_a_vanished_or_another_teacher_is_one_line(teachers, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # errors name the runs/ of the folder one is in
    original = shutil.copytree(teachers["ppo_cnn"].path, tmp_path / "original")
    run, _ = taught(tmp_path / "run", original)
    shutil.rmtree(run.path / "teacher")
    assert own_teacher(run).record["sha256"] == hash_of(weights(teachers["ppo_cnn"]))
    train(run, resume=False)  # copied again
    assert kept_teacher(run) is not None
    shutil.rmtree(run.path / "teacher")
    shutil.rmtree(original)
    assert own_teacher(run) is None
    said = complaint(lambda: train(run, resume=True))
    assert "expected the teacher's weights, got none; and the original cannot be used" in said
    saved(original, "ppo_cnn", "space_invaders", "algorithm.gamma=0.9")
    policy = make_policy(run.recipe.model_copy(update={"agent": Run.open(original).recipe.agent}))
    Run.open(original).save_checkpoint(640, policy.state_dict(), {}, {"num_timesteps": 640})
    assert own_teacher(run) is None
    said = complaint(lambda: train(run, resume=True))
    assert "expected the teacher that the run was begun with, sha256" in said


def test_who_cannot_teach(teachers, tmp_path):
    def refused(teacher, *settings, env="space_invaders"):
        folder = tmp_path / "run"
        said = complaint(lambda: taught(folder, teacher, *settings, env=env), longest=900)
        assert not folder.exists()
        return said

    path = teachers["ppo_cnn"].path
    assert refused(path, env="pong").startswith(
        "expected a teacher that plays Pong, got one of Space Invaders ("
    )
    said = refused(path, "train.protocol=machado2018")
    assert said.startswith("expected a teacher that has the run's 18 actions, got one of 6 (")
    said = refused(path, "protocol.legacy.frame_skip=2")
    assert said.startswith("expected a teacher with the student's frame_skip = 2, got 4 (")
    said = refused(teachers["a2c_mask_a3c"].path, "protocol.legacy.life_loss_terminal=false")
    assert "ends an episode with a lost life" in said
    assert "expected a run folder, got 'nowhere'" in refused("nowhere")
    (tmp_path / "teacher.zip").write_bytes(b"no zip")
    assert "expected a stable-baselines3 zip" in refused(tmp_path / "teacher.zip")
    said = complaint(lambda: start(tmp_path / "run", settings=["teacher.coef=0.5"]))
    assert said == "expected a teacher (--teacher RUN|ZIP, or teacher.path), got none"


@pytest.mark.more
def test_a_zip_of_stable_baselines3_teaches(teachers, tmp_path):
    run, _ = start(tmp_path / "abn", "ppo_abn_paper", steps=32, settings=QUIET)
    train(run, resume=False)
    export_sb3(run, tmp_path / "abn.zip")
    student = make_run_recipe("space_invaders", "a2c_mask", 0, [])
    table = taught(tmp_path / "student", run.path)[0].recipe.agent.teacher
    table = table.model_copy(update={"path": str(tmp_path / "abn.zip")})
    said = complaint(lambda: find_teacher(table, student))
    assert "expected the agent recipe that it was trained with (--set teacher.agent=NAME)" in said
    found = find_teacher(table.model_copy(update={"agent": "ppo_abn_paper"}), student)
    assert found.record["kind"] == "sb3"
    assert found.record["steps"] == 32
    assert found.record["sha256"] == hash_of(weights(run))
    assert found.view is None


@pytest.mark.more
def test_published_weights_teach(tmp_path):
    recipe = make_run_recipe("space_invaders", "a2c_mask_a3c", 0, [])
    policy = make_policy(recipe)
    content = io.BytesIO()
    torch.save(to_published(policy.state_dict()), content, _use_new_zipfile_serialization=False)
    (tmp_path / "weights.dat").write_bytes(content.getvalue())
    run, _ = taught(tmp_path / "run", tmp_path / "weights.dat", agent="a2c_abn", steps=32)
    assert run.recipe.agent.train.env_parts == 1  # settled: its games are stepped in turn
    teacher = kept_teacher(run)
    assert teacher.record["kind"] == "mask-a3c"
    assert teacher.view is not None
    assert same(teacher.policy.state_dict(), policy.state_dict())
    assert train(run, resume=False).step == 32


def test_games_seen_in_two_ways_come_in_parts_too(teachers, tmp_path):
    run, _ = taught(tmp_path / "run", teachers["a2c_mask_a3c"].path, "train.env_parts=2")
    env = make_training_env(run.recipe, None, kept_teacher(run).view)
    assert isinstance(env, PartitionedVecEnv)
    assert [type(part.env) for part in env.parts] == [TwoViewVecEnv] * 2


@pytest.mark.more
def test_a_teacher_changes_none_of_the_students_random_numbers(teachers, tmp_path):
    """With weight 0 the student ends as without: same games, same actions, same bytes."""
    alone, _ = start(tmp_path / "alone", steps=64, settings=QUIET)
    train(alone, resume=False)
    for name in ("ppo_cnn", "a2c_mask_a3c"):
        run, _ = taught(tmp_path / name, teachers[name].path, "teacher.coef=0", steps=64)
        train(run, resume=False)
        assert same(weights(alone), weights(run)), name


def test_the_fields_of_a_recipe_and_their_overrides(tmp_path):
    recipe = make_run_recipe("pong", "ppo_abn_paper", 0, ["teacher.coef={start=2.0, end=0.5}"])
    assert recipe.agent.teacher.coef.start == 2.0
    own = tmp_path / "own.toml"
    own.write_text(
        recipe_path("agents", "ppo_abn_paper").read_text() + "\n[teacher]\ntemperature = 0.5\n"
    )
    table = make_run_recipe("pong", str(own), 0, ["teacher.path=x", "teacher.target=greedy"])
    table = table.agent.teacher
    assert (table.path, table.temperature, table.target, table.coef) == ("x", 0.5, "greedy", 1.0)

    def refused(setting):
        return complaint(lambda: make_run_recipe("pong", "ppo_abn_paper", 0, [setting]))

    assert refused("teacher.cof=1") == (
        "--set teacher.cof=1: unknown key 'teacher.cof': did you mean 'teacher.coef'?"
    )
    assert "expected 'newest', 'best' or the step" in refused("teacher.checkpoint=old")
    assert "greater than 0" in refused("teacher.temperature=0")


def test_recipes_of_runs_without_a_teacher_do_not_speak_of_one(tmp_path):
    run, _ = start(tmp_path / "run")
    assert "teacher" not in (run.path / RECIPE).read_text()
    assert "teacher" not in read_json(run.path / META)
    assert kept_teacher(run) is None
    assert own_teacher(run) is None


@pytest.mark.more
def test_a_teacher_computes_in_its_own_precision(teachers, tmp_path):
    run, _ = taught(tmp_path / "run", teachers["ppo_cnn"].path, "train.precision=bf16", steps=32)
    train(run, resume=False)
    teacher = kept_teacher(run)
    assert teacher.policy.compute.precision == "fp32"
    expected = load_policy(teachers["ppo_cnn"], teachers["ppo_cnn"].checkpoint(), CPU)
    env = make_training_env(run.recipe)
    env.seed(run.recipe.seed)
    first = torch.as_tensor(env.reset())
    model = make_model(run.recipe, make_training_env(run.recipe), CPU, None, teacher.policy)
    model._setup_learn(32, None)
    model._collector.collect(model.rollout_buffer, lambda *_: True)
    with torch.no_grad():
        logits = expected.attend(first)[0].action_logits
    torch.testing.assert_close(
        model.rollout_buffer.old.teacher_logits[0], logits, atol=1e-5, rtol=0
    )
