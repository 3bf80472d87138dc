"""Tests maps of a subject: makes rivals and controls, and measures all of them alike, in parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rl_abn.explain.controls import INVERSE, controls_of
from rl_abn.explain.fidelity import BATCH as FIDELITY_BATCH
from rl_abn.explain.fidelity import FineTuning, fidelity, fine_tuned, split
from rl_abn.explain.methods import METHODS, Effort, Request, make_maps, possible
from rl_abn.explain.randomisation import MakeMap, Randomisation, parameter_randomisation
from rl_abn.explain.removal import fractions_of, removal
from rl_abn.explain.responses import chosen
from rl_abn.explain.rivals.gradient import grad_cam
from rl_abn.explain.sensitivity import sensitivity_n
from rl_abn.explain.stability import stability
from rl_abn.explain.subject import Subject
from rl_abn.explain.substrates import make_substrate
from rl_abn.files.parts import Part, Parts

SENSITIVITY, FIDELITY = "sensitivity", "f-fidelity"
Tick = Callable[[str, int], None]
"""Told what is worked on and how many passes were made."""


@dataclass(frozen=True)
class Thoroughness:
    """How much work a study does.

    Attributes:
        substrates: What stands where something is removed.
        n_fractions: Points of deletion and insertion.
        n_sets: Sets of cells of sensitivity-n.
        effort: Of the rivals that sample.
        sanity_pictures: How many pictures the sanity checks use.
        n_noisy: Noisy copies that maps are averaged over in the parameter randomisation.
        most_layers: At most so many layers are drawn anew one by one; of more, several at a time.
        fidelity_steps: Steps of the fine-tuning of F-Fidelity, at most; 0 leaves F-Fidelity out.
    """

    substrates: tuple[str, ...] = ("blur", "mean", "noise", "background")
    n_fractions: int = 10
    n_sets: int = 128
    effort: Effort = field(default_factory=Effort)
    sanity_pictures: int = 48
    n_noisy: int = 8
    most_layers: int = 12
    fidelity_steps: int = 0


QUICK = Thoroughness(
    substrates=("blur", "background"),
    n_fractions=4,
    n_sets=32,
    effort=Effort(path_steps=8, samples=8, masks=64),
    sanity_pictures=12,
    n_noisy=2,
    most_layers=6,
)
HIDDEN_BY = "blur"
"""The substrate of rivals that hide something."""


class Study(NamedTuple):
    """What was measured of maps over N pictures.

    Attributes:
        primary: Name of the map that the study is of.
        maps: All maps by name, float32 [N, h, w].
        groups: By map: "own" (of the subject, or made of its map), "control", "inverse" or "rival".
        numbers: By (map, metric, substrate, response), each picture's number, float64 [N]; the
            metric is "deletion", "insertion", "f-fidelity" or "sensitivity", and of the last the
            substrate is `HIDDEN_BY`. F-Fidelity has those of the pictures that were held out.
        curves: By (map, metric, substrate, response), [F].
        fractions: Of the cells, [F].
        randomisation: By map; empty where the subject cannot be rebuilt.
        stability: By map, then by change: Spearman's correlation, [n].
        responses: Names of the responses, the most telling first.
        fine_tuning: Of F-Fidelity's copy; None without F-Fidelity.
    """

    primary: str
    maps: dict[str, np.ndarray]
    groups: dict[str, str]
    numbers: dict[tuple[str, str, str, str], np.ndarray]
    curves: dict[tuple[str, str, str, str], np.ndarray]
    fractions: tuple[float, ...]
    randomisation: dict[str, Randomisation]
    stability: dict[str, dict[str, np.ndarray]]
    responses: tuple[str, ...]
    fine_tuning: FineTuning | None = None

    @property
    def metrics(self) -> list[tuple[str, str, str]]:
        """All (metric, substrate, response) that were measured."""
        return list(dict.fromkeys(key[1:] for key in self.numbers))

    def over_substrates(self, name: str, metric: str, response: str) -> np.ndarray:
        """Returns a map's numbers of a metric, the mean over the substrates, float64 [N]."""
        found = [
            values
            for (map_name, of, _, what), values in self.numbers.items()
            if (map_name, of, what) == (name, metric, response)
        ]
        mean: np.ndarray = np.mean(found, axis=0)
        return mean


