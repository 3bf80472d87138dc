"""An agent's maps beside people's gaze: the recorded games, the maps at them, the scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from rl_abn.errors import RlAbnError
from rl_abn.explain.certificate import Certificate, gaze_line
from rl_abn.explain.examples import example_sheet
from rl_abn.explain.gaze import PEOPLE, score_maps
from rl_abn.explain.gaze_findings import (
    ANOTHER,
    CENTRE,
    MOTION,
    RANDOM,
    GazeFindings,
    gaze_blocks,
    gaze_findings,
    stretches_of,
)
from rl_abn.explain.methods import Effort, Request, make_maps, possible
from rl_abn.explain.report import Explanation, Picture
from rl_abn.explain.statements import examples
from rl_abn.explain.substrates import make_substrate
from rl_abn.files.parts import Part, Parts
from rl_abn.recipes import EnvRecipe, Protocol
from rl_abn.rl.evaluation.atari_head import (
    SCREEN,
    Trial,
    check_game,
    find_tables,
    read_trial,
    stamp_of,
)
from rl_abn.rl.evaluation.explained_policy import observation_subject, own_maps
from rl_abn.rl.evaluation.explanation_extent import GazeExtent
from rl_abn.rl.evaluation.gaze_replay import GazeMoments, choose_steps, replay
from rl_abn.rl.evaluation.map_player import OWN, check_map_name
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.training.build import training_protocol
from rl_abn.runs import Run

_SUBSTRATE = "blur"
_DOT, _EDGE = (255, 255, 255), (0, 0, 0)
_MOST_DOTS = 60
_SHOWN = 5


class GazeAsked(NamedTuple):
    """What was asked, checked before any work.

    Attributes:
        path: What was named.
        trials: The trials, as much of each as is used.
        chosen: For each the numbers of the steps that are asked about.
        protocol: How the agent sees.
        maps: Maps to score beside the agent's own.
    """

    path: Path
    trials: tuple[Trial, ...]
    chosen: tuple[tuple[int, ...], ...]
    protocol: Protocol
    maps: tuple[str, ...]

    def weights(self) -> dict[str, int]:
        """Returns about how much work each part is, by its name."""
        work = {
            f"gaze-trial-{i}": 1 + (self.chosen[i][-1] * self.protocol.frame_skip if steps else 0)
            for i, steps in enumerate(self.chosen)
        }
        return work | {"gaze": 4 * sum(map(len, self.chosen))}


class Gazed(NamedTuple):
    """What was found.

    Attributes:
        asked: What was asked.
        found: The scores.
        picture: A few moments with the gaze.
    """

    asked: GazeAsked
    found: GazeFindings
    picture: Picture


def ask_gaze(run: Run, path: Path, maps: Sequence[str], extent: GazeExtent) -> GazeAsked:
    """Checks what is asked, and chooses the moments.

    Args:
        run: Whose agent.
        path: A folder of trials, or one trial.
        maps: Maps to score beside the agent's own.
        extent: How much is done.

    Raises:
        RlAbnError: If the agent's game is none of ALE's, there is no such map, or there are no
            trials of this game with frames and a gaze.
    """
    recipe = run.recipe.env
    protocol = training_protocol(run.recipe)
    if not isinstance(recipe, EnvRecipe) or not isinstance(protocol, Protocol):
        raise RlAbnError(
            f"expected an agent of an Atari game with --gaze, got one of '{run.recipe.env_name}'"
        )
    for name in maps:
        check_map_name(name)
    tables = find_tables(path)
    picked = np.linspace(0, len(tables) - 1, min(len(tables), extent.trials)).round().astype(int)
    trials = []
    for i in picked:
        check_game(tables[i], recipe.game.rom, recipe.game.title)
        trials.append(read_trial(tables[i], extent.frames))
    chosen = choose_steps(trials, protocol, extent.moments)
    if sum(map(len, chosen)) < 2:
        raise RlAbnError(
            f"expected two moments or more with a gaze on the screen, got "
            f"{sum(map(len, chosen))} in '{path}'"
        )
    return GazeAsked(path, tuple(trials), tuple(map(tuple, chosen)), protocol, tuple(maps))


def explain_gaze(
    parts: Parts,
    policy: AttentionPolicy,
    asked: GazeAsked,
    effort: Effort,
    seed: int,
    tell: Callable[[str, int], None],
) -> Gazed:
    """Replays the games, makes the maps and scores them.

    Args:
        parts: Where finished parts are kept.
        policy: The agent's, in fp32.
        asked: What was asked.
        effort: Of maps that sample.
        seed: Of everything that is drawn.
        tell: Told what is worked on and how much of it was done.

    Raises:
        RlAbnError: If frames or an archive are damaged, or the agent lacks what a map is made of.
    """
    used = [i for i, steps in enumerate(asked.chosen) if steps]
    stamps = {i: stamp_of(asked.trials[i]) for i in used}
    seen = []
    for i in used:
        trial = asked.trials[i]

        def watch(i: int = i, trial: Trial = trial) -> Part:
            moments = replay(
                policy,
                asked.protocol,
                trial,
                i,
                asked.chosen[i],
                seed=seed,
                tick=lambda n: tell(f"gaze, {trial.name}", n),
            )
            return Part(None, moments.arrays())

        part = parts.do(f"gaze-trial-{i}", watch, trial=stamps[i], steps=asked.chosen[i])
        seen.append(part.arrays)
    moments = GazeMoments.of_arrays(seen)
    kept = parts.do(
        "gaze",
        lambda: _scores(policy, asked, moments, effort, seed, tell),
        trials=[stamps[i] for i in used],
        steps=[asked.chosen[i] for i in used],
        maps=asked.maps,
        effort=effort,
    )
    groups: dict[str, str] = kept.result["groups"]
    numbers = {
        (name, score): kept.arrays[f"score {i}"]
        for i, (name, score) in enumerate(map(tuple, kept.result["scores"]))
    }
    names = tuple(asked.trials[i].name for i in used)
    found = gaze_findings(numbers, groups, moments.trials, moments.frames, names, seed)
    shown = {
        name: kept.arrays[f"map {i}"]
        for i, name in enumerate(groups)
        if groups[name] != "control" or name == ANOTHER
    }
    return Gazed(asked, found, _picture(asked, moments, shown))


def _scores(
    policy: AttentionPolicy,
    asked: GazeAsked,
    moments: GazeMoments,
    effort: Effort,
    seed: int,
    tell: Callable[[str, int], None],
) -> Part:
    maps, groups = _maps(policy, asked, moments, effort, seed)
    top, end = asked.protocol.seen_rows or (0, SCREEN[0])
    where = np.split(moments.positions - [0, top], np.cumsum(moments.counts)[:-1])
    numbers = score_maps(
        maps,
        where,
        stretches_of(moments.trials, moments.frames),
        (end - top, SCREEN[1]),
        seed,
        lambda n: tell("gaze, scores", 4 * n),
    )
    arrays = {f"score {i}": values for i, values in enumerate(numbers.values())}
    arrays |= {f"map {i}": made.cpu().numpy() for i, made in enumerate(maps.values())}
    return Part({"groups": groups, "scores": [list(key) for key in numbers]}, arrays)


def _maps(
    policy: AttentionPolicy, asked: GazeAsked, moments: GazeMoments, effort: Effort, seed: int
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Returns all maps, and their groups, the studied one first."""
    device = policy.device
    images = torch.as_tensor(moments.observations, device=device).float()
    newest = images.shape[1] // asked.protocol.frame_stack
    previous = torch.as_tensor(moments.previous, device=device).float()[:, -newest:]
    memory = tuple(torch.as_tensor(part, device=device) for part in moments.memory) or None
    subject = observation_subject(policy, images, memory, previous)
    answer = subject.answers()
    maps = {name: make(subject) for name, make in own_maps(subject).items()}
    groups = dict.fromkeys(maps, "own")
    rivals = [name for name in dict.fromkeys(asked.maps) if name not in (OWN, MOTION)]
    if not maps and not rivals:
        rivals = ["grad_cam"]
    for name in rivals:
        if name not in possible(subject, answer):
            raise RlAbnError(f"expected an agent that states evidence for --map {name}, got none")
    generator = torch.Generator(device).manual_seed(seed)
    substrate = make_substrate(_SUBSTRATE, images, generator)
    request = Request(subject, answer, substrate, effort, seed)
    groups |= dict.fromkeys(rivals, "rival")
    controls = [CENTRE, RANDOM, MOTION]
    maps |= make_maps(request, [*rivals, *controls])
    primary = maps[next(iter(groups))]
    # The moments are in the order of play: half of all away is another stretch of it.
    maps[ANOTHER] = primary.roll(len(primary) // 2, dims=0)
    groups |= dict.fromkeys([*controls, ANOTHER], "control")
    return {name: maps[name] for name in groups}, groups


def _picture(asked: GazeAsked, moments: GazeMoments, shown: dict[str, np.ndarray]) -> Picture:
    """Draws a few moments, with the gaze as dots on the screen."""
    picked = np.linspace(0, len(moments.counts) - 1, min(_SHOWN, len(moments.counts)))
    picked = picked.round().astype(int)
    ends = np.cumsum(moments.counts)
    height, width = (2 * side for side in SCREEN)
    screens = []
    for i in picked:
        screen = cv2.resize(moments.screens[i], (width, height), interpolation=cv2.INTER_NEAREST)
        positions = moments.positions[ends[i] - moments.counts[i] : ends[i]]
        for colour, size in ((_EDGE, 5), (_DOT, 3)):
            for x, y in positions[:: -(-len(positions) // _MOST_DOTS)]:
                cv2.circle(screen, (int(2 * x), int(2 * y)), size, colour, -1)
        screens.append(np.asarray(screen))
    rows = asked.protocol.seen_rows
    png = example_sheet(
        screens,
        {name: maps[picked] for name, maps in shown.items()},
        [
            f"{asked.trials[moments.trials[i]].name}, frame {moments.frames[i] + 1:,}"
            for i in picked
        ],
        seen_rows=None if rows is None else (2 * rows[0], 2 * rows[1]),
        titles=("the screen; gaze white",),
        width=width,
    )
    picture = examples("Moments with the gaze", png)
    return picture._replace(says=f"{picture.says} The white dots are where the person looked.")


def with_gaze(explanation: Explanation, gazed: Gazed) -> Explanation:
    """Returns an explanation with what people's gaze says: a line, a section, numbers, caveats."""
    found, asked = gazed.found, gazed.asked
    controls = {n: d for n, d in found.differences.items() if found.groups[n] == "control"}
    n_trials = len(found.trials)
    of = f"{found.moments} moments of {n_trials} trial{'s' if n_trials > 1 else ''}"
    line = gaze_line(
        found.primary, found.scores[found.primary], controls, found.scores[PEOPLE]["nss"], of
    )
    data: dict[str, Any] = found.as_json()
    data["path"] = str(asked.path)
    section = ("Does it lie where people look?", [*gaze_blocks(found), gazed.picture])
    frames = ", ".join(f"{len(trial.frames):,}" for trial in asked.trials)
    return explanation._replace(
        certificate=Certificate((*explanation.certificate.lines, line)),
        sections=[*explanation.sections[:-1], section, explanation.sections[-1]],
        asked=explanation.asked
        | {"gaze": f"{asked.path}: {', '.join(found.trials)}; the first {frames} frames"},
        methods=[*explanation.methods, *_METHODS],
        caveats=[*explanation.caveats, *_CAVEATS],
        data=explanation.data | {"gaze": data},
    )


_METHODS = [
    (
        "gaze",
        "people's recorded frames go through the agent's own frame skip, pooling, resize and stack "
        "(Atari-HEAD: Zhang et al., AAAI 2020); the map is scored at the gaze on the newest frame",
    ),
    ("people's average", "the mean density of the gaze in all other stretches of play"),
]
_CAVEATS = [
    "A map that lies where people look is like a person's attention, not therefore a reason of "
    "this agent, which may play well by other things; and the games are the person's, not its own.",
    "With people's games an agent's memory is of what the person played. Tables do not say when a "
    "life is lost, so an agent that forgets then does not here.",
]
