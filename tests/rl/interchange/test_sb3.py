"""To stable-baselines3 and back: the same weights, the same actions, and no stranger's code."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, PPO

from rl_abn.cli import main
from rl_abn.errors import RlAbnError
from rl_abn.recipes import load_env
from rl_abn.rl import AleVecEnv, AttentionA2C, AttentionPPO
from rl_abn.rl.interchange.sb3_export import export_sb3
from rl_abn.rl.interchange.sb3_import import import_sb3
from rl_abn.rl.training.build import load_policy
from rl_abn.rl.training.train import prepare_run, train
from rl_abn.runs import TRAINING, WEIGHTS, Run, load_tensors
from tests.covering import more

SMALL = {
    "ppo": ["algorithm.n_envs=2", "algorithm.n_steps=16", "algorithm.batch_size=32"],
    "a2c": ["algorithm.n_envs=2", "algorithm.n_steps=16"],
}
EVERY_AGENT = pytest.mark.parametrize(
    "agent",
    [
        "ppo_abn_paper",
        pytest.param("ppo_mask", marks=pytest.mark.full),
        "a2c_cnn",
        pytest.param("a2c_abn", marks=pytest.mark.full),
    ],
)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def observations():
    """What agents see in the first steps of Pong, [24, 4, 84, 84]."""
    recipe = load_env("pong")
    env = AleVecEnv(recipe.game, recipe.protocol["legacy"], n_envs=4, seed=5)
    rng = np.random.default_rng(0)
    seen = [env.reset()]
    for _ in range(60):
        seen.append(env.step(rng.integers(env.action_space.n, size=4))[0])
    return np.concatenate(seen[::12])


def trained_run(folder, agent, *settings):
    run, _ = prepare_run(
        env="pong",
        agent=agent,
        seed=0,
        settings=[
            *SMALL[agent[:3]],
            "train.steps=64",
            "train.checkpoint_every=32",
            "train.n_probes=0",
            *settings,
        ],
        folder=folder,
    )
    train(run, resume=False, device="cpu")
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs by their agents, each trained when it is first asked for."""
    folder = tmp_path_factory.mktemp("runs")

    class Runs(dict):
        def __missing__(self, agent):
            self[agent] = trained_run(folder / agent, agent)
            return self[agent]

    return Runs()


@pytest.mark.more
@EVERY_AGENT
def test_an_exported_run_acts_alike_in_stable_baselines3(agent, runs, tmp_path, observations):
    run = runs[agent]
    found = export_sb3(run, tmp_path / "agent.zip")
    assert found.step == 64
    policy = load_policy(run, run.checkpoint(), CPU)
    actions, _ = policy.predict(observations, deterministic=True)
    ours, theirs = {"ppo": (AttentionPPO, PPO), "a2c": (AttentionA2C, A2C)}[agent[:3]]
    for algorithm in (ours, theirs):
        model = algorithm.load(tmp_path / "agent.zip", device="cpu")
        assert model.num_timesteps == 64
        again, _ = model.predict(observations, deterministic=True)
        assert np.array_equal(actions, again)
        state = model.policy.state_dict()
        for name, tensor in load_tensors(found.path / WEIGHTS).items():
            assert torch.equal(state[name], tensor)
    stored = load_tensors(found.path / TRAINING)
    model = ours.load(tmp_path / "agent.zip", device="cpu")
    for index, entry in model.policy.optimizer.state_dict()["state"].items():
        for name, value in entry.items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(value, stored[f"optimizer.{index}.{name}"])


@pytest.mark.more
def test_an_exported_run_trains_on_in_stable_baselines3(runs, tmp_path):
    recipe = load_env("pong")
    env = AleVecEnv(recipe.game, recipe.protocol["legacy"], n_envs=2)
    export_sb3(runs["ppo_abn_paper"], tmp_path / "agent.zip")
    for algorithm in (AttentionPPO, PPO):
        model = algorithm.load(tmp_path / "agent.zip", env=env, device="cpu")
        model.learn(32, reset_num_timesteps=False)
        assert model.num_timesteps == 96


@pytest.mark.more
def test_an_older_checkpoint_may_be_exported(runs, tmp_path):
    run = runs["a2c_cnn"]
    assert export_sb3(run, tmp_path / "agent.zip", step=32).step == 32
    state = AttentionA2C.load(tmp_path / "agent.zip", device="cpu").policy.state_dict()
    for name, tensor in load_tensors(run.checkpoint(32).path / WEIGHTS).items():
        assert torch.equal(state[name], tensor)


