"""Maps that sum to 1 are drawn as multiples of an even map, in both tracks and everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from rl_abn.attention import MECHANISMS, Abilities, Mechanism, no_answer, register_mechanism
from rl_abn.render import grid, overlay, panels, sheet, task_sheet
from rl_abn.rl.evaluation.watch import watch_game, watch_training
from rl_abn.rl.training.train import prepare_run, train
from rl_abn.vision.data import HeldPictures
from rl_abn.vision.data.augment import normalise
from rl_abn.vision.data.driving import DrivingLog
from rl_abn.vision.models import build_model
from rl_abn.vision.tasks import task_named
from rl_abn.vision.tasks.outputs import Outputs
from rl_abn.vision.visualize.drive_video import write_drive_video
from rl_abn.vision.visualize.map_grid import map_grid
from rl_abn.vision.visualize.sheets import picture_sheet

PREPARE = partial(normalise, statistics="half")


class SharedOut(Mechanism):
    """A softmax over all places."""

    abilities = Abilities(sums_to_one=True)

    def __init__(self, site):
        super().__init__()
        self.n_maps = site.n_maps

    def forward(self, features):
        share = features.mean(1, keepdim=True).flatten(2).softmax(dim=2)
        shared = share.view(len(features), 1, *features.shape[2:])
        return no_answer(features, shared.expand(-1, self.n_maps, -1, -1))

    def gate(self, features, attention_map):
        return features * attention_map


@pytest.fixture
def shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MECHANISMS, "_classes", dict(MECHANISMS._classes))
    register_mechanism("shared_out", SharedOut)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[float, str]]]:
    """The mean and the scale of every map that is drawn over a picture."""
    seen: list[tuple[float, str]] = []

    def draw(frame, attention_map, *, scale="fixed", **options):
        seen.append((float(np.mean(attention_map)), scale))
        return overlay(frame, attention_map, scale=scale, **options)

    for module in (panels, grid, sheet, task_sheet):
        monkeypatch.setattr(module, "overlay", draw)
    yield seen
    assert seen
    assert [mean for mean, _ in seen] == pytest.approx([1.0] * len(seen), abs=1e-2)  # float16 logs


@pytest.mark.more
def test_an_agents(drawn: list[tuple[float, str]], tmp_path: Path) -> None:
    settings = ["train.steps=16", "train.log_every=16", "train.n_probes=2", "train.precision=fp32"]
    settings += ["algorithm.n_envs=2", "algorithm.n_steps=8", "algorithm.batch_size=16"]
    settings += ["algorithm.sequence_length=8", "network.memory_size=16"]
    run, _ = prepare_run(
        env="pong", agent="ppo_soft", seed=0, settings=settings, folder=tmp_path / "run"
    )
    train(run, resume=False)
    assert {scale for _, scale in drawn} == {"even"}  # TensorBoard's pictures
    drawn.clear()
    watch_game(run, max_steps=2)
    watch_training(run)
    assert {scale for _, scale in drawn} == {"even"}
    watch_game(run, max_steps=2, scale="frame")
    assert {scale for _, scale in drawn} == {"even", "even_frame"}


@pytest.mark.parametrize("task", ["classification", "multilabel"])
def test_those_of_pictures(
    shared_out: None, drawn: list[tuple[float, str]], tmp_path: Path, task: str
) -> None:
    network = build_model("resnet", n_outputs=3, depth=8, mechanism="shared_out", task=task)
    pixels = torch.randint(256, (4, 32, 32, 3)).to(torch.uint8)
    kind = task_named(task)
    targets = torch.zeros(4, 3) if kind.map_per_output else torch.zeros(4, dtype=torch.int64)
    shown = range(3) if kind.map_per_output else ()
    for scale in ("fixed", "frame"):
        picture_sheet(
            tmp_path / "sheet.png",
            network,
            HeldPictures(pixels),
            targets,
            ["a", "b", "c"],
            4,
            prepare=PREPARE,
            title="Pictures",
            shown=list(shown),
            scale=scale,
        )
    assert {scale for _, scale in drawn} == {"even", "even_frame"}
    outputs = Outputs(task=kind, names=("a", "b", "c"), size=(32, 32), n_train=1, n_held_out=1,
                      train_sha256="0" * 64)  # fmt: skip
    drawn.clear()
    with torch.no_grad():
        maps = network.eval().attend(PREPARE(pixels.permute(0, 3, 1, 2))).map
    map_grid(pixels.numpy(), maps, outputs, network.abilities)
    assert {scale for _, scale in drawn} == {"even"}


def test_those_of_a_drive(shared_out: None, drawn: list[tuple[float, str]], tmp_path: Path) -> None:
    network = build_model("driving_abn", mechanism="shared_out", size=(66, 80), n_outputs=2)
    log = DrivingLog(
        pictures=HeldPictures(torch.randint(256, (3, 66, 80, 3)).to(torch.uint8)),
        controls=torch.rand(3, 2),
        brake=torch.zeros(3),
        speed=torch.rand(3),
        names=("0.jpg", "1.jpg", "2.jpg"),
        blocks=torch.zeros(3, dtype=torch.int64),
    )
    write_drive_video(
        tmp_path / "drive.mp4",
        network,
        log,
        torch.arange(3),
        prepare=PREPARE,
        title="A drive",
        speed=log.speed,
    )
    assert {scale for _, scale in drawn} == {"even"}
