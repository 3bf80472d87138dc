"""What is damaged: tiny runs of both tracks, made once, and files that the commands read."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from rl_abn.recipes.lookup import Kind, recipe_path
from tests.vision.tiny_sets import SMALL, write_classes, write_drive

AGENT_SETTINGS = (
    "algorithm.n_envs=2",
    "algorithm.n_steps=8",
    "algorithm.batch_size=8",
    "algorithm.n_epochs=1",
    "network.extractor=mask_a3c",
    "network.attention_at=10",
    "train.steps=16",
    "train.n_probes=2",
    "train.log_every=16",
    "protocol.legacy.max_frames=60",
    "protocol.legacy.noop_max=0",
)
"""A training of one update, with a network of 200 kB."""

CLASSIFIER_SETTINGS = (*SMALL, "train.epochs=1")


def make_material(folder: Path, run: Callable[[list[str], Path], int | None]) -> Path:
    """Makes the material in an empty folder; takes some seconds.

    Its `agent/` and `classifier/` are runs, `set/` has pictures, `drive/` a driving log, `edits/`
    edited maps, `zips/` an export and both data sets, `recipes/` an env, an agent and theirs of the
    vision track.

    Args:
        folder: Where.
        run: Runs a command line in a folder and returns its exit code; its errors are beside the
            folder, in FOLDER.err.
    """

    def do(*words: str) -> None:
        if run(list(words), folder) != 0:
            said = folder.with_name(f"{folder.name}.err").read_text("utf-8")
            raise RuntimeError(f"{' '.join(words)}: {said}")

    write_classes(folder / "set", n_train=6, n_test=2)
    write_drive(folder / "drive", n=8, side=16)
    agent = ("train", "--env", "pong", "--agent", "ppo_abn", "--out", "agent")
    do(*agent, "--device", "cpu", *set_words(AGENT_SETTINGS))
    vision = ("vision", "train", "--env", "cifar10", "--agent", "resnet20_abn")
    where = ("--data", "set", "--out", "classifier", "--device", "cpu")
    do(*vision, *where, *set_words(CLASSIFIER_SETTINGS))
    (folder / "zips").mkdir()
    do("export", "agent", "zips/agent.zip")
    do("vision", "edit", "classifier", "--list", "2", "--out", "edits", "--data", "set")
    for name in ("set", "drive"):
        shutil.make_archive(str(folder / "zips" / name), "zip", folder, name)
    (folder / "recipes").mkdir()
    for name, kind, of in RECIPES:
        shutil.copy(recipe_path(kind, of), folder / "recipes" / name)
    agent = (folder / "recipes" / "agent.toml").read_text("utf-8")
    agent = agent.replace('"nature"', '"mask_a3c"').replace("attention_at = 9", "attention_at = 10")
    (folder / "recipes" / "imported.toml").write_text(agent)
    torch.save({"layer.weight": torch.zeros(4, 4)}, folder / "zips" / "weights")
    edits = (folder / "edits" / "edits.toml").read_text("utf-8")
    begin = edits.index("# pictures/00000")
    filled = [
        line.removeprefix("# ") for line in edits[begin:].splitlines() if "pictures/0" not in line
    ]
    (folder / "edits" / "edits.toml").write_text("\n".join(filled))
    return folder


RECIPES: tuple[tuple[str, Kind, str], ...] = (
    ("env.toml", "envs", "pong"),
    ("agent.toml", "agents", "ppo_abn"),
    ("data.toml", "envs/vision", "cifar10"),
    ("model.toml", "agents/vision", "resnet20_abn"),
)


def set_words(settings: Iterable[str]) -> list[str]:
    """Returns `--set` for each setting."""
    return [word for setting in settings for word in ("--set", setting)]
