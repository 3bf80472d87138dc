"""What "auto" comes to, and that a run keeps what it came to."""

import json

import pytest
import torch

from rl_abn.compute import processor
from rl_abn.errors import RlAbnError
from rl_abn.recipes import make_run_recipe
from rl_abn.rl.envs.ale_vec_env import AleVecEnv
from rl_abn.rl.envs.env_parts import PartitionedVecEnv
from rl_abn.rl.training import auto_settings
from rl_abn.rl.training.auto_settings import resolve_auto, settle_imported
from rl_abn.rl.training.build import make_training_env, policy_settings
from rl_abn.rl.training.distributed import Ranks
from rl_abn.rl.training.train import prepare_run
from rl_abn.runs import RECIPE, Run

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def machine(monkeypatch):
    """Pretends to be on a machine."""

    def pretend(*, bf16=True, cores=2):
        monkeypatch.setattr(processor, "has_native_bf16", lambda device: bf16)
        monkeypatch.setattr(auto_settings, "usable_cores", lambda: cores)

    pretend()
    return pretend


def resolved(agent="ppo_abn_paper", *settings, device=CPU, ranks=None):
    train = resolve_auto(make_run_recipe("pong", agent, 0, settings), device, ranks).agent.train
    return train.precision, train.env_parts


@pytest.mark.parametrize("bf16", [True, False])
@pytest.mark.parametrize(
    "agent", ["ppo_cnn", "a2c_abn", "ppo_hard", "a2c_mask_a3c", "ppo_abn_fast"]
)
def test_the_plain_recipe_is_the_fast_one(machine, agent, bf16):
    machine(bf16=bf16)
    assert resolved(agent) == ("bf16" if bf16 else "fp32", 2)


@pytest.mark.parametrize(
    ("n_envs", "n_parts"), [(8, 2), (16, 2), (64, 2), (9, 1), (15, 1), (4, 1), (1, 1)]
)
def test_many_games_that_split_evenly_come_in_two_parts(machine, n_envs, n_parts):
    assert resolved("a2c_cnn", f"algorithm.n_envs={n_envs}") == ("bf16", n_parts)


def test_one_core_has_nothing_to_overlap_unless_a_gpu_acts(machine):
    machine(cores=1)
    assert resolved()[1] == 1
    assert resolved(device=GPU)[1] == 2


@pytest.mark.parametrize(
    ("count", "local_count", "cores", "n_parts"),
    [(2, 2, 4, 2), (2, 2, 2, 1), (2, 1, 2, 2), (4, 4, 64, 1)],
)
def test_ranks_share_games_and_cores(machine, count, local_count, cores, n_parts):
    machine(cores=cores)
    ranks = Ranks(0, count, 0, local_count)
    assert resolved("a2c_cnn", "algorithm.n_envs=16", ranks=ranks)[1] == n_parts


def test_what_is_asked_for_stays(machine):
    asked = ("train.precision=fp32", "train.env_parts=4")
    assert resolved("ppo_abn_paper", *asked) == ("fp32", 4)


@pytest.mark.parametrize("value", ["0", "9", "1.5", "true", "all", "'2'"])
def test_other_parts_are_refused_in_one_line(value):
    with pytest.raises(RlAbnError) as error:
        make_run_recipe("pong", "ppo_abn_paper", 0, [f"train.env_parts={value}"])
    said = str(error.value)
    assert "train.env_parts: expected 'auto' or a whole number from 1 to 8, got" in said
    assert "\n" not in said


def test_parts_that_do_not_divide_the_games_are_refused():
    with pytest.raises(RlAbnError, match=r"train\.env_parts"):
        make_run_recipe("pong", "ppo_abn_paper", 0, ["train.env_parts=3"])


def test_the_record_says_what_it_came_to(machine, tmp_path):
    run, _ = prepare_run(
        env="pong", agent="ppo_abn_paper", seed=0, folder=tmp_path / "run", device="cpu"
    )
    written = (run.path / RECIPE).read_text()
    assert 'precision = "bf16"' in written
    assert "env_parts = 2" in written
    assert '"auto"' not in written


@pytest.mark.parametrize(
    "settings",
    [(), ("train.precision=auto",), ("train.precision=auto", "train.env_parts=auto")],
)
def test_a_run_goes_on_as_it_began_on_any_machine(machine, settings, tmp_path):
    asked = {"env": "pong", "agent": "ppo_abn_paper", "seed": 0, "folder": tmp_path / "run"}
    begun, _ = prepare_run(**asked, device="cpu")
    machine(bf16=False, cores=1)
    run, resumes = prepare_run(**asked, settings=settings, on_exists="resume", device="cpu")
    assert resumes
    assert run.recipe == begun.recipe == Run.open(run.path).recipe
    assert (run.recipe.agent.train.precision, run.recipe.agent.train.env_parts) == ("bf16", 2)


def test_a_run_does_not_go_on_in_another_precision(machine, tmp_path):
    asked = {"env": "pong", "agent": "ppo_abn_paper", "seed": 0, "folder": tmp_path / "run"}
    prepare_run(**asked, device="cpu")
    only = "only train.steps, train.keep, train.checkpoint_every_minutes, train.eval_every,"
    with pytest.raises(RlAbnError, match=only):
        prepare_run(**asked, settings=["train.precision=fp32"], on_exists="resume", device="cpu")
    run, _ = prepare_run(
        **asked, settings=["train.precision=bf16"], on_exists="resume", device="cpu"
    )
    assert run.recipe.agent.train.precision == "bf16"


@pytest.mark.more
def test_a_record_from_before_auto_is_what_it_was(machine, tmp_path):
    """Old records name both fields; one that names neither was fp32 in one part."""
    folder = tmp_path / "run"
    asked = {"env": "pong", "agent": "ppo_abn_paper", "seed": 0, "folder": folder}
    prepare_run(**asked, device="cpu")
    lines = (folder / RECIPE).read_text().splitlines()
    kept = [line for line in lines if not line.startswith(("precision", "env_parts"))]
    (folder / RECIPE).write_text("\n".join(kept))
    run, _ = prepare_run(**asked, on_exists="resume", device="cpu")
    assert policy_settings(run.recipe.agent).precision == "fp32"
    assert isinstance(make_training_env(run.recipe), AleVecEnv)


@pytest.mark.more
def test_more_ranks_than_before_have_fewer_parts(machine):
    """Two parts of eight games; one game a rank has no parts."""
    recipe = resolve_auto(make_run_recipe("pong", "ppo_abn_paper", 0), CPU)
    parts = {
        count: getattr(make_training_env(recipe, Ranks(0, count)), "parts", None)
        for count in (1, 4, 8)
    }
    assert [len(parts[1]), len(parts[4]), parts[8]] == [2, 2, None]
    assert isinstance(make_training_env(recipe), PartitionedVecEnv)


def test_imported_weights_compute_in_fp32_everywhere(machine):
    recipe = settle_imported(make_run_recipe("pong", "ppo_cnn", 0))
    assert (recipe.agent.train.precision, recipe.agent.train.env_parts) == ("fp32", 1)
    asked = make_run_recipe("pong", "ppo_cnn", 0, ["train.precision=bf16"])
    assert settle_imported(asked).agent.train.precision == "bf16"


def test_a_settled_recipe_is_plain_data(machine):
    recipe = resolve_auto(make_run_recipe("pong", "ppo_abn_paper", 0), CPU)
    assert json.loads(recipe.model_dump_json())["agent"]["train"]["env_parts"] == 2
