"""Weight files as Mask-Attention A3C publishes them: the same answers, and nothing else is read."""

from __future__ import annotations

import io
import os
import pickle
import re
import zipfile
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from rl_abn.cli import main
from rl_abn.recipes import load_agent
from rl_abn.rl.evaluation import watch
from rl_abn.rl.evaluation.players import AgentPlayer
from rl_abn.rl.evaluation.title import how_trained
from rl_abn.rl.interchange.mask_a3c import MAPS, import_mask_a3c
from rl_abn.rl.training.build import load_policy
from rl_abn.runs import META, Run, read_json

SHAPES = {
    "conv1": (32, 1, 5, 5),
    "conv2": (32, 32, 3, 3),
    "conv3": (64, 32, 3, 3),
    "convlstm1.conv": (256, 128, 3, 3),
    "att_conv_c1": (1, 64, 1, 1),
    "c_conv": (32, 64, 1, 1),
    "critic_linear": (1, 3200),
    "att_conv_a1": (1, 64, 1, 1),
    "a_conv": (32, 64, 1, 1),
    "actor_linear": (9, 3200),
}
CPU = torch.device("cpu")


def published(memory=True, n_actions=9):
    """Random tensors under the published names, large enough for every one to matter."""
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, shape in SHAPES.items():
        if name.startswith("convlstm") and not memory:
            continue
        if name == "actor_linear":
            shape = (n_actions, 3200)
        fan_in = torch.Size(shape[1:]).numel()
        tensors[f"{name}.weight"] = torch.randn(shape, generator=generator) * 1.5 / fan_in**0.5
        tensors[f"{name}.bias"] = torch.randn(shape[0], generator=generator) * 0.1
    return tensors


def legacy(content):
    """Returns what torch.save wrote before 1.6, and the published files are."""
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def zipped(content):
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


@pytest.fixture
def place(tmp_path, monkeypatch):
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def imported(tensors, write=legacy, **kwargs):
    Path("agent.dat").write_bytes(write(tensors))
    run = import_mask_a3c(Path("agent.dat"), env="ms_pacman", **kwargs)
    return run, load_policy(run, run.checkpoint(), CPU)