def work_of(n: int, n_cells: int, n_layers: int, n_maps: int, how: Thoroughness) -> dict[str, int]:
    """Returns about how many pictures each part of a study asks about, by the part's name.

    Args:
        n: N, pictures.
        n_cells: Cells of the grid.
        n_layers: Layers of the subject.
        n_maps: Maps that are tested.
        how: How much is done.
    """
    few, effort = min(n, how.sanity_pictures), how.effort
    gradients = 3 * (effort.path_steps + effort.samples + 1)
    steps = 1 + min(how.most_layers, n_layers)
    removal = n * len(how.substrates) * 2 * how.n_fractions
    return {
        "maps": n * (2 * n_cells + effort.masks + gradients),
        **{f"removal-{i}": removal for i in range(n_maps)},
        "sensitivity": n * how.n_sets,
        "fidelity": 3 * FIDELITY_BATCH * how.fidelity_steps
        + (n_maps * removal if how.fidelity_steps else 0),
        "randomisation": few * how.n_noisy * 4 * steps,
        "stability": few * 6 * 4,
    }


def study(
    parts: Parts,
    subject: Subject,
    own: Mapping[str, MakeMap],
    how: Thoroughness = Thoroughness(),
    *,
    seed: int = 0,
    tick: Tick | None = None,
) -> Study:
    """Makes and tests maps.

    Args:
        parts: Where finished parts are kept.
        subject: What is explained.
        own: By name, what makes the subject's own maps; the first is the one that the controls are
            of. Where there are none, it is Grad-CAM, or else integrated gradients.
        how: How much work is done.
        seed: Of everything that is drawn.
        tick: Progress.
    """
    tell = tick or (lambda what, n: None)
    generator = torch.Generator(subject.device).manual_seed(seed)
    substrates = {name: make_substrate(name, subject.images, generator) for name in how.substrates}
    settings = repr((how, seed, list(own)))
    kept = parts.do("maps", lambda: _maps(subject, own, substrates, how, seed, tell), how=settings)
    groups: dict[str, str] = kept.result["groups"]
    primary: str = kept.result["primary"]
    maps = {name: kept.arrays[f"map {i}"] for i, name in enumerate(groups)}
    tensors = {
        name: torch.as_tensor(values, device=subject.device) for name, values in maps.items()
    }
    numbers: dict[tuple[str, str, str, str], np.ndarray] = {}
    curves: dict[tuple[str, str, str, str], np.ndarray] = {}
    for name, tensor in tensors.items():
        found = parts.do(
            f"removal-{list(maps).index(name)}",
            lambda name=name, tensor=tensor: _removal(  # type: ignore[misc]
                subject, name, tensor, substrates, how, seed, tell
            ),
            how=settings,
        )
        for key, values in found.arrays.items():
            kind, *words = key.split("|")
            target = numbers if kind == "area" else curves
            target[name, words[0], words[1], words[2]] = values
    found = parts.do(
        "sensitivity",
        lambda: _sensitivity(subject, tensors, substrates[HIDDEN_BY], how, seed, tell),
        how=settings,
    )
    for key, values in found.arrays.items():
        name, response = key.split("|")
        numbers[list(maps)[int(name)], SENSITIVITY, HIDDEN_BY, response] = values
    fine_tuning = None
    if how.fidelity_steps and subject.rebuilt is not None:
        found = parts.do(
            "fidelity",
            lambda: _fidelity(subject, tensors, substrates, how, seed, tell),
            how=settings,
        )
        for key, values in found.arrays.items():
            name, substrate, response = key.split("|")
            numbers[list(maps)[int(name)], FIDELITY, substrate, response] = values
        fine_tuning = FineTuning(**found.result)
    few = replace(subject, images=subject.images[: how.sanity_pictures])
    makers: dict[str, MakeMap] = dict(list(own.items())[:1])
    if subject.features is not None:
        choice = chosen(few.answers())
        makers["grad_cam"] = lambda which: grad_cam(which, choice)
    randomised: dict[str, Randomisation] = {}
    if subject.rebuilt is not None and makers:
        found = parts.do(
            "randomisation", lambda: _randomisation(few, makers, how, seed, tell), how=settings
        )
        for i, name in enumerate(makers):
            similarity, unrelated = found.arrays[f"similarity {i}"], found.arrays[f"unrelated {i}"]
            randomised[name] = Randomisation(tuple(found.result["layers"]), similarity, unrelated)
    found = parts.do("stability", lambda: _stability(few, makers, seed, tell), how=settings)
    stable: dict[str, dict[str, np.ndarray]] = {name: {} for name in makers}
    for key, values in found.arrays.items():
        number, change = key.split("|")
        stable[list(makers)[int(number)]][change] = values
    measured = list(dict.fromkeys(response for *_, response in numbers))
    return Study(
        primary,
        maps,
        groups,
        numbers,
        curves,
        fractions_of(how.n_fractions),
        randomised,
        stable,
        tuple(measured),
        fine_tuning,
    )


