"""Deletion and insertion: small cases by hand, and planted truths."""

import numpy as np
import pytest
import torch
from torch import nn

from rl_abn.explain.cells import cell_of_pixels, grid_of, pixel_mask, to_cells
from rl_abn.explain.controls import controls_of
from rl_abn.explain.removal import fractions_of, ranks_of, removal
from rl_abn.explain.responses import log_odds, losses
from rl_abn.explain.rivals.priors import random
from rl_abn.explain.sensitivity import correlation, sensitivity_n
from rl_abn.explain.subject import Answer, Subject
from rl_abn.explain.substrates import SUBSTRATES, blurred, make_substrate


def two_by_two(weights: list[float]) -> Subject:
    """One picture of 2x2 pixels, all 1; the value is their weighted sum."""
    images = torch.ones(1, 1, 2, 2)
    weigh = torch.tensor(weights)

    def ask(pixels: torch.Tensor, numbers: torch.Tensor) -> Answer:
        return Answer(None, (pixels.flatten(1) * weigh).sum(dim=1))

    return Subject(images, ask, nn.Identity(), (2, 2))


def test_deletion_and_insertion_by_hand() -> None:
    subject = two_by_two([4.0, 2.0, 1.0, 0.0])
    best = torch.tensor([[[4.0, 3.0], [2.0, 1.0]]])
    worst = -best
    found = removal(
        subject,
        {"best": best, "worst": worst},
        {"zero": torch.zeros(1, 1, 2, 2)},
        fractions=(0.25, 0.5),
    )
    areas = {key[0::2]: values.item() for key, values in found.areas.items() if key[3] == "value"}
    # Without the first cell 4 of 7 are lost, without two 6; the other way round 0 and 1.
    assert areas["best", "deletion"] == pytest.approx((4 + 6) / 2)
    assert areas["worst", "deletion"] == pytest.approx((0 + 1) / 2)
    # Of nothing but the first cell 4 of the 7 lost are put right, of two 6.
    assert areas["best", "insertion"] == pytest.approx((4 + 6) / 2)
    assert areas["worst", "insertion"] == pytest.approx((0 + 1) / 2)
    curve = found.curves["best", "zero", "deletion", "value"]
    np.testing.assert_allclose(curve, [4.0, 6.0])


def test_sensitivity_by_hand() -> None:
    subject = two_by_two([4.0, 2.0, 1.0, 0.0])
    right = torch.tensor([[[4.0, 2.0], [1.0, 0.0]]])
    found = sensitivity_n(
        subject, {"right": right, "flat": torch.ones(1, 2, 2), "wrong": -right},
        torch.zeros(1, 1, 2, 2), 16,
    )  # fmt: skip
    # A function that is a sum: what is lost is exactly what the map says.
    assert found["right", "value"].item() == pytest.approx(1.0)
    assert found["wrong", "value"].item() == pytest.approx(-1.0)
    assert found["flat", "value"].item() == 0.0


def test_correlation_is_pearsons() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 3, 20))
    found = correlation(torch.tensor(one), torch.tensor(other)).numpy()
    expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(one, other, strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_responses_by_hand() -> None:
    own = Answer(torch.tensor([[0.0, np.log(3.0)]]), torch.tensor([2.0]))  # 1/4, 3/4
    now = Answer(torch.tensor([[0.0, 0.0]]), torch.tensor([0.5]))
    lost = losses(own, now, torch.tensor([1]))
    assert lost["log_odds"].item() == pytest.approx(np.log(3.0))
    kl = 0.25 * np.log(0.25 / 0.5) + 0.75 * np.log(0.75 / 0.5)
    assert lost["kl"].item() == pytest.approx(kl)
    assert lost["value"].item() == pytest.approx(1.5)
    logits = torch.randn(5, 4, dtype=torch.float64)
    p = logits.softmax(dim=1)[:, 2]
    found = log_odds(logits, torch.full((5,), 2))
    torch.testing.assert_close(found, torch.log(p / (1 - p)))


def test_ranks_and_ties() -> None:
    maps = torch.tensor([[[0.1, 0.4], [0.3, 0.2]]])
    assert ranks_of(maps).tolist() == [[3, 0, 1, 2]]
    flat = ranks_of(torch.zeros(200, 3, 3))
    assert (flat.sort(dim=1).values == torch.arange(9)).all()
    # A flat map marks no cell before the others.
    assert (flat.double().mean(dim=0) - 4).abs().max() < 0.8


def test_cells_cover_all_pixels() -> None:
    cells = cell_of_pixels((2, 3), (5, 7))
    assert cells.tolist()[0] == [0, 0, 0, 1, 1, 2, 2]
    assert cells.unique().tolist() == list(range(6))
    mask = pixel_mask(torch.eye(6), cells)
    assert mask.sum(dim=0).eq(1).all()
    assert to_cells(torch.arange(16.0).view(1, 4, 4), (2, 2)).tolist() == [
        [[2.5, 4.5], [10.5, 12.5]]
    ]
    # Fine maps are compared on a coarser grid: 14x47 of a driving network, 21x21, and 9x9 as it is.
    assert [grid_of(14, 47), grid_of(21, 21), grid_of(9, 9)] == [(7, 12), (11, 11), (9, 9)]
    assert fractions_of(3)[0] < 0.2 < fractions_of(3)[-1] < 1


@pytest.mark.parametrize("name", SUBSTRATES)
def test_substrates(name: str) -> None:
    images = torch.rand(6, 2, 8, 8) + torch.tensor([0.0, 3.0])[:, None, None]
    images[:3, 0, 4, 4] = 50.0
    made = make_substrate(name, images, torch.Generator().manual_seed(0))
    assert made.shape == images.shape
    assert torch.isfinite(made).all()
    again = make_substrate(name, images, torch.Generator().manual_seed(0))
    assert torch.equal(made, again)
    if name == "background":
        assert made[0, 0, 4, 4] < 50.0  # what moves is gone
    if name == "blur":
        torch.testing.assert_close(blurred(torch.ones(1, 1, 8, 8), 2.0), torch.ones(1, 1, 8, 8))


def test_an_unknown_substrate() -> None:
    with pytest.raises(ValueError, match="expected a substrate of"):
        make_substrate("snow", torch.zeros(1, 1, 4, 4), torch.Generator())


def test_a_smooth_random_map_is_not_rewarded(subject: Subject, module) -> None:
    """A planted smooth map in the wrong place does no better than its own controls."""
    images = subject.images
    substrates = {"mean": make_substrate("mean", images, torch.Generator())}
    rough = random(subject.n, subject.grid, seed=3)
    smooth = blurred(rough[:, None], 1.5)[:, 0]
    maps = {"smooth": smooth, "truth": module.planted(subject.n)}
    maps |= {f"control {n}": m for n, m in controls_of(smooth, seed=1).items()}
    found = removal(subject, maps, substrates, fractions_of(4))
    areas = {key[0]: values for key, values in found.areas.items() if key[2:] == ("deletion", "kl")}
    gaps = [
        areas["smooth"] - areas[name]
        for name in areas
        if name.startswith("control") and "inverse" not in name
    ]
    # Within two standard errors of every control; the truth is far from them.
    for gap in gaps:
        assert abs(gap.mean()) < 2.5 * gap.std() / np.sqrt(len(gap))
    assert (areas["truth"] - areas["smooth"]).mean() > 0.05