def answers(weights, obs, state):
    """The published forward pass, one step of n games, [n, 1, 80, 80]."""

    def layer(name, x, **kwargs):
        call = F.linear if name.endswith("linear") else F.conv2d
        return call(x, weights[f"{name}.weight"], weights[f"{name}.bias"], **kwargs)

    x = obs
    for name, padding in (("conv1", 2), ("conv2", 1), ("conv3", 1)):
        x = F.relu(F.max_pool2d(layer(name, x, padding=padding), 2, 2))
    if "convlstm1.conv.weight" in weights:
        h, c = state
        gates = layer("convlstm1.conv", torch.cat([x, h], dim=1), padding=1)
        i, f, o, g = torch.split(gates, 64, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        x = h = torch.sigmoid(o) * torch.tanh(c)
        state = h, c
    heads, masks = [], []
    for own, attention, linear in (
        ("a_conv", "att_conv_a1", "actor_linear"),
        ("c_conv", "att_conv_c1", "critic_linear"),
    ):
        masks.append(torch.sigmoid(layer(attention, x)))
        seen = F.relu(layer(own, x)) * masks[-1]
        heads.append(layer(linear, seen.reshape(len(x), -1)))
    return heads[0], heads[1][:, 0], torch.cat(masks, dim=1), state


@pytest.mark.parametrize("memory", [True, False])
@pytest.mark.parametrize("write", [legacy, zipped])
def test_an_imported_agent_answers_as_the_published_operations_do(place, memory, write):
    weights = published(memory)
    run, policy = imported(weights, write)
    assert run.recipe.agent.network.memory == ("convlstm" if memory else "none")
    state, theirs = None, (torch.zeros(2, 64, 10, 10), torch.zeros(2, 64, 10, 10))
    generator = torch.Generator().manual_seed(1)
    values = []
    for t in range(6):
        obs = torch.randn(2, 1, 80, 80, generator=generator)
        if t % 2:  # neither in rows of pixels nor of channels may anything depend on the layout
            obs = obs.contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            found, state = policy.attend(obs, state)
            logits, value, masks, theirs = answers(weights, obs, theirs)
        close = {"atol": 1e-5, "rtol": 0}
        torch.testing.assert_close(found.action_logits, logits, **close)
        torch.testing.assert_close(found.value, value, **close)
        torch.testing.assert_close(found.map, masks, **close)
        values.append(value)
    assert torch.stack(values).std() > 0.01
    assert policy.map_names == ("policy", "value")


def test_the_memory_is_reset_at_a_lost_life_as_in_the_published_agent(place):
    weights = published()
    _, policy = imported(weights)
    player = AgentPlayer("agent", policy, greedy=True, seed=0)
    obs = torch.randn(3, 2, 1, 80, 80, generator=torch.Generator().manual_seed(2))
    none, second = torch.zeros(2, dtype=torch.bool), torch.tensor([False, True])
    state = torch.zeros(2, 64, 10, 10), torch.zeros(2, 64, 10, 10)
    for t, lost in enumerate((none, none, second)):
        _, found = player.act(obs[t].numpy(), (none if t else ~none).numpy(), lost.numpy())
        state = tuple(part * ~lost[:, None, None, None] for part in state)
        logits, _, _, state = answers(weights, obs[t], state)
        torch.testing.assert_close(found.action_logits, logits, atol=1e-5, rtol=0)


def test_the_agent_is_the_shipped_one(place):
    run, _ = imported(published())
    shipped, agent = load_agent("a2c_mask_a3c"), run.recipe.agent
    assert (agent.train.precision, agent.train.env_parts) == ("fp32", 1)  # as where it comes from
    assert agent == shipped.model_copy(update={"train": agent.train})
    assert run.path == Path("runs/ms_pacman/a2c_mask_a3c/mask-a3c-agent")
    assert run.checkpoint().step == 0
    assert read_json(run.path / META)["imported"] == {
        "kind": "mask-a3c",
        "file": "agent.dat",
        "steps": 0,
    }


@pytest.mark.more
def test_from_the_command_line_to_a_score_a_video_and_a_zip(place, capsys, monkeypatch):
    Path("agent.dat").write_bytes(legacy(published()))
    main([*IMPORT, "--steps", "110e6", "--set", "protocol.mask_a3c.max_frames=80"])
    run = Run.open(Path("runs/ms_pacman/a2c_mask_a3c/mask-a3c-agent"))
    assert capsys.readouterr().out.splitlines() == [
        f"run folder: {run.path}",
        f"next: rl-abn eval {run.path} --greedy",
    ]
    assert run.checkpoint().step == 110_000_000
    words = [str(run.path), "--device", "cpu"]
    main(["eval", *words, "--greedy", "--episodes", "2", "--intervention", "uniform:policy"])
    assert "mask_a3c protocol, 9 actions, greedy" in capsys.readouterr().out
    title = []
    scene = watch.GameScene
    monkeypatch.setattr(watch, "GameScene", lambda **kw: title.append(kw["title"]) or scene(**kw))
    main(["watch", *words, "--max-steps", "2"])
    assert title == ["a2c_mask_a3c on Ms. Pac-Man, 110,000,000 steps trained elsewhere"]
    assert capsys.readouterr().out.splitlines()[-1] == f"next: rl-abn explain {run.path} --quick"
    main(["export", str(run.path), "agent.zip"])
    words = ["import", "sb3", "agent.zip", "--trust-pickle", "--env", "ms_pacman"]
    main([*words, "--agent", "a2c_mask_a3c", "--out", "again"])
    again = Run.open(Path("again")).checkpoint()
    assert again.step == 110_000_000
    for name in ("policy.safetensors", "state.json"):
        assert (again.path / name).read_bytes() == (run.checkpoint().path / name).read_bytes()


@pytest.mark.parametrize(
    ("step", "is_foreign", "trained"),
    [
        (0, False, "0 steps trained"),
        (1_000, False, "1,000 steps trained"),
        (1_000, True, "1,000 steps trained elsewhere"),
        (0, True, "trained elsewhere"),  # nobody knows for how long
    ],
)
def test_how_far_an_agent_is_said_to_be_trained(step, is_foreign, trained):
    assert how_trained(step, is_foreign) == trained


# What is refused

IMPORT = ["import", "mask-a3c", "agent.dat", "--env", "ms_pacman"]


@pytest.fixture
def refused(capsys, place):
    """Imports a file that has to be refused; returns the one line. Nothing may be written."""

    def run(content, *words):
        if content is not None:
            Path("agent.dat").write_bytes(content)
        before = sorted(place.rglob("*"))
        with pytest.raises(SystemExit) as caught:
            main([*IMPORT, *words])
        captured = capsys.readouterr()
        assert caught.value.code == 2
        assert captured.err.count("\n") == 1
        assert len(captured.err) < 400
        assert sorted(place.rglob("*")) == before
        return captured.err.removeprefix("rl-abn: error: agent.dat: expected ").strip()

    return run


class Evil:
    def __reduce__(self):
        return os.system, ("touch marker",)


def sb3_zip():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("policy.pth", zipped(published()))
    return file.getvalue()


def compressed():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(1000))
    return file.getvalue()