def _maps(
    subject: Subject,
    own: Mapping[str, MakeMap],
    substrates: Mapping[str, Tensor],
    how: Thoroughness,
    seed: int,
    tell: Tick,
) -> Part:
    answer = subject.answers()
    maps = {name: make(subject) for name, make in own.items()}
    groups = dict.fromkeys(maps, "own")
    request = Request(subject, answer, substrates[HIDDEN_BY], how.effort, seed)
    names = possible(subject, answer)
    share = subject.n * (2 * subject.grid[0] * subject.grid[1] + how.effort.masks) // len(names)
    for name, made in make_maps(request, names, lambda name: tell(name, share)).items():
        maps[name] = made
        groups[name] = "own" if "maps" in METHODS[name].needs else "rival"
    primary = next(iter(own), "grad_cam" if "grad_cam" in maps else "integrated_gradients")
    for name, made in controls_of(maps[primary], seed).items():
        maps[name], groups[name] = made, "inverse" if name == INVERSE else "control"
    order = sorted(
        maps, key=lambda name: ["own", "control", "inverse", "rival"].index(groups[name])
    )
    arrays = {f"map {i}": maps[name].float().cpu().numpy() for i, name in enumerate(order)}
    return Part({"groups": {name: groups[name] for name in order}, "primary": primary}, arrays)


def _removal(
    subject: Subject,
    name: str,
    tensor: Tensor,
    substrates: Mapping[str, Tensor],
    how: Thoroughness,
    seed: int,
    tell: Tick,
) -> Part:
    found = removal(
        subject,
        {name: tensor},
        substrates,
        fractions_of(how.n_fractions),
        seed,
        lambda n: tell(f"deletion of {name}", n),
    )
    arrays = {f"area|{m}|{s}|{r}": values for (_, s, m, r), values in found.areas.items()}
    arrays |= {f"curve|{m}|{s}|{r}": values for (_, s, m, r), values in found.curves.items()}
    return Part(None, arrays)


def _sensitivity(
    subject: Subject,
    maps: Mapping[str, Tensor],
    substrate: Tensor,
    how: Thoroughness,
    seed: int,
    tell: Tick,
) -> Part:
    found = sensitivity_n(subject, maps, substrate, how.n_sets, seed)
    tell("sensitivity", subject.n * how.n_sets)
    names = list(maps)
    return Part(None, {f"{names.index(name)}|{r}": v for (name, r), v in found.items()})


def _fidelity(
    subject: Subject,
    maps: Mapping[str, Tensor],
    substrates: Mapping[str, Tensor],
    how: Thoroughness,
    seed: int,
    tell: Tick,
) -> Part:
    copied, fine_tuning = fine_tuned(
        subject,
        substrates,
        how.fidelity_steps,
        seed,
        tick=lambda n: tell("fine-tuning under masks", n),
    )
    tested = split(subject.n, seed)[1].to(subject.device)
    found = fidelity(
        copied.part(tested),
        {name: made[tested] for name, made in maps.items()},
        {name: made[tested] for name, made in substrates.items()},
        how.n_fractions,
        seed,
        tick=lambda n: tell("F-Fidelity", n),
    )
    names = list(maps)
    arrays = {f"{names.index(m)}|{s}|{r}": v for (m, s, r), v in found.items()}
    return Part(fine_tuning._asdict(), arrays)


def _randomisation(
    subject: Subject, makers: dict[str, MakeMap], how: Thoroughness, seed: int, tell: Tick
) -> Part:
    n_passes = subject.n * how.n_noisy * 4
    found = parameter_randomisation(
        subject,
        makers,
        n_noisy=how.n_noisy,
        seed=seed,
        most_steps=how.most_layers,
        tick=lambda layer: tell(f"randomised {layer}", n_passes),
    )
    arrays = {}
    for i, result in enumerate(found.values()):
        arrays[f"similarity {i}"], arrays[f"unrelated {i}"] = result.similarity, result.unrelated
    return Part({"layers": next(iter(found.values())).layers}, arrays)


def _stability(subject: Subject, makers: dict[str, MakeMap], seed: int, tell: Tick) -> Part:
    arrays = {}
    for i, make in enumerate(makers.values()):
        for change, values in stability(subject, make, seed).items():
            arrays[f"{i}|{change}"] = values
    tell("stability", subject.n * 6 * 4)
    return Part(None, arrays)
