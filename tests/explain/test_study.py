"""A study of planted maps, its findings and its certificate."""

from pathlib import Path

import pytest
import torch

from rl_abn.errors import RlAbnError
from rl_abn.estimates import Estimate
from rl_abn.explain.certificate import (
    Lost,
    better_line,
    objects_line,
    percent,
    right_line,
    sane_line,
    used_line,
)
from rl_abn.explain.findings import findings
from rl_abn.explain.methods import Effort
from rl_abn.explain.randomisation import draw_anew, layers_of, rank_correlation
from rl_abn.explain.stability import shift
from rl_abn.explain.study import Study, Thoroughness, study
from rl_abn.explain.subject import Subject
from rl_abn.files.parts import Parts

HOW = Thoroughness(("blur", "mean"), 3, 24, Effort(4, 4, 32), 8, 2, 4)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals of few resamples: what is tested here is not their ends."""
    monkeypatch.setattr("rl_abn.estimates.N_RESAMPLES", 100)


def study_of(subject: Subject, own: torch.Tensor, folder: Path) -> Study:
    return study(Parts(folder, {}), subject, {"map": lambda which: own[: which.n]}, HOW)


def test_the_truth_is_right(subject: Subject, module, tmp_path: Path) -> None:
    noise = 0.01 * torch.rand(24, 8, 8, generator=torch.Generator().manual_seed(0))
    found = findings(study_of(subject, module.planted(24) + noise, tmp_path))
    verdicts = {each.name: each.verdict for each in found.beside}
    for name in ("shifted", "blocks permuted", "same spectrum", "inverse", "motion", "random"):
        assert verdicts[name] == "better", name
    # The patch is at one place: another moment's map marks it as well, and the line says so.
    line = right_line(found)
    assert line.verdict == "partly"
    assert "its place counts, not its moment" in line.text


def test_a_moving_truth_beats_its_other_moments(subject: Subject, tmp_path: Path) -> None:
    """What matters is where the picture is bright, and that moves."""
    n, size = 24, 8
    places = torch.randint(size * size, (n,), generator=torch.Generator().manual_seed(0))
    truth = torch.zeros(n, size * size)
    truth[torch.arange(n), places] = 1.0
    truth = truth.view(n, size, size)
    images = 3.0 * truth.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, None]

    from rl_abn.explain.subject import Answer

    def ask(pixels: torch.Tensor, numbers: torch.Tensor) -> Answer:
        bright = pixels.amax(dim=(1, 2, 3))
        return Answer(torch.stack([bright, torch.zeros_like(bright)], dim=1), bright)

    moving = Subject(images, ask, torch.nn.Linear(1, 1), (size, size))
    noise = 0.01 * torch.rand(n, size, size, generator=torch.Generator().manual_seed(1))
    found = findings(study_of(moving, truth + noise, tmp_path))
    assert right_line(found).verdict == "yes"
    assert "4 of its 4 controls" in right_line(found).text
    cheap = {each.name: each.verdict for each in found.beside}
    assert cheap["centre"] == cheap["random"] == "better"


def test_a_wrong_map_is_told(subject: Subject, module, tmp_path: Path) -> None:
    wrong = torch.rand(24, 8, 8, generator=torch.Generator().manual_seed(5))
    found = findings(study_of(subject, wrong, tmp_path))
    assert right_line(found).verdict == "no"
    line = better_line(found)
    assert line.verdict == "no"
    # Evidence may be among them, which a branch states.
    assert line.text.startswith(f"Of {len(found.of_group('rival'))} maps made in other ways, it ")
    assert found.ranking.maps.index("map") > found.ranking.maps.index("grad_cam")
    assert found.sanity["map"]["another picture"].value < 0.5
    assert 0.0 <= found.ranking.agreement <= 1.0


def test_finished_parts_are_not_done_twice(subject: Subject, module, tmp_path: Path) -> None:
    own = module.planted(24)
    first = study_of(subject, own, tmp_path)
    stamps = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    asked = []
    from dataclasses import replace

    counted = replace(subject, ask=lambda *a: asked.append(1) or subject.ask(*a))
    again = study_of(counted, own, tmp_path)
    assert len(asked) <= 2  # what is chosen at the pictures of the sanity checks
    assert stamps == {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    for key, values in first.numbers.items():
        assert (values == again.numbers[key]).all()
    # With a damaged part that one alone is done again.
    (tmp_path / "sensitivity.npz").write_bytes(b"torn")
    study_of(subject, own, tmp_path)
    changed = [p.name for p in tmp_path.iterdir() if p.stat().st_mtime_ns != stamps[p.name]]
    assert changed == ["sensitivity.npz"]


def test_a_folder_that_cannot_be_made_is_told_first(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(RlAbnError, match="taken/parts: cannot be written: "):
        Parts(tmp_path / "taken" / "parts", {})


def test_other_inputs_make_other_parts(subject: Subject, module, tmp_path: Path) -> None:
    own = {"map": lambda which: module.planted(24)[: which.n]}
    study(Parts(tmp_path, {"weights": "a"}), subject, own, HOW)
    done = []
    parts = Parts(tmp_path, {"weights": "b"}, lambda name, kept: done.append(kept))
    study(parts, subject, own, HOW)
    assert done
    assert not any(done)


def test_weights_drawn_anew(module) -> None:
    assert layers_of(module) == ["conv", "out"]
    before = module.out.weight.detach().clone()
    draw_anew(module, "out", torch.Generator().manual_seed(0))
    assert (module.out.weight != before).float().mean() > 0.9
    assert module.out.weight.detach().std() == pytest.approx(before.std().item(), rel=0.2)


def test_rank_correlation_is_spearmans() -> None:
    from scipy import stats

    one, other = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    one[0].round_()
    found = rank_correlation(one, other)
    expected = [
        stats.spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(one, other, strict=True)
    ]
    assert found.tolist() == pytest.approx(expected)
    assert rank_correlation(torch.ones(1, 3, 3), one[:1, :3, :3]).item() == 0.0


def test_shift_continues_the_edge() -> None:
    image = torch.arange(9.0).view(1, 1, 3, 3)
    assert shift(image, 1, 0)[0, 0].tolist() == [[0, 1, 2], [0, 1, 2], [3, 4, 5]]
    assert shift(image, 0, -1)[0, 0].tolist() == [[1, 2, 2], [4, 5, 5], [7, 8, 8]]


def lost(name: str, value: float, low: float, high: float) -> Lost:
    return Lost(name, Estimate(value, low, high))


@pytest.mark.parametrize(
    ("flat", "kl", "verdict", "said"),
    [
        ((-0.68, -0.74, -0.61), 0.9, "yes", "Flattening the map costs 68% [61, 74] of the score"),
        ((-0.03, -0.14, 0.08), 0.9, "no", "-3% [-14, +8] (its answers change by 0.900 "
         "[0.900, 0.900] nats), which cannot be told from 0: this map is decoration."),
        ((-0.40, -0.64, 0.03), 0.9, "unclear", "nor from a large loss: play more games"),
        ((-0.40, -0.64, 0.03), 0.001, "no", "this map is decoration"),
        ((0.3, 0.1, 0.5), 0.9, "no", "it does harm"),
        ((-0.007, -0.011, -0.002), 0.009, "partly", "costs 0.7% [0.2, 1.1] of the score"),
    ],
)  # fmt: skip
def test_the_line_on_use(
    flat: tuple[float, float, float], kl: float, verdict: str, said: str
) -> None:
    line = used_line([lost("uniform", *flat)], kl={"uniform": Estimate(kl, kl, kl)})
    assert line.verdict == verdict
    assert said in line.text


def test_a_map_that_only_harms_when_it_is_wrong_brings_nothing() -> None:
    flat = lost("uniform", -0.01, -0.03, 0.01)
    line = used_line([flat, lost("swap", -0.02, -0.04, -0.01)])
    assert line.verdict == "no"
    assert line.text.endswith(
        "an even map would do. Another moment's map costs 2.0% [1.0, 4.0]: a wrong map does harm, "
        "its own brings nothing."
    )
    assert "decoration" in used_line([flat, lost("swap", -0.02, -0.04, 0.01)]).text


def test_the_line_on_use_of_an_error() -> None:
    used = used_line([lost("uniform", -0.5, -0.6, -0.4)], what="steering mae", is_error=True)
    assert used.text.startswith("Flattening the map adds 50% [40, 60] to the steering mae")
    harm = used_line([lost("uniform", 0.04, 0.01, 0.06)], what="steering mae", is_error=True)
    assert harm.text == (
        "Flattening the map lowers the steering mae by 4.0% [1.0, 6.0]: it does harm."
    )
    unclear = used_line([lost("uniform", -0.1, -0.3, 0.1)], what="mae", is_error=True)
    assert "changes the mae by +10% [-10, +30]" in unclear.text


def test_lines_without_maps_games_and_objects() -> None:
    assert used_line([]).verdict == "not asked"
    assert used_line([Lost("uniform", Estimate(-0.5, None, None))]).verdict == "unclear"
    assert objects_line({}).verdict == "not asked"
    assert percent(Estimate(0.5, None, None)) == "50%"


def test_the_line_on_objects() -> None:
    even, high = Estimate(1.0, 0.9, 1.1), Estimate(3.0, 2.5, 3.5)
    none, some, little = Estimate(0.0, -0.2, 0.2), Estimate(1.5, 1.0, 2.0), Estimate(0.1, 0.05, 0.2)
    assert objects_line({"player": (even, none)}).verdict == "no"
    assert objects_line({"player": (high, none)}).verdict == "partly"
    assert objects_line({"player": (high, little)}).verdict == "partly"
    line = objects_line({"player": (high, some), "ghost": (even, none)})
    assert line.verdict == "yes"
    assert "more than another moment's map: player (by +1.5 [+1.0, +2.0])" in line.text


def test_the_line_on_sanity(subject: Subject, module, tmp_path: Path) -> None:
    # The same map whatever is seen and whatever the weights are.
    found = findings(study_of(subject, module.planted(24), tmp_path))
    line = sane_line(found)
    assert line.verdict == "no"
    assert "nearly the same in every picture" in line.text
