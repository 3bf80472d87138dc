"""Explains a run's agent: is its map used, is it right, is it better than simple ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch

from rl_abn import __version__
from rl_abn.compute.device import device_of
from rl_abn.estimates import Estimate, mean
from rl_abn.explain.cells import to_cells
from rl_abn.explain.certificate import (
    Certificate,
    Lost,
    better_line,
    objects_line,
    right_line,
    sane_line,
    used_line,
)
from rl_abn.explain.controls import CONTROLS
from rl_abn.explain.examples import example_sheet
from rl_abn.explain.findings import Findings, findings
from rl_abn.explain.methods import METHODS
from rl_abn.explain.parts import Part, Parts
from rl_abn.explain.randomisation import MakeMap, layers_of
from rl_abn.explain.report import (
    Block,
    Chart,
    Explanation,
    Picture,
    Table,
    map_tables,
    methods_said,
    sanity_blocks,
    write_explanation,
)
from rl_abn.explain.study import QUICK, Study, Thoroughness, study
from rl_abn.explain.study import work_of as study_work
from rl_abn.explain.subject import Subject
from rl_abn.explain.work import Work
from rl_abn.progress import ProgressReport
from rl_abn.rl.envs.make import make_single_env
from rl_abn.rl.evaluation.explained_policy import in_fp32, policy_subject
from rl_abn.rl.evaluation.explained_states import ExplainedStates, collect_states
from rl_abn.rl.evaluation.explanation_parts import (
    INTACT,
    ObjectFinding,
    evidence_on_objects,
    fixed_moments,
    lost_score,
    object_findings,
    play_player,
    removed_objects,
)
from rl_abn.rl.evaluation.scores import difference
from rl_abn.rl.evaluation.title import how_trained
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.training.build import load_policy, training_protocol
from rl_abn.rl.training.teacher import taught_by, teacher_record
from rl_abn.runs import CheckpointChoice, Run
from rl_abn.runs.tensors import hash_of

EXPLANATIONS = "explanations"
_GAME_STEPS = 600
"""About how many steps a game has, for progress alone."""


class Extent(NamedTuple):
    """How much an explanation does.

    Attributes:
        episodes: Games of each player.
        states: Moments that maps are tested on.
        interventions: On the maps, in games.
        blind: Blind controls.
        max_steps: Steps after which games are cut off; None is the protocol's cap.
        moment_games: Games side by side that the moments are taken from.
        moment_steps: Steps of each of these.
        how: Of the study of maps.
    """

    episodes: int = 30
    states: int = 256
    interventions: tuple[str, ...] = (
        "uniform", "time_average", "swap", "shifted", "shuffled", "inverted", "zero",
    )  # fmt: skip
    blind: tuple[str, ...] = ("frozen", "swapped")
    max_steps: int | None = None
    moment_games: int = 8
    moment_steps: int = 1500
    how: Thoroughness = Thoroughness()
    quick: bool = False


FULL_EXTENT = Extent()
QUICK_EXTENT = Extent(
    episodes=8,
    states=32,
    interventions=("uniform", "swap"),
    blind=("frozen",),
    moment_games=4,
    moment_steps=400,
    how=QUICK,
    quick=True,
)


class Written(NamedTuple):
    """What was written.

    Attributes:
        page: The HTML file.
        data: The JSON file.
        explanation: What stands in them.
    """

    page: Path
    data: Path
    explanation: Explanation


def explain_run(
    run: Run,
    extent: Extent = FULL_EXTENT,
    *,
    out: Path | None = None,
    step: CheckpointChoice = None,
    seed: int = 0,
    device: str = "auto",
    report: ProgressReport | None = None,
) -> Written:
    """Explains a run's agent and writes what was found.

    Parts that are finished are kept in the folder; what is cut off goes on where it was.

    Args:
        run: Whose agent.
        extent: How much is done.
        out: The folder; None is explanations/ in the run folder.
        step: The checkpoint's step, or "best"; None is the newest.
        seed: Of everything that is drawn.
        device: Where the network runs.
        report: Progress display, in parts of the work.

    Raises:
        RlAbnError: If the checkpoint cannot be used or the folder not be written.
    """
    checkpoint = run.checkpoint(step)
    policy = load_policy(run, checkpoint, device_of(device))
    weights = hash_of(policy.state_dict())
    folder = out or run.path / EXPLANATIONS / (
        f"step-{checkpoint.step}-{'quick' if extent.quick else 'full'}-{seed}"
    )
    job = _Job(run, policy, extent, seed, report)
    inputs = {
        "weights": weights,
        "recipe": run.recipe.env.model_dump(mode="json"),
        "protocol": run.recipe.protocol_name,
        "seed": seed,
    }
    moments = {"states": extent.states, "of": [extent.moment_games, extent.moment_steps]}
    games = Parts(folder / "parts", inputs, job.work.part_done)
    parts = Parts(folder / "parts", inputs | moments, job.work.part_done)
    explanation = job.explain(games, parts, checkpoint.step)
    explanation.data["agent"]["sha256"] = weights
    job.work.finish()
    return Written(*write_explanation(folder, explanation), explanation)


class _Job:
    """One explanation as it is worked on."""

    def __init__(
        self,
        run: Run,
        policy: AttentionPolicy,
        extent: Extent,
        seed: int,
        report: ProgressReport | None,
    ) -> None:
        self.run, self.policy, self.extent, self.seed = run, policy, extent, seed
        has_maps = bool(policy.map_names)
        self.players = [INTACT, *(extent.interventions if has_maps else ())]
        self.players += [f"blind: {how}" for how in extent.blind]
        self.work = Work(self._weights(), report)

    def _weights(self) -> dict[str, int]:
        """Returns about how much work each part is, in passes of the network."""
        policy, extent = self.policy, self.extent
        shape = policy.features_extractor.out_shape[1:]
        weights = {_part_of(label): extent.episodes * _GAME_STEPS for label in self.players}
        weights["states"] = extent.moment_games * extent.moment_steps
        weights["moments"] = 24 * extent.states if policy.map_names else 0
        n_layers = len(layers_of(policy))
        each = study_work(extent.states, shape[0] * shape[1], n_layers, extent.how)
        n_maps = len(own_maps(policy)) + len(METHODS) + len(CONTROLS) + 1
        removal = each.pop("removal")
        weights |= each | {f"removal-{i}": removal for i in range(n_maps)}
        weights["objects"] = extent.states * len(getattr(self.run.recipe.env, "objects", {}))
        return weights

    def explain(self, games: Parts, parts: Parts, step: int) -> Explanation:
        """Does all parts, those of games and those of moments, and puts them together."""
        scores = {label: self._scores(games, label) for label in self.players}
        states = self._states(parts)
        policy = in_fp32(self.policy)
        subject = policy_subject(policy, states, policy.device)
        own = own_maps(policy)
        moments: dict[str, np.ndarray] = {}
        if policy.map_names:
            moments = parts.do(
                "moments", lambda: fixed_moments(policy, subject, states, self.seed)
            ).arrays
        tested = study(parts, subject, own, self.extent.how, seed=self.seed, tick=self.work.tell)
        removed = parts.do("objects", lambda: removed_objects(subject, states)).arrays
        found = findings(tested, seed=self.seed)
        return self._explanation(step, scores, states, subject, moments, tested, found, removed)

    def _scores(self, parts: Parts, label: str) -> dict[str, Any]:
        extent = self.extent
        result: dict[str, Any] = parts.do(
            _part_of(label),
            lambda: play_player(
                self.run,
                self.policy,
                label,
                n_games=extent.episodes,
                seed=self.seed,
                max_steps=extent.max_steps,
                report=cast(ProgressReport, _Games(self.work, label)),
            ),
            label=label,
            episodes=extent.episodes,
            max_steps=extent.max_steps,
        ).result
        return result

    def _states(self, parts: Parts) -> ExplainedStates:
        recipe, extent = self.run.recipe, self.extent

        def collect() -> Part:
            states = collect_states(
                self.policy,
                recipe.env,
                training_protocol(recipe),
                extent.states,
                n_games=extent.moment_games,
                max_steps=extent.moment_steps,
                seed=self.seed,
                tick=lambda done, of: self.work.tell("moments", extent.moment_games),
            )
            return Part({"objects": list(states.objects)}, states.arrays())

        kept = parts.do("states", collect)
        return ExplainedStates.of_arrays(kept.arrays, tuple(kept.result["objects"]))

    def _explanation(
        self,
        step: int,
        scores: dict[str, dict[str, Any]],
        states: ExplainedStates,
        subject: Subject,
        moments: dict[str, np.ndarray],
        tested: Study,
        found: Findings,
        removed: dict[str, np.ndarray],
    ) -> Explanation:
        run, extent, seed = self.run, self.extent, self.seed
        intact = scores[INTACT]["scores"]
        lost = [
            lost_score(label, scores[label]["scores"], intact, seed)
            for label in self.players
            if label in extent.interventions
        ]
        blind = {
            label: difference(np.array(scores[label]["scores"]), np.array(intact), seed)
            for label in self.players
            if label.startswith("blind: ")
        }
        sees = None
        if blind and all(gap.high is not None for gap in blind.values()):
            sees = all(gap.high is not None and gap.high < 0 for gap in blind.values())
        kl = {
            key.partition("|")[0]: mean(values, seed)
            for key, values in moments.items()
            if key.endswith("|kl")
        }
        value = {
            key.partition("|")[0]: mean(values, seed)
            for key, values in moments.items()
            if key.endswith("|value")
        }
        primary = tested.primary
        shown = {
            name: tested.maps[name]
            for name in (primary, "another moment", "evidence", "grad_cam", "occlusion", "motion",
                         "centre")
            if name in tested.maps
        }  # fmt: skip
        objects = object_findings(states, shown, removed, seed)
        names = make_single_env(run.recipe.env, training_protocol(run.recipe)).action_names
        evidence = evidence_on_objects(subject, states, names)
        lifts = {
            each.name: (each.lift[primary], each.follows)
            for each in objects
            if each.follows is not None
        }
        certificate = Certificate(
            (
                used_line(lost, sees, kl),
                right_line(found),
                better_line(found),
                objects_line(lifts),
                sane_line(found),
            )
        )
        agent = run.recipe.agent_name
        trained = how_trained(step, run.is_imported)
        record = teacher_record(run)
        teacher = None if record is None else taught_by(record)
        own = mean(np.array(intact, np.float64), seed)
        sections: list[tuple[str, list[Block]]] = [
            ("Is it used?", _used_blocks(scores, lost, blind, kl, value, own, seed)),
            ("Does it mark what matters?", map_tables(tested, found)),
            ("What does it lie on?", _object_blocks(objects, evidence, primary)),
            ("Is it sane?", sanity_blocks(tested, found)),
            ("Moments", [self._examples(states, shown)]),
        ]
        return Explanation(
            title=f"Where does {agent} look on {run.recipe.env.game.title}, and does it matter?",
            subtitle=(
                f"{run.path.name}, {trained}; {extent.episodes} games a player, {len(intact)} "
                f"intact with mean {own:.0f}; {subject.n} moments of its own games; 95% "
                f"bootstrap intervals; rl-abn {__version__}"
            ),
            certificate=certificate,
            sections=sections,
            asked={
                "agent": f"{agent}, {trained}" + ("" if teacher is None else f"; {teacher}"),
                "run": str(run.path),
                "game": f"{run.recipe.env.game.title}, protocol {run.recipe.protocol_name}",
                "studied map": primary,
                "games": f"{extent.episodes} of each player, all lives"
                + ("" if extent.max_steps is None else f", cut after {extent.max_steps:,} steps"),
                "moments": f"{subject.n}, spread over games of the agent's own",
                "grid": f"{subject.grid[0]}×{subject.grid[1]} cells, the same for every map",
                "substrates": ", ".join(extent.how.substrates),
                "seed": str(seed),
                "extent": "quick" if extent.quick else "full",
            },
            methods=methods_said(tested),
            caveats=caveats(run, extent, has_memory=bool(states.memory)),
            data={
                "agent": {
                    "name": agent,
                    "run": str(run.path),
                    "step": step,
                    "game": run.recipe.env_name,
                    "protocol": run.recipe.protocol_name,
                },
                "scores": {
                    label: {
                        "mean": mean(np.array(each["scores"], np.float64), seed)._asdict(),
                        **each,
                    }
                    for label, each in scores.items()
                },
                "used": {
                    each.name: {
                        "share": each.share._asdict(),
                        "probability_intact_is_better": each.probability
                        and each.probability._asdict(),
                    }
                    for each in lost
                },
                "sees": sees,
                "moments_kl": {name: e._asdict() for name, e in kl.items()},
                "moments_value": {name: e._asdict() for name, e in value.items()},
                "maps": found.as_json(),
                "objects": [each.as_json() for each in objects],
                "evidence_on_objects": evidence,
            },
        )

    def _examples(self, states: ExplainedStates, shown: dict[str, np.ndarray]) -> Picture:
        picked = np.linspace(0, len(states.steps) - 1, min(5, len(states.steps))).astype(int)
        protocol = training_protocol(self.run.recipe)
        png = example_sheet(
            [states.screens[i] for i in picked],
            {name: maps[picked] for name, maps in shown.items() if name != "centre"},
            [f"game {states.games[i] + 1}, step {states.steps[i]:,}" for i in picked],
            seen_rows=protocol.seen_rows,
            width=states.screens.shape[2],
        )
        says = (
            "Every map on one scale, as multiples of an even map; what is below 0 is shown as 0. "
            "Chosen by their numbers, not by how they look."
        )
        return Picture("Five moments", says, png)


def _part_of(label: str) -> str:
    """Returns the part's name of a player's games."""
    return "games-" + "".join(c if c.isalnum() else "-" for c in label)


class _Games(NamedTuple):
    """Shows games that are played as progress of the whole."""

    work: Work
    label: str

    def update(self, done: int, **numbers: object) -> None:
        """Counts the games that have ended."""
        self.work.set(f"games, {self.label}", done * _GAME_STEPS)


def own_maps(policy: AttentionPolicy) -> dict[str, MakeMap]:
    """Returns by name what makes an agent's own maps; none where they are no places."""
    if policy.settings.abilities.maps != "spatial":
        return {}
    if len(policy.map_names) == 1:
        return {"map": partial(_own_map, 0)}
    return {f"{name} map": partial(_own_map, i) for i, name in enumerate(policy.map_names)}


