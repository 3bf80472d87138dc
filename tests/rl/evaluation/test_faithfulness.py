"""How faithful a student is: in closed form, and on games that both see in their own way."""

import numpy as np
import pytest
import torch

from rl_abn.recipes import make_run_recipe
from rl_abn.rl.evaluation.faithfulness import WatchedPlayer
from rl_abn.rl.evaluation.players import AgentPlayer
from rl_abn.rl.evaluation.run_evaluation import evaluate_run
from rl_abn.rl.policies.distributions import divergence
from rl_abn.rl.training.build import make_policy
from rl_abn.rl.training.teacher import FOLDER, find_teacher, keep_teacher
from rl_abn.runs import Run
from tests.rl.training.test_teacher import saved, taught

SHORT = {"n_games": 2, "max_steps": 12, "seed": 3, "device": "cpu"}


def teacher_of(run, student):
    recipe = student.recipe
    table = make_run_recipe(
        "pong", "ppo_abn_paper", 0, [f"teacher.path='{run.path}'"]
    ).agent.teacher
    return find_teacher(table, recipe)


def test_the_divergence_is_of_the_teacher_from_the_student():
    logits = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))
    teacher, student = (torch.distributions.Categorical(logits=each) for each in logits)
    expected = torch.distributions.kl_divergence(teacher, student)
    torch.testing.assert_close(divergence(*logits).float(), expected)


@pytest.mark.parametrize("teacher_plays", [False, True])
def test_a_watcher_is_asked_at_every_step(teacher_plays):
    recipe = make_run_recipe("pong", "ppo_cnn", 0)
    policies = [make_policy(recipe) for _ in range(2)]
    for policy in policies:
        policy.set_training_mode(False)
        torch.nn.init.normal_(policy.action_net.weight)
    player, watcher = (AgentPlayer("x", policy, greedy=True, seed=0) for policy in policies)
    watched = WatchedPlayer(player, watcher, teacher_plays=teacher_plays)
    screens = np.random.default_rng(0).integers(0, 256, (3, 2, 4, 84, 84)).astype(np.uint8)
    expected, agrees = [], []
    for t, screen in enumerate(screens):
        actions, _ = watched.act(screen, np.full(2, t == 0))
        with torch.no_grad():
            own, other = (p.attend(torch.from_numpy(screen))[0].action_logits for p in policies)
        assert np.array_equal(actions, own.argmax(dim=1))
        expected.append(divergence(*((own, other) if teacher_plays else (other, own))))
        agrees.append((own.argmax(dim=1) == other.argmax(dim=1)).float())
    found = watched.faithfulness()
    assert found.steps == 6
    assert found.kl.value == pytest.approx(float(torch.stack(expected).mean()), rel=1e-5)
    assert found.agreement.value == pytest.approx(float(torch.stack(agrees).mean()))


@pytest.mark.more
@pytest.mark.parametrize("agent", ["ppo_cnn", "a2c_mask_a3c"])
def test_an_agent_is_faithful_to_itself(agent, tmp_path):
    run = saved(tmp_path / agent, agent)
    result = evaluate_run(run, teacher=teacher_of(run, run), **SHORT)
    intact, theirs = result.evaluations
    assert theirs.is_teacher
    assert result.random is None
    assert theirs.games == intact.games
    for found in result.faithfulness.values():
        assert found.kl.value == pytest.approx(0, abs=1e-9)
        assert found.agreement.value == 1.0
        assert found.steps == 24


@pytest.mark.more
def test_a_teacher_plays_as_it_does_alone_whatever_its_student_sees(tmp_path):
    """With a view of its own: its games under the student's rules are those of an `eval` of it."""
    student = saved(tmp_path / "student", "ppo_abn_paper")
    run = saved(tmp_path / "teacher", "a2c_mask_a3c")
    teacher = teacher_of(run, student)
    assert teacher.view is not None
    with_teacher = evaluate_run(student, teacher=teacher, **SHORT)
    assert with_teacher.evaluations[0].games == evaluate_run(student, **SHORT).intact.games
    alone = evaluate_run(run, **SHORT).intact
    assert with_teacher.evaluations[1].games == alone.games
    assert with_teacher.faithfulness["student_games"].kl.value > 0
    assert with_teacher.faithfulness["teacher_games"].kl.value > 0


@pytest.mark.more
def test_who_taught_an_agent_stands_in_every_evaluation_and_file(tmp_path):
    teacher = saved(tmp_path / "teacher")
    run, _ = taught(tmp_path / "run", teacher.path)
    policy = make_policy(run.recipe)
    run.save_checkpoint(32, policy.state_dict(), {}, {"num_timesteps": 32})
    plain = evaluate_run(run, **SHORT).as_json()
    assert plain["taught_by"]["agent"] == "ppo_cnn"
    assert plain["teacher"] is None
    assert plain["faithfulness"] == {}
    result = evaluate_run(run, teacher=find_teacher(run.recipe.agent.teacher, run.recipe), **SHORT)
    data = result.as_json()
    assert data["teacher"] == data["taught_by"]
    assert set(data["faithfulness"]) == {"student_games", "teacher_games"}
    assert set(data["faithfulness"]["teacher_games"]) == {"kl", "agreement", "steps"}
    assert data["teacher"]["sha256"][:8] in result.save(run).name
    assert evaluate_run(Run.open(run.path / FOLDER), **SHORT).as_json()["taught_by"] is not None


def test_keeping_a_teacher_twice_keeps_one(tmp_path):
    teacher = saved(tmp_path / "teacher")
    run, _ = taught(tmp_path / "run", teacher.path)
    keep_teacher(run, teacher_of(teacher, run))
    assert len(Run.open(run.path / FOLDER).checkpoints) == 1
