"""The frozen network sees a translated picture as it saw its own, and passes gradients on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rl_abn.vision.data.driving import open_driving_log
from rl_abn.vision.training.build import VisionRun, load_network
from rl_abn.vision.training.prepare import prepare_run
from rl_abn.vision.training.train import train
from rl_abn.vision.translation.attention_maps import AttentionMaps
from rl_abn.vision.translation.domains import open_domain, to_pixels, to_unit
from tests.complaints import complaint
from tests.vision.tiny_sets import write_drive

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_drive(tmp_path_factory.mktemp("drive") / "log", n=20, side=72)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory, drive: Path) -> VisionRun:
    settings = ["train.epochs=1", "train.batch_size=8", "pictures.rows=[4,68]", "folds.margin=0"]
    settings += ["pictures.size=[64,72]", "augment.name=none", "train.precision=fp32"]
    run, data, _ = prepare_run(
        env="driving_log",
        agent="driving_abn",
        seed=0,
        data=drive,
        settings=settings,
        folder=tmp_path_factory.mktemp("driver") / "run",
        device="cpu",
    )
    train(run, data, resume=False, device="cpu")
    return run


def test_at_the_files_size_maps_are_those_of_the_network_on_its_own_data(
    drive: Path, driver: VisionRun
) -> None:
    domain = open_domain(drive, (72, 72), CPU)
    maps = AttentionMaps(driver.path, domain.stored, CPU)
    numbers = torch.arange(4)
    log = open_driving_log(drive, rows=(4, 68), size=(64, 72))
    trained = load_network(driver)
    images = trained.batches.images(log.pictures.read(numbers))
    with torch.no_grad():
        expected = trained.network.attend(images, torch.ones(4)).map
    assert torch.allclose(maps(domain.read(numbers)), expected, atol=1e-5)
    assert maps.epoch == 1


def test_gradients_reach_the_pictures_and_no_weight(drive: Path, driver: VisionRun) -> None:
    maps = AttentionMaps(driver.path, (72, 72), CPU)
    pictures = open_domain(drive, (32, 32), CPU).read(torch.arange(2)).requires_grad_()
    maps(pictures).sum().backward()
    assert pictures.grad is not None
    # The last column is one that no convolution of stride 2 reaches.
    assert bool((pictures.grad[:, :, 4:28, :31].abs().sum((0, 1)) > 0).all())
    assert not any(p.requires_grad for p in maps._network.parameters())
    assert not maps._network.training


def test_pictures_that_it_cannot_see_are_one_line(driver: VisionRun) -> None:
    said = complaint(lambda: AttentionMaps(driver.path, (60, 72), CPU))
    assert "expected pictures that the network can see, 64x72 of rows 4 to 68, got 60x72" in said


def test_pixels_and_unit_range_are_each_other_undone() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    assert torch.equal(to_pixels(to_unit(pixels)), pixels)