def _own_map(number: int, subject: Subject) -> torch.Tensor:
    maps = subject.answers().maps
    assert maps is not None
    return to_cells(maps[:, number], subject.grid)


def caveats(run: Run, extent: Extent, *, has_memory: bool) -> list[str]:
    """Returns what an explanation of an agent does not show."""
    said = [
        "An intervention shows whether this agent's score depends on this property of its map, not "
        "that it plays well because of the objects under it.",
        "Removal makes pictures that the network never saw, whatever stands in the gap; that is "
        "why several substrates are used and controls are shown.",
        "Occlusion and SARFA remove single cells, as deletion does: they are close to what "
        "deletion asks for, and a map that comes near them does well.",
        "Intervals are over games and moments of one trained agent. They contain no variation "
        "over training seeds, and each covers 95% on its own.",
        "An interval that includes 0 says that these games show no difference, not that there is "
        "none.",
    ]
    if has_memory:
        said.append(
            "The agent has a memory. At fixed moments it keeps what it remembers, so a removed "
            "object can still act on it."
        )
    if extent.quick:
        said.append("Made with --quick: few games and moments. Without it the intervals shrink.")
    return said


def _used_blocks(
    scores: Mapping[str, dict[str, Any]],
    lost: list[Lost],
    blind: Mapping[str, Any],
    kl: Mapping[str, Estimate],
    value: Mapping[str, Estimate],
    own: Estimate,
    seed: int,
) -> list[Block]:
    blocks: list[Block] = []
    by_name = {each.name: each for each in lost}
    rows: list[tuple[str, list[Estimate | float | str | None]]] = []
    for label, each in scores.items():
        share = by_name[label].share if label in by_name else None
        probability = by_name[label].probability if label in by_name else None
        rows.append(
            (
                label.replace("_", " "),
                [
                    mean(np.array(each["scores"], np.float64), seed),
                    None if share is None else share.each(lambda s: 100 * s),
                    None if probability is None else probability.each(lambda p: 100 * p),
                    float(np.mean(each["lengths"])),
                ],
            )
        )
    blocks.append(
        Table(
            "Scores with the map replaced, and blind",
            "The same games, with the map replaced at every step. The change is of the mean score, "
            "in percent; beside it how probably the intact agent scores more in a pair of games.",
            ("player", "mean score", "change, %", "intact is better, %", "mean steps"),
            rows,
            ".0f",
        )
    )
    if lost:
        blocks.append(
            Chart(
                "Change of the score, in percent",
                "Left of 0 the replaced map costs score; an interval with 0 in it shows nothing.",
                [
                    (each.name.replace("_", " "), "own", each.share.each(lambda s: 100 * s))
                    for each in lost
                ],
                "% of the intact agent's mean score",
                form=".0f",
            )
        )
    if kl:
        blocks.append(
            Chart(
                "Change of the policy at fixed moments",
                "KL of the agent's own policy from the one with the map replaced, in nats. Its "
                "memory is as it was. The numbers have maps of policy and value apart, too.",
                _of_all_maps(kl),
                "nats",
                form=".3f",
            )
        )
        blocks.append(
            Chart(
                "Change of the value at fixed moments",
                "The absolute change of the agent's value.",
                _of_all_maps(value),
                "value",
            )
        )
    return blocks