@pytest.mark.more
@EVERY_AGENT
def test_out_and_in_again_is_the_same_agent(agent, runs, tmp_path):
    export_sb3(runs[agent], tmp_path / "agent.zip")
    run = import_sb3(tmp_path / "agent.zip", env="pong", agent=agent, folder=tmp_path / "run")
    assert run.checkpoint().step == 64
    assert run.is_imported
    old = (runs[agent].checkpoint().path / WEIGHTS).read_bytes()
    assert (run.checkpoint().path / WEIGHTS).read_bytes() == old
    # And once more, from weights without an optimizer.
    export_sb3(run, tmp_path / "again.zip")
    again = import_sb3(tmp_path / "again.zip", env="pong", agent=agent, folder=tmp_path / "run2")
    assert (again.checkpoint().path / WEIGHTS).read_bytes() == old


@pytest.mark.parametrize(
    ("algorithm", "agent", "settings"),
    [
        (PPO, "ppo_cnn", []),
        *more((A2C, "a2c_cnn", []), (PPO, "ppo_cnn", ["network.attention_at=7"])),
    ],
)
def test_a_plain_cnn_policy_answers_as_in_stable_baselines3(
    algorithm, agent, settings, tmp_path, observations
):
    recipe = load_env("pong")
    env = AleVecEnv(recipe.game, recipe.protocol["legacy"], n_envs=2)
    model = algorithm("CnnPolicy", env, n_steps=16, seed=3, device="cpu")
    for parameter in model.policy.parameters():
        parameter.data += 0.01 * torch.randn_like(parameter)
    model.save(tmp_path / "zoo.zip")
    run = import_sb3(
        tmp_path / "zoo.zip",
        env="pong",
        agent=agent,
        settings=settings,
        folder=tmp_path / "run",
    )
    policy = load_policy(run, run.checkpoint(), CPU)
    pixels = torch.as_tensor(observations)
    with torch.no_grad():
        attention, _ = policy.attend(pixels)
        theirs = model.policy.get_distribution(pixels).distribution.logits
        values = model.policy.predict_values(pixels).squeeze(-1)
    ours = attention.action_logits.log_softmax(dim=-1)
    assert values.std() > 0
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    torch.testing.assert_close(attention.value, values, atol=1e-5, rtol=0)
    actions, _ = model.predict(observations, deterministic=True)
    assert np.array_equal(policy.predict(observations, deterministic=True)[0], actions)


# What is refused


@pytest.fixture
def place(tmp_path, monkeypatch):
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def refused(capsys, place):
    """Runs a command that has to be refused; returns its one line. Nothing may be written."""

    def run(*words):
        before = sorted(place.rglob("*"))
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        assert caught.value.code == 2
        assert captured.err.count("\n") == 1
        assert captured.err.startswith("rl-abn: error: ")
        assert len(captured.err) < 600
        assert sorted(place.rglob("*")) == before
        return captured.err.removeprefix("rl-abn: error: ").strip()

    return run


IMPORT = ["import", "sb3", "agent.zip", "--env", "pong", "--agent", "ppo_cnn"]


def policy_pth(tensors):
    content = io.BytesIO()
    torch.save(tensors, content)
    return content.getvalue()


