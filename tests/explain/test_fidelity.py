"""F-Fidelity finds the truth where plain removal is fooled by what stands in the hole."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from rl_abn.explain.fidelity import SHARE, distillation, fidelity, fine_tuned, masked_pictures
from rl_abn.explain.methods import Effort
from rl_abn.explain.parts import Parts
from rl_abn.explain.removal import removal
from rl_abn.explain.study import FIDELITY, Thoroughness, study
from rl_abn.explain.subject import Answer, Subject

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


def test_the_true_ranking_is_recovered_where_plain_removal_is_fooled() -> None:
    subject, maps, grey = planted()
    plain = removal(subject, maps, {"grey": grey}, [1 / 16]).areas
    lost = {name: plain[name, "grey", "deletion", "value"].mean() for name in maps}
    assert lost["artefact"] > 5 * lost["truth"]
    before = {name: w.clone() for name, w in subject.module.state_dict().items()}
    draw = masked_pictures(subject, [grey])
    tuned = fine_tuned(subject, draw, distillation(subject.answers(), 1500, 0.02))
    found = fidelity(tuned, maps, {"grey": grey}, 3)
    score = {name: found[name, "grey", "value"].mean() for name in maps}
    assert score["truth"] > 3 * abs(score["artefact"])
    assert all(torch.equal(w, before[name]) for name, w in subject.module.state_dict().items())


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
    assert first.numbers["map", FIDELITY, "blur", "value"].shape == (N,)
    done = []
    again = study(Parts(tmp_path, {}, lambda name, kept: done.append(kept)), subject, own, how)
    assert all(done)
    for key, values in first.numbers.items():
        assert np.array_equal(values, again.numbers[key])