HOSTILE = {
    "empty": (b"", "an empty file"),
    "noise": (bytes(range(256)) * 8, "something that torch did not write"),
    "a pickle": (pickle.dumps({"a": 1}), "something that torch did not write"),
    "code in a pickle": (pickle.dumps(Evil()), "something that torch did not write"),
    "code among tensors": (legacy({"a": Evil()}), f"a pickle that asks for {os.name}.system"),
    "code in a zip": (zipped({"a": Evil()}), f"a pickle that asks for {os.name}.system"),
    "a list": (legacy([torch.zeros(1)]), "a list instead of named tensors"),
    "numbers": (legacy({"a": 1}), "something that is no plain tensor in 'a'"),
    "a huge view": (
        legacy({"conv1.bias": torch.zeros(1).expand(10**12)}),
        "something that is no plain tensor in 'conv1.bias'",
    ),
    "compressed": (compressed(), "compressed tensors"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_files_that_are_none(refused, place, kind):
    content, got = HOSTILE[kind]
    assert refused(content) == f"a weight file of Mask-Attention A3C, got {got}"
    assert not (place / "marker").exists()


@pytest.mark.parametrize("write", [legacy, zipped])
@pytest.mark.parametrize("share", [0.0001, 0.0005, 0.3, 0.9999])
def test_a_file_that_is_cut_off(refused, write, share):
    content = write(published())
    said = refused(content[: int(len(content) * share)])
    assert re.match(r"a weight file of Mask-Attention A3C, got \w+ \w+", said)
    assert "trust" not in said


def test_a_stable_baselines3_zip(refused):
    assert refused(sb3_zip()) == (
        "a weight file of Mask-Attention A3C, got an agent of stable-baselines3, which "
        "'rl-abn import sb3' reads"
    )


def test_no_file_a_folder_and_one_too_large(refused, place, monkeypatch):
    assert refused(None).endswith("got no such file")
    Path("agent.dat").mkdir()
    assert refused(None).endswith("got a folder")
    Path("agent.dat").rmdir()
    monkeypatch.setattr("rl_abn.rl.interchange.mask_a3c.MOST_BYTES", 2**20)
    assert refused(legacy(published())).endswith("got more than 1,048,576 bytes")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda t: t.pop("a_conv.bias"), "a_conv.bias (the file lacks it)"),
        (lambda t: t.update({"fc.bias": torch.ones(1)}), "fc.bias (the agent has none)"),
        (lambda t: [t.pop(f"{MAPS[1]}.{p}") for p in ("bias", "weight")], "att_conv_c1.bias (the "),
        (lambda t: t.pop("convlstm1.conv.bias"), "convlstm1.conv.bias (the file lacks it)"),
        (lambda t: t.update({"conv2.bias": torch.ones(9)}), "conv2.bias of shape (32,), got (9,)"),
        (
            lambda t: t.update({"actor_linear.weight": torch.ones(())}),
            "of shape (9, 3200), got ()",
        ),
        (lambda t: t.update({"conv2.bias": torch.ones(32).double()}), "got float64"),
        (lambda t: t["conv3.bias"].fill_(float("nan")), "finite numbers in conv3.bias"),
    ],
)
def test_weights_that_do_not_fit(refused, change, what):
    tensors = published()
    change(tensors)
    assert what in refused(legacy(tensors))


@pytest.mark.more
def test_the_weights_of_another_game(refused):
    assert refused(legacy(published(n_actions=6))) == (
        "9 actions of Ms. Pac-Man, got 6; games with 6: pong, qbert, space_invaders"
    )
    assert refused(legacy(published(n_actions=7))) == (
        "9 actions of Ms. Pac-Man, got 7; games with 7: none of those that ship"
    )


def test_an_agent_of_another_form(refused):
    said = refused(legacy(published()), "--agent", "ppo_abn_paper")
    assert said == (
        "an agent like a2c_mask_a3c, got network 'nature' with attention 'residual', "
        "maps 'shared' and a branch that answers"
    )
    said = refused(legacy(published()), "--set", "train.protocol=legacy")
    assert said == "conv1.weight of shape (32, 4, 5, 5), got (32, 1, 5, 5)"