def _of_all_maps(changes: Mapping[str, Estimate]) -> list[tuple[str, str, Estimate]]:
    """Returns the rows of interventions on all maps together."""
    return [
        (name.replace("_", " "), "own", estimate)
        for name, estimate in changes.items()
        if ":" not in name
    ]


def _nats(estimate: Estimate | None) -> str | None:
    return None if estimate is None else f"{estimate:.3f}"


def _object_blocks(
    objects: list[ObjectFinding], evidence: dict[str, dict[str, float]], primary: str
) -> list[Block]:
    if not objects:
        return []
    names = list(objects[0].lift)
    blocks: list[Block] = [
        Table(
            "Share of the map over share of the area",
            "1 is what an even map has. Removal: how much the policy changes, in nats, when the "
            "object is taken off the screen, so what a good map would follow. 'Another moment' is "
            "the studied map of another moment: what does not depend on where the object is now.",
            ("object", "moments", "removal", *(name.replace("_", " ") for name in names)),
            [
                (
                    each.name.replace("_", " "),
                    [str(each.pictures), _nats(each.effect), *(each.lift[name] for name in names)],
                )
                for each in objects
            ],
        ),
        Table(
            "Pointing game",
            "How often the map's highest point lies on the object, or within half a cell of it.",
            ("object", *(name.replace("_", " ") for name in names)),
            [
                (each.name.replace("_", " "), [each.pointing[name] for name in names])
                for each in objects
            ],
        ),
    ]
    if evidence:
        columns = list(next(iter(evidence.values())))
        blocks.append(
            Table(
                "Which action's evidence lies on which object",
                "Share of the evidence for an action over share of the area.",
                ("action", *(name.replace("_", " ") for name in columns)),
                [(action, [row[name] for name in columns]) for action, row in evidence.items()],
            )
        )
    return blocks


def with_changes(
    extent: Extent,
    *,
    episodes: int | None = None,
    states: int | None = None,
    max_steps: int | None = None,
) -> Extent:
    """Returns an extent with other numbers of games, moments and steps where they are given."""
    if episodes is not None:
        extent = extent._replace(episodes=episodes)
    if max_steps is not None:
        extent = extent._replace(
            max_steps=max_steps, moment_steps=min(max_steps, extent.moment_steps)
        )
    if states is not None:
        n = min(states, extent.how.sanity_pictures)
        extent = extent._replace(states=states, how=replace(extent.how, sanity_pictures=n))
    return extent
