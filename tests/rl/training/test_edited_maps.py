"""Agents whose maps are drawn to those a person edited."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rl_abn.cli.main import main
from rl_abn.errors import RlAbnError
from rl_abn.map_editing.edit_files import write_edits
from rl_abn.map_editing.edits import Box, Edit, Edits
from rl_abn.recipes import make_run_recipe
from rl_abn.rl.algorithms.losses import EditedMaps
from rl_abn.rl.training.edited_maps import edited_maps
from rl_abn.rl.training.metrics import read_metrics
from rl_abn.rl.training.train import train
from rl_abn.runs import METRICS, Run, load_tensors, save_tensors
from tests.complaints import complaint
from tests.covering import more
from tests.rl.conftest import SIZE, PatchSignal, make_algorithm, make_probe
from tests.rl.training.test_train import Kill, KilledError, same, start, weights

LEFT = torch.zeros(1, 1, 6, 6)
LEFT[..., :3] = 1.0


def marked(n):
    """Observations of the patch game, and maps that show the place that counts and no other."""
    env = make_probe(PatchSignal, n)
    observations = torch.as_tensor(env.reset())
    maps = torch.zeros(n, 1, 6, 6)
    for one, game in zip(maps, env.envs, strict=True):
        one[0][game.location] = 1.0
    return EditedMaps(observations, maps, torch.tensor(0.3))


@pytest.mark.parametrize(
    ("name", "mechanism"),
    [("ppo", "mask"), ("a2c", "residual")],
)
@pytest.mark.full
def test_maps_are_drawn_to_edited_ones_and_the_agent_learns_beside(name, mechanism):
    model = make_algorithm(name, make_probe(PatchSignal), policy_kwargs={"mechanism": mechanism})
    edited = marked(16)
    model.auxiliary_losses.append(edited)

    def distance():
        with torch.no_grad():
            return edited.distance(model.policy).item()

    assert distance() == pytest.approx(6 * 0.5, abs=0.2)  # an even map of 0.5, 36 places
    model.learn(32_768 if name == "a2c" else 16_384)
    assert distance() < 1.5
    env = make_probe(PatchSignal, 128)
    with torch.no_grad():
        attention, _ = model.policy.attend(torch.as_tensor(env.reset()))
    right = attention.action_logits.argmax(-1).numpy() == [game.right for game in env.envs]
    assert right.mean() > 0.95


@pytest.mark.parametrize("threads", [1, 2])
def test_the_loss_is_the_algorithms_plus_gamma_times_the_distance(threads, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(torch, "get_num_threads", lambda: threads)
        model = make_algorithm("a2c", make_probe(PatchSignal))
    model.learn(64)
    plain = model.accumulate_gradients(None)
    gradients = [p.grad.clone() for p in model.policy.parameters()]
    pictures = torch.randint(0, 256, (3, 2, SIZE, SIZE), dtype=torch.uint8)
    edited = EditedMaps(pictures, LEFT.expand(3, -1, -1, -1), torch.tensor(2.0))
    model.auxiliary_losses.append(edited)
    both = model.accumulate_gradients(None)
    own = model.policy.attend(pictures)[0].map
    norms = (own - edited.maps).square().sum(dim=(1, 2, 3)).sqrt()
    assert both["map_loss"].item() == pytest.approx(norms.mean().item(), rel=1e-5)
    pull = 2.0 * norms.mean()
    assert both["loss"].item() == pytest.approx(plain["loss"].item() + pull.item(), rel=1e-5)
    pulls = torch.autograd.grad(pull, list(model.policy.parameters()), allow_unused=True)
    for parameter, alone, added in zip(model.policy.parameters(), gradients, pulls, strict=True):
        expected = alone if added is None else alone + added
        torch.testing.assert_close(parameter.grad, expected, atol=1e-6, rtol=1e-4)


EDITS = Edits({f"probe-{i}": Edit(remove=(Box(0, 0, 84, 84),)) for i in range(2)})


@pytest.mark.more
def test_a_run_keeps_its_edited_maps_and_resumes_to_the_same_bytes(tmp_path):
    def begin(name, **more):
        run, resume = start(tmp_path / name, "ppo_mask", steps=128, **more)
        train(run, resume=resume, edits=EDITS, edit_coef=0.5)
        return run

    whole = begin("whole")
    kept = load_tensors(whole.path / "attention" / "edits.safetensors")
    assert kept["maps"].shape[:2] == (2, 2)
    assert not kept["maps"].any()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rl_abn.rl.training.train.StopCallback", lambda stop: Kill())
        with pytest.raises(KilledError):
            begin("cut")
    cut = begin("cut", on_exists="resume")
    assert same(weights(whole), weights(cut))
    longer, resume = start(tmp_path / "cut", "ppo_mask", steps=192, on_exists="resume")
    train(longer, resume=resume)  # to those that are kept
    assert np.isfinite(read_metrics(longer.path / METRICS)[-1]["train/map_loss"])


@pytest.mark.parametrize("agent", ["ppo_cnn", *more("ppo_hard", "ppo_highway")])
def test_an_agent_without_maps_to_edit_is_refused(agent, tmp_path):
    run, _ = start(tmp_path / "run", agent)
    with pytest.raises(RlAbnError, match="whose maps can be edited, got one that has mechanism"):
        train(run, resume=False, edits=EDITS)


def test_edited_maps_of_an_agent_whose_maps_sum_to_1_do_too(tmp_path):
    options = {"mechanism": "mask", "mechanism_options": {"map_form": "softmax"}}
    env = make_probe(PatchSignal)
    policy = make_algorithm("ppo", env, policy_kwargs=options).policy
    run = Run.create(tmp_path / "run", make_run_recipe("pong", "ppo_mask", 0), "cpu")
    edit = Edit(add=(Box(0, 0, SIZE / 6, SIZE / 6),), observation=env.reset()[0])
    found = edited_maps(run, policy, None, Edits({"moment": edit}))
    torch.testing.assert_close(found.maps.sum(dim=(2, 3)), torch.ones(1, found.maps.shape[1]))
    assert found.maps[0, 0, 0, 0] > 0.5


@pytest.mark.parametrize(
    ("agent", "changes", "said"),
    [
        ("ppo_cnn", {}, "expected no edited maps with mechanism 'none', whose maps cannot be"),
        (
            "ppo_mask",
            {"observations": torch.zeros(2, 4, 60, 60, dtype=torch.uint8)},
            "expected observations of this agent, uint8 [4, 84, 84], got uint8 [4, 60, 60]",
        ),
        (
            "ppo_mask",
            {"observations": torch.zeros(2, 4, 84, 84)},
            "expected observations of this agent, uint8 [4, 84, 84], got float32 [4, 84, 84]",
        ),
        (
            "ppo_mask",
            {"maps": torch.zeros(2, 1, 9, 9)},
            "expected maps of this agent, float32 [2, 7, 7], got float32 [1, 9, 9]",
        ),
        ("ppo_mask", {"maps": torch.zeros(3, 2, 7, 7)}, "expected edited maps of as many observ"),
    ],
)
def test_kept_edits_of_another_agent_are_one_line(agent, changes, said, tmp_path):
    run, _ = start(tmp_path / "run", agent, settings=["train.n_probes=0"])
    kept = {
        "observations": torch.zeros(2, 4, 84, 84, dtype=torch.uint8),
        "maps": torch.zeros(2, 2, 7, 7),
        "coef": torch.tensor(1.0),
    }
    path = run.path / "attention" / "edits.safetensors"
    save_tensors(path, {**kept, **changes})
    assert complaint(lambda: train(run, resume=False)).startswith(f"{path}: {said}")


def test_a_weight_of_edits_that_are_not_given_is_refused(tmp_path, capsys):
    words = ["train", "--env", "pong", "--agent", "ppo_mask", "--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit) as exit_:
        main([*words, "--edit-coef", "2"])
    assert exit_.value.code == 2
    assert capsys.readouterr().err == (
        "rl-abn: error: expected --edits DIR beside --edit-coef, which is the weight of these "
        "edits, got none\n"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.more
def test_mistakes_on_the_command_line(tmp_path, capsys):
    write_edits(tmp_path / "edits", Edits({"probe-99": Edit(add=(Box(0, 0, 9, 9),))}))
    train_pong = ["train", "--env", "pong", "--agent", "ppo_mask", "--out", str(tmp_path / "run")]
    for words, said in (
        (["--edits", str(tmp_path / "none")], "expected"),
        (["--edits", str(tmp_path / "edits")], "expected pictures of the set, got 'probe-99'"),
        (["--edit-coef", "-1"], "expected a number from 0, got '-1'"),
    ):
        with pytest.raises(SystemExit) as exit_:
            main([*train_pong, *words, "--on-exists", "overwrite"])
        errors = capsys.readouterr().err
        assert exit_.value.code == 2
        assert said in errors
        assert "Traceback" not in errors