def zipped(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("marker",)


def test_import_wants_trust(refused):
    said = refused(*IMPORT)
    assert said.startswith("expected --trust-pickle for 'agent.zip', got none: ")
    assert "its author's code" in said


def compressed_inside(size):
    """A policy.pth whose one file unpacks to `size` zeros."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(size))
    return content.getvalue()


def huge_view():
    """A tensor of 10^12 numbers, all of them the same four bytes."""
    return torch.zeros(1).expand(10**12)


HOSTILE = {
    "no zip": b"no zip at all",
    "empty": b"",
    "without a policy": [("data", "{}")],
    "a path upward": [("../evil", "x"), ("policy.pth", policy_pth({}))],
    "an absolute path": [("/tmp/evil", "x"), ("policy.pth", policy_pth({}))],
    "a policy elsewhere": [("a/policy.pth", policy_pth({}))],
    "a pickle": [("policy.pth", policy_pth({"a": Bomb()}))],
    "no tensors": [("policy.pth", policy_pth({"a": 1}))],
    "a list": [("policy.pth", policy_pth([torch.zeros(1)]))],
    "text": [("policy.pth", "hello")],
    "data that is no JSON": [("data", "{"), ("policy.pth", policy_pth({}))],
    "data nested": [("data", "[" * 100_000), ("policy.pth", policy_pth({}))],
    "data a list": [("data", "[]"), ("policy.pth", policy_pth({}))],
    "compressed inside": [("policy.pth", compressed_inside(1000))],
    "nothing in it": [("policy.pth", policy_pth({}))],
    "a huge view": [("policy.pth", policy_pth({"action_net.bias": huge_view()}))],
    "a huge view in a CnnPolicy": [
        (
            "policy.pth",
            policy_pth(
                {
                    "features_extractor.cnn.0.weight": huge_view(),
                    "pi_features_extractor.cnn.0.weight": huge_view(),
                }
            ),
        )
    ],
    "sparse": [("policy.pth", policy_pth({"a": torch.zeros(2, 2).to_sparse()}))],
    "nowhere": [("policy.pth", policy_pth({"a": torch.zeros(2, device="meta")}))],
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_zip(refused, place, kind):
    content = HOSTILE[kind]
    if isinstance(content, bytes):
        Path("agent.zip").write_bytes(content)
    else:
        zipped("agent.zip", content)
    said = refused(*IMPORT, "--trust-pickle")
    assert said.startswith("agent.zip: expected ")
    assert not (place / "marker").exists()
    assert not (place.parent / "evil").exists()


def test_a_zip_bomb(refused, monkeypatch):
    monkeypatch.setattr("rl_abn.rl.interchange.sb3_import.MOST_BYTES", 2**20)
    zipped("agent.zip", [("policy.pth", bytes(2**24))], zipfile.ZIP_DEFLATED)
    assert Path("agent.zip").stat().st_size < 2**20
    said = refused(*IMPORT, "--trust-pickle")
    assert said.endswith("got a policy.pth of more than 1,048,576 bytes")


def test_two_members_of_one_name(refused, recwarn):
    zipped("agent.zip", [("policy.pth", policy_pth({}))] * 2)
    assert refused(*IMPORT, "--trust-pickle").endswith("got 2 members named policy.pth")


def cnn_zip(path="agent.zip", change=lambda tensors: tensors):
    recipe = load_env("pong")
    env = AleVecEnv(recipe.game, recipe.protocol["legacy"], n_envs=1)
    model = PPO("CnnPolicy", env, n_steps=16, device="cpu")
    tensors = dict(model.policy.state_dict())
    change(tensors)
    zipped(path, [("policy.pth", policy_pth(tensors))])


def test_actor_and_critic_with_extractors_of_their_own(refused):
    cnn_zip(change=lambda t: t.update({"vf_features_extractor.linear.0.bias": torch.ones(512)}))
    said = refused(*IMPORT, "--trust-pickle")
    assert said.startswith("agent.zip: expected one extractor for actor and critic, got two")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda t: t.pop("value_net.bias"), "value_net.bias (the file lacks it)"),
        (lambda t: t.update(strange=torch.ones(1)), "strange (the agent has none)"),
        (lambda t: t["action_net.bias"].fill_(float("nan")), "expected finite numbers in "),
        *more(
            (lambda t: t.update({"action_net.bias": torch.ones(9)}), "of shape (6,), got (9,)"),
            (lambda t: t.update({"action_net.bias": torch.ones(6).double()}), "got float64"),
        ),
    ],
)
def test_weights_that_do_not_fit(refused, change, what):
    cnn_zip(change=change)
    assert what in refused(*IMPORT, "--trust-pickle")


def test_a_plain_cnn_policy_is_no_agent_with_attention(refused):
    cnn_zip()
    said = refused(*IMPORT[:-1], "ppo_abn_paper", "--trust-pickle")
    assert said.startswith("agent.zip: expected an agent like ppo_cnn or a2c_cnn ")


@pytest.mark.parametrize(
    ("agent", "settings", "what"),
    [
        ("ppo_cnn_split", [], "got layers of their own for actor and critic"),
        ("ppo_cnn", ["network.layer_norm=true"], "got layer_norm"),
        ("ppo_cnn", ["network.memory=lstm"], "got memory 'lstm'"),
        *more(("ppo_cnn_convlstm", [], "got memory 'convlstm'")),
    ],
)
def test_a_plain_cnn_policy_is_no_agent_with_other_layers(refused, agent, settings, what):
    cnn_zip()
    changes = [word for setting in settings for word in ("--set", setting)]
    said = refused(*IMPORT[:-1], agent, *changes, "--trust-pickle")
    assert said.startswith("agent.zip: expected an agent like ppo_cnn or a2c_cnn ")
    assert said.endswith(what)


def test_an_imported_run_is_played_and_not_trained(refused, capsys, place):
    cnn_zip()
    main([*IMPORT, "--trust-pickle"])
    run = Run.open(Path("runs/pong/ppo_cnn/sb3-agent"))
    assert capsys.readouterr().out.splitlines()[0] == f"run folder: {run.path}"
    assert refused(*IMPORT, "--trust-pickle") == (
        f"expected a new run folder, got '{run.path}', which exists; "
        "add --on-exists new or overwrite"
    )
    words = ["train", "--env", "pong", "--agent", "ppo_cnn", "--out", run.path]
    said = refused(*words, "--on-exists", "resume")
    assert said.startswith(f"{run.path}: expected a run that was trained here, got imported")
    main(["watch", str(run.path), "--max-steps", "2", "--device", "cpu"])
    assert (run.path / "videos").is_dir()


def test_an_export_wants_a_zips_name(runs, tmp_path):
    with pytest.raises(RlAbnError, match=r"expected a file name that ends with \.zip"):
        export_sb3(runs["a2c_cnn"], tmp_path / "agent")
    (tmp_path / "file").touch()
    with pytest.raises(RlAbnError, match="cannot be written: "):
        export_sb3(runs["a2c_cnn"], tmp_path / "file" / "agent.zip")
