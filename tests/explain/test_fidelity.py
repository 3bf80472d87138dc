"""F-Fidelity finds the truth where plain removal is fooled by what stands in the hole."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from rl_abn.explain.fidelity import (
    LEAST_SPLIT,
    SHARE,
    fidelity,
    fine_tuned,
    masked_pictures,
    split,
)
from rl_abn.explain.findings import findings
from rl_abn.explain.methods import Effort
from rl_abn.explain.removal import removal
from rl_abn.explain.report import map_tables
from rl_abn.explain.study import FIDELITY, Thoroughness, study
from rl_abn.explain.subject import Answer, Subject
from rl_abn.files.parts import Parts

N, SIDE = 64, 4


class Shocked(nn.Module):
    """The value is the first cell's brightness, and a shock for grey (-1) in the last cell."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(SIDE * SIDE))
        self.shock = nn.Parameter(torch.tensor(8.0))
        self.bias = nn.Parameter(torch.zeros(()))
        with torch.no_grad():
            self.weights[0] = 1.0

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        flat = pixels.flatten(1)
        return (
            flat.clamp_min(0.0) @ self.weights
            + self.bias
            + self.shock * (-flat[:, -1]).clamp_min(0.0)
        )


def subject_of(module: nn.Module, images: torch.Tensor) -> Subject:
    return Subject(
        images,
        lambda pixels, numbers: Answer(None, module(pixels)),
        module,
        (SIDE, SIDE),
        rebuilt=lambda other: subject_of(other, images),
    )


def planted() -> tuple[Subject, dict[str, torch.Tensor], torch.Tensor]:
    images = torch.rand(N, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    maps = {name: torch.zeros(N, SIDE, SIDE) for name in ("truth", "artefact")}
    maps["truth"][:, 0, 0], maps["artefact"][:, -1, -1] = 1.0, 1.0
    return subject_of(Shocked(), images), maps, torch.full_like(images, -1.0)


@pytest.mark.more
def test_the_true_ranking_is_recovered_where_plain_removal_is_fooled() -> None:
    subject, maps, grey = planted()
    plain = removal(subject, maps, {"grey": grey}, [1 / 16]).areas
    lost = {name: plain[name, "grey", "deletion", "value"].mean() for name in maps}
    assert lost["artefact"] > 5 * lost["truth"]
    before = {name: w.clone() for name, w in subject.module.state_dict().items()}
    tuned, how_far = fine_tuned(subject, {"grey": grey}, 1500, learning_rate=0.02)
    found = fidelity(tuned, maps, {"grey": grey}, 3)
    score = {name: found[name, "grey", "value"].mean() for name in maps}
    assert score["truth"] > 3 * abs(score["artefact"])
    assert all(torch.equal(w, before[name]) for name, w in subject.module.state_dict().items())
    # The pictures that are held out are answered as before, though they were not learned from.
    far = "masked, held out"
    assert how_far.after[far]["value"] < 0.05 * how_far.before[far]["value"]
    assert how_far.before["whole, held out"] == {"value": 0.0}
    assert how_far.is_split
    assert how_far.pictures == (N // 2, N // 2)


@pytest.mark.more
def test_it_stops_when_held_out_pictures_gain_no_more_and_keeps_the_best() -> None:
    subject, _, grey = planted()
    _, how_far = fine_tuned(subject, {"grey": grey}, 5000, learning_rate=0.02)
    steps, distances = zip(*how_far.curve, strict=True)
    assert how_far.stopped
    assert how_far.steps + 100 <= steps[-1] < 5000
    assert distances[steps.index(how_far.steps)] < 1.01 * min(distances)
    # What was kept is the copy of that step.
    assert how_far.after["masked, held out"]["value"] == pytest.approx(
        distances[steps.index(how_far.steps)]
    )
    _, short = fine_tuned(subject, {"grey": grey}, 30, learning_rate=0.02)
    assert not short.stopped
    assert short.curve[-1][0] == 30


def test_halves_share_no_picture_and_few_are_not_split() -> None:
    one, other = split(101, seed=4)
    assert sorted([*one.tolist(), *other.tolist()]) == list(range(101))
    assert torch.equal(split(101, seed=4)[0], one)
    assert not torch.equal(split(101, seed=5)[0], one)
    few = split(LEAST_SPLIT - 1)
    assert torch.equal(few[0], few[1])


def test_a_part_is_asked_with_its_own_numbers() -> None:
    subject, _, _ = planted()
    numbered = replace(subject, ask=lambda pixels, numbers: Answer(None, numbers.float()))
    part = numbered.part(torch.tensor([5, 2, 9]))
    assert part.answers().value.tolist() == [5, 2, 9]
    assert torch.equal(part.images, subject.images[[5, 2, 9]])
    assert part.part(torch.tensor([2])).answers().value.tolist() == [9]


def test_no_more_than_the_share_is_hidden() -> None:
    subject, _, grey = planted()
    pictures, numbers = masked_pictures(subject, [grey], seed=3)()
    hidden = (pictures == -1).flatten(1).float().mean(dim=1)
    assert 0 < hidden.max() <= SHARE + 1 / SIDE**2
    kept = pictures != -1
    assert torch.equal(pictures[kept], subject.images[numbers][kept])
    again, _ = masked_pictures(subject, [grey], seed=3)()
    assert torch.equal(again, pictures)


def test_it_is_a_part_of_a_study_that_is_kept(tmp_path: Path) -> None:
    subject, maps, _ = planted()
    how = Thoroughness(("blur",), 2, 8, Effort(2, 2, 8), 4, 1, 1, fidelity_steps=3)
    own = {"map": lambda which: maps["truth"][: which.n]}
    first = study(Parts(tmp_path, {}), subject, own, how)
    assert first.numbers["map", FIDELITY, "blur", "value"].shape == (N // 2,)
    done = []
    again = study(Parts(tmp_path, {}, lambda name, kept: done.append(kept)), subject, own, how)
    assert all(done)
    assert again.fine_tuning.curve[-1][0] == first.fine_tuning.curve[-1][0] == 3
    shown = next(
        block
        for block in map_tables(again, findings(again))
        if block.title == "F-Fidelity: how far the fine-tuning came"
    )
    assert "fine-tuned on 32 pictures and tested on 32 others" in shown.says
    assert [name for name, _ in shown.rows] == list(again.fine_tuning.before)
    for key, values in first.numbers.items():
        assert np.array_equal(values, again.numbers[key])
