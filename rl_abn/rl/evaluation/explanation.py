"""Explains a run's agent: is its map used, is it right, is it better than simple ones."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from rl_abn.compute.device import device_of
from rl_abn.errors import warn
from rl_abn.explain.controls import CONTROLS
from rl_abn.explain.methods import METHODS
from rl_abn.explain.randomisation import layers_of
from rl_abn.explain.report import Explanation
from rl_abn.explain.study import study
from rl_abn.explain.study import work_of as study_work
from rl_abn.explain.work import Work
from rl_abn.explain.written import PARTS, Written, folder_of, write_explanation
from rl_abn.files.parts import Part, Parts
from rl_abn.progress import ProgressReport
from rl_abn.rl.evaluation.explained_gaze import (
    GazeAsked,
    Gazed,
    ask_gaze,
    explain_gaze,
    with_gaze,
)
from rl_abn.rl.evaluation.explained_policy import in_fp32, own_maps, policy_subject
from rl_abn.rl.evaluation.explained_states import ExplainedStates, collect_states
from rl_abn.rl.evaluation.explanation_extent import FULL_EXTENT, Extent
from rl_abn.rl.evaluation.explanation_parts import (
    INTACT,
    fixed_moments,
    play_player,
    removed_objects,
)
from rl_abn.rl.evaluation.explanation_report import Measured, agent_explanation
from rl_abn.rl.evaluation.objects_over_training import (
    checkpoints_shown,
    objects_over_training,
    skipped_said,
    stamp_of,
)
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.training.build import load_policy, training_protocol
from rl_abn.runs import CheckpointChoice, Run
from rl_abn.runs.tensors import hash_of

_GAME_STEPS = 600
"""About how many steps a game has, for progress alone."""


def explain_run(
    run: Run,
    extent: Extent = FULL_EXTENT,
    *,
    out: Path | None = None,
    step: CheckpointChoice = None,
    seed: int = 0,
    device: str = "auto",
    gaze: Path | None = None,
    gaze_maps: Sequence[str] = (),
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
        gaze: People's recorded games to set the maps beside: a folder of Atari-HEAD's trials, or
            one trial; None asks nothing.
        gaze_maps: Maps to score there beside the agent's own.
        report: Progress display, in parts of the work.

    Raises:
        RlAbnError: If the checkpoint or the recorded games cannot be used, or the folder not be
            written.
    """
    checkpoint = run.checkpoint(step)
    asked = None if gaze is None else ask_gaze(run, gaze, gaze_maps, extent.gaze)
    policy = load_policy(run, checkpoint, device_of(device))
    weights = hash_of(policy.state_dict())
    folder = out or folder_of(run.path, f"step-{checkpoint.step}", quick=extent.quick, seed=seed)
    job = _Job(run, policy, extent, seed, report, {} if asked is None else asked.weights())
    inputs = {
        "weights": weights,
        "recipe": run.recipe.env.model_dump(mode="json"),
        "protocol": run.recipe.protocol_name,
        "seed": seed,
    }
    moments = {"states": extent.states, "of": [extent.moment_games, extent.moment_steps]}
    games = Parts(folder / PARTS, inputs, job.work.part_done)
    parts = Parts(folder / PARTS, inputs | moments, job.work.part_done)
    # First, so that an archive that cannot be read is refused before the hours of work.
    gazed = None if asked is None else job.gaze(games, asked)
    explanation = job.explain(games, parts, checkpoint.step)
    if gazed is not None:
        explanation = with_gaze(explanation, gazed)
    explanation.data["agent"]["sha256"] = weights
    job.work.finish()
    return write_explanation(folder, explanation)


class _Job:
    """One explanation as it is worked on."""

    def __init__(
        self,
        run: Run,
        policy: AttentionPolicy,
        extent: Extent,
        seed: int,
        report: ProgressReport | None,
        more_work: dict[str, int],
    ) -> None:
        self.run, self.policy, self.extent, self.seed = run, policy, extent, seed
        has_maps = bool(policy.map_names)
        self.players = [INTACT, *(extent.interventions if has_maps else ())]
        self.players += [f"blind: {how}" for how in extent.blind]
        self.work = Work(self._weights() | more_work, report)

    def _weights(self) -> dict[str, int]:
        """Returns about how much work each part is, in passes of the network."""
        policy, extent = self.policy, self.extent
        shape = policy.features_extractor.out_shape[1:]
        weights = {_part_of(label): extent.episodes * _GAME_STEPS for label in self.players}
        weights["states"] = extent.moment_games * extent.moment_steps
        weights["moments"] = 24 * extent.states if policy.map_names else 0
        n_layers = len(layers_of(policy))
        n_maps = len(policy.map_names) + len(METHODS) + len(CONTROLS) + 1
        weights |= study_work(extent.states, shape[0] * shape[1], n_layers, n_maps, extent.how)
        if extent.over_training:
            weights["over-training"] = extent.states * len(self.run.checkpoints)
        weights["objects"] = extent.states * len(getattr(self.run.recipe.env, "objects", {}))
        return weights

    def explain(self, games: Parts, parts: Parts, step: int) -> Explanation:
        """Does all parts, those of games and those of moments, and puts them together."""
        scores = {label: self._scores(games, label) for label in self.players}
        states = self._states(parts)
        policy = in_fp32(self.policy)
        subject = policy_subject(policy, states, policy.device)
        own = own_maps(subject)
        moments: dict[str, np.ndarray] = {}
        if policy.map_names:
            moments = parts.do(
                "moments", lambda: fixed_moments(policy, subject, states, self.seed)
            ).arrays
        tested = study(parts, subject, own, self.extent.how, seed=self.seed, tick=self.work.tell)
        removed = parts.do("objects", lambda: removed_objects(subject, states)).arrays
        points = checkpoints_shown(self.run, step)
        followed = None
        if self.extent.over_training and len(points) > 1 and states.objects:
            followed = parts.do(
                "over-training",
                lambda: objects_over_training(policy, points, states, self.work.tell),
                points=[stamp_of(point) for point in points],
            )
            for line in skipped_said(followed):
                warn(line)
        measured = Measured(scores, states, subject, moments, tested, removed, followed)
        return agent_explanation(self.run, step, self.extent, self.seed, measured)

    def gaze(self, parts: Parts, asked: GazeAsked) -> Gazed:
        """Does the parts that are of people's recorded games."""
        # A copy shares the weights: the games are played in the precision of the training.
        policy = in_fp32(copy.copy(self.policy))
        effort = self.extent.how.effort
        return explain_gaze(parts, policy, asked, effort, self.seed, self.work.tell)

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
