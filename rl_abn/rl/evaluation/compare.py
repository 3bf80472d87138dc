"""Runs beside each other: scores, curves, profiles, and how alike their maps and policies are."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from rl_abn.aggregates import (
    interquartile_mean,
    mean_curve,
    normalised,
    performance_profile,
    probability_of_improvement,
)
from rl_abn.compute.device import device_of
from rl_abn.errors import RlAbnError
from rl_abn.estimates import Estimate, mean
from rl_abn.explain.cells import to_cells
from rl_abn.explain.controls import another_moment
from rl_abn.explain.randomisation import rank_correlation
from rl_abn.explain.responses import chosen, losses
from rl_abn.explain.rivals.gradient import grad_cam
from rl_abn.files.text import read_json, write_output
from rl_abn.progress import ProgressReport
from rl_abn.render.learning_curves import draw_learning_curves
from rl_abn.render.profiles import Profile, draw_profiles
from rl_abn.rl.evaluation import scores as score_statistics
from rl_abn.rl.evaluation.explained_policy import in_fp32, own_maps, policy_subject
from rl_abn.rl.evaluation.explained_states import ExplainedStates, collect_states
from rl_abn.rl.evaluation.kept_games import KeptGames
from rl_abn.rl.evaluation.run_evaluation import evaluate_run
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.training.build import load_policy, training_protocol
from rl_abn.runs import METRICS, Run
from rl_abn.runs.metrics import read_metrics
from rl_abn.runs.shipped import is_shipped, own_run

_RETURN = "rollout/ep_rew_mean"
_N_THRESHOLDS = 60


class Compared(NamedTuple):
    """A run and its scores.

    Attributes:
        label: What tells it from the others.
        run: The run.
        step: The checkpoint's.
        scores: Raw scores of whole games, float64 [N].
        played: Whether they were played now; else they were there.
    """

    label: str
    run: Run
    step: int
    scores: np.ndarray
    played: bool

    @property
    def game(self) -> str:
        """The game's name."""
        return self.run.recipe.env_name

    @property
    def protocol(self) -> str:
        """Under which its games were played: its training protocol's name."""
        return self.run.recipe.protocol_name

    @property
    def arm(self) -> tuple[str, str, str]:
        """Game, agent and protocol: runs that differ in the seed alone share it."""
        return self.game, self.run.recipe.agent_name, self.protocol


class Aggregate(NamedTuple):
    """The runs of an agent, over all games.

    Attributes:
        iqm: Interquartile mean of the runs' mean scores.
        scale: Of these: "human-normalised" or "raw".
    """

    iqm: Estimate
    scale: str


class Agreement(NamedTuple):
    """Two runs asked about the same moments.

    Attributes:
        one: Label of the run that played the games that the moments are of.
        other: Of the other.
        maps: Which maps were compared, of either.
        similarity: Spearman's correlation of the maps.
        another_moment: The same with the other's map of another moment: what is alike whatever is
            seen.
        kl: KL of the other's policy from the one's, in nats.
        same_action: How often their most probable actions agree.
    """

    one: str
    other: str
    maps: tuple[str, str]
    similarity: Estimate
    another_moment: Estimate
    kl: Estimate
    same_action: Estimate


class Comparison(NamedTuple):
    """What was compared.

    Attributes:
        runs: In the order given.
        probabilities: By two labels on the same game under the same protocol: how probably a game
            of the first scores more.
        scores_left_out: Why the scores of others on the same game are not compared, a line each.
        aggregates: By agent, where there are several runs; with the protocol's name where the
            compared runs have several.
        agreements: Of every two runs that can be asked about the same moments.
        left_out: Why others cannot, a line each.
    """

    runs: list[Compared]
    probabilities: dict[tuple[str, str], Estimate]
    scores_left_out: list[str]
    aggregates: dict[str, Aggregate]
    agreements: list[Agreement]
    left_out: list[str]

    @property
    def has_protocols(self) -> bool:
        """Whether the runs' scores are of several protocols."""
        return _has_protocols(self.runs)

    def as_json(self) -> dict[str, Any]:
        """Returns plain data for JSON."""
        return {
            "runs": [
                {
                    "label": each.label,
                    "run": str(each.run.path),
                    "game": each.game,
                    "agent": each.run.recipe.agent_name,
                    "protocol": each.protocol,
                    "seed": each.run.recipe.seed,
                    "step": each.step,
                    "games": len(each.scores),
                    "mean": mean(each.scores)._asdict(),
                    "iqm": score_statistics.interquartile_mean(each.scores)._asdict(),
                    "scores": each.scores.tolist(),
                }
                for each in self.runs
            ],
            "probability_of_improvement": [
                {"label": one, "other": other, "probability": value._asdict()}
                for (one, other), value in self.probabilities.items()
            ],
            "scores_left_out": self.scores_left_out,
            "interquartile_means": {
                label: {**found.iqm._asdict(), "scale": found.scale}
                for label, found in self.aggregates.items()
            },
            "map_agreement": [
                {
                    **each._asdict(),
                    "maps": list(each.maps),
                    **{
                        field: getattr(each, field)._asdict()
                        for field in ("similarity", "another_moment", "kl", "same_action")
                    },
                }
                for each in self.agreements
            ],
            "left_out": self.left_out,
        }


def compare_runs(
    runs: Sequence[Run],
    *,
    episodes: int = 20,
    n_states: int = 64,
    moment_steps: int = 600,
    seed: int = 0,
    device: str = "auto",
    report: ProgressReport | None = None,
) -> Comparison:
    """Compares runs at their newest checkpoints.

    Args:
        runs: Two or more.
        episodes: Games that are played where a run has no evaluation of its newest checkpoint;
            they are kept in its evaluations/, of an agent that ships in its copy's.
        n_states: Moments on which maps and policies are compared.
        moment_steps: Steps of the games that these are taken from.
        seed: Of games, moments and bootstraps.
        device: Where the networks run.
        report: Progress display, in runs.

    Raises:
        RlAbnError: If there are fewer than two runs, or a checkpoint cannot be used.
    """
    if len(runs) < 2:
        raise RlAbnError(f"expected two runs or more to compare, got {len(runs)}")
    labels = labels_of(runs)
    compared = []
    for i, (label, run) in enumerate(zip(labels, runs, strict=True)):
        compared.append(_scored(label, run, episodes, seed, device))
        if report is not None:
            report.update(i + 1, scored=label)
    probabilities, scores_left_out = _probabilities(compared)
    agreements, left_out = _agreements(compared, n_states, moment_steps, seed, device)
    aggregates = _aggregates(compared)
    return Comparison(compared, probabilities, scores_left_out, aggregates, agreements, left_out)


def labels_of(runs: Sequence[Run]) -> list[str]:
    """Returns what tells runs apart: as many of their folders' last parts as that takes."""
    for n in range(1, 8):
        labels = ["/".join(run.path.resolve().parts[-n:]) for run in runs]
        if len(set(labels)) == len(labels):
            return labels
    return [f"{label} ({i})" for i, label in enumerate(labels, 1)]


def kept_scores(run: Run) -> np.ndarray | None:
    """Returns the scores of the run's largest evaluation of its newest checkpoint, float64 [N].

    It is one under the training protocol, not greedy, and of games that were not cut short; None
    if there is none.
    """
    step = run.checkpoint(None).step
    best: np.ndarray | None = None
    for path in sorted((run.path / "evaluations").glob("*.json")):
        with suppress(RlAbnError, KeyError, IndexError, TypeError, ValueError):
            found = read_json(path)
            intact = found["evaluations"][0]
            fits = (
                found["step"] == step
                and found.get("max_steps") is None
                and intact["protocol"] == run.recipe.protocol_name
                and not intact["greedy"]
            )
            scores = np.array([game["score"] for game in intact["games"]], dtype=np.float64)
            if fits and len(scores) and np.isfinite(scores).all() and scores.ndim == 1:
                best = scores if best is None or len(scores) > len(best) else best
    return best


def write_comparison(comparison: Comparison, folder: Path) -> list[Path]:
    """Writes numbers and pictures, and returns the files.

    Raises:
        RlAbnError: If they cannot be written.
    """
    files: dict[str, dict[str, Any] | bytes] = {"comparison.json": comparison.as_json()}
    title = " · ".join(dict.fromkeys(each.label for each in comparison.runs))
    several = comparison.has_protocols
    files["profiles.png"] = draw_profiles(_profiles(comparison.runs), title)
    arms: dict[tuple[str, str, str], list[tuple[np.ndarray, np.ndarray]]] = {}
    for each in comparison.runs:
        steps, returns = _curve(each.run)
        if len(steps):
            arms.setdefault(each.arm, []).append((steps, returns))
    if arms:
        lines = []
        for (game, name, protocol), of in arms.items():
            agent = _with_protocol(name, protocol, several)
            n_seeds = "single run" if len(of) == 1 else f"{len(of)} seeds"
            lines.append((game, agent, f"{agent} ({n_seeds})", mean_curve(of)))
        files["curves.png"] = draw_learning_curves(lines, title)
    for name, data in files.items():
        write_output(folder / name, data)
    return [folder / name for name in files]


def _scored(label: str, run: Run, episodes: int, seed: int, device: str) -> Compared:
    step = run.checkpoint(None).step
    scores = kept_scores(run)
    if scores is None and is_shipped(run.path):
        run = Run.open(own_run(run.path))  # what is installed is not written to
        scores = kept_scores(run)
    if scores is not None:
        return Compared(label, run, step, scores, played=False)
    kept = KeptGames(run)
    found = evaluate_run(run, n_games=episodes, seed=seed, device=device, kept=kept)
    found.save(run)
    kept.forget()
    return Compared(label, run, step, found.intact.scores, played=True)


def _has_protocols(compared: Sequence[Compared]) -> bool:
    return len({each.protocol for each in compared}) > 1


def _with_protocol(name: str, protocol: str, several: bool) -> str:
    """Returns a name, with the protocol where there are several."""
    return f"{name} ({protocol})" if several else name


def _probabilities(
    compared: Sequence[Compared],
) -> tuple[dict[tuple[str, str], Estimate], list[str]]:
    found: dict[tuple[str, str], Estimate] = {}
    left_out: list[str] = []
    for other, one in itertools.combinations(compared, 2):
        if one.game != other.game:
            continue
        if one.protocol != other.protocol:
            said = f"their games were played under {other.protocol} and {one.protocol}"
            left_out.append(f"{other.label} and {one.label}: {said}")
            continue
        improvement = probability_of_improvement([one.scores], [other.scores])
        found[one.label, other.label] = improvement
    return found, left_out


def _aggregates(compared: Sequence[Compared]) -> dict[str, Aggregate]:
    by_agent: dict[str, dict[str, list[float]]] = {}
    references: dict[str, tuple[float, float] | None] = {}
    several = _has_protocols(compared)
    for each in compared:
        agent = _with_protocol(each.run.recipe.agent_name, each.protocol, several)
        of_game = by_agent.setdefault(agent, {})
        of_game.setdefault(each.game, []).append(float(each.scores.mean()))
        known = each.run.recipe.env.scores
        references[each.game] = None if known is None else (known.random, known.human)
    found = {}
    for agent, of_game in by_agent.items():
        if sum(map(len, of_game.values())) < 2:
            continue
        arrays = {game: np.array(values) for game, values in of_game.items()}
        on_one_scale = normalised(arrays, references)
        if on_one_scale is not None:
            has_all = all(references[game] is not None for game in arrays)
            scale = "human-normalised" if has_all else "raw"
            found[agent] = Aggregate(interquartile_mean(on_one_scale), scale)
    return found


def _profiles(compared: Sequence[Compared]) -> list[Profile]:
    profiles, several = [], _has_protocols(compared)
    for game in dict.fromkeys(each.game for each in compared):
        of_game = [each for each in compared if each.game == game]
        every = np.concatenate([each.scores for each in of_game])
        thresholds = np.linspace(min(0.0, every.min()), every.max(), _N_THRESHOLDS)
        for each in of_game:
            share, low, high = performance_profile(each.scores, thresholds)
            label = _with_protocol(each.label, each.protocol, several)
            profiles.append(Profile(game, label, thresholds, share, low, high))
    return profiles


def _curve(run: Run) -> tuple[np.ndarray, np.ndarray]:
    path = run.path / METRICS
    rows = read_metrics(path) if path.is_file() else []
    points = [
        (row["step"], float(row[_RETURN]))
        for row in rows
        if isinstance(row.get(_RETURN), int | float) and math.isfinite(row[_RETURN])
    ]
    return (
        np.array([step for step, _ in points], dtype=np.int64),
        np.array([value for _, value in points], dtype=np.float64),
    )


def _agreements(
    compared: Sequence[Compared], n_states: int, moment_steps: int, seed: int, device: str
) -> tuple[list[Agreement], list[str]]:
    agreements: list[Agreement] = []
    left_out: list[str] = []
    on = device_of(device)
    policies = [in_fp32(load_policy(each.run, each.run.checkpoint(None), on)) for each in compared]
    states: dict[str, ExplainedStates] = {}
    pairs = itertools.combinations(zip(compared, policies, strict=True), 2)
    for (one, policy), (other, another) in pairs:
        reason = _apart(one, policy, other, another)
        if reason is not None:
            left_out.append(f"{one.label} and {other.label}: {reason}")
            continue
        if one.label not in states:
            recipe = one.run.recipe
            states[one.label] = collect_states(
                policy,
                recipe.env,
                training_protocol(recipe),
                n_states,
                max_steps=moment_steps,
                seed=seed,
            )
        agreements.append(
            _agreement(one.label, policy, other.label, another, states[one.label], seed, on)
        )
    return agreements, left_out


def _apart(
    one: Compared, policy: AttentionPolicy, other: Compared, another: AttentionPolicy
) -> str | None:
    """Returns why two agents cannot be asked about the same moments; None if they can."""
    if one.game != other.game:
        return "other games"
    if policy.observation_space != another.observation_space:
        return "they see the game in other ways"
    if policy.n_actions != another.n_actions:
        return "they have other actions"
    if another.settings.has_memory:
        return f"{other.label} has a memory, and did not play these games"
    return None


def _agreement(
    one: str,
    policy: AttentionPolicy,
    other: str,
    another: AttentionPolicy,
    states: ExplainedStates,
    seed: int,
    device: torch.device,
) -> Agreement:
    maps, names, answers = [], [], []
    for which in (policy, another):
        seen = states if which is policy else states._replace(memory=())
        subject = policy_subject(which, seen, device)
        answer = subject.answers()
        answers.append(answer)
        own = own_maps(subject)
        name = next(iter(own), "grad_cam")
        made = own[name](subject) if own else grad_cam(subject, chosen(answer))
        maps.append(made.float())
        names.append(name)
    rows, columns = (min(m.shape[i] for m in maps) for i in (1, 2))
    first, second = (to_cells(m, (rows, columns)) for m in maps)
    moved = another_moment(second, torch.Generator().manual_seed(seed))
    divergence = losses(answers[0], answers[1], chosen(answers[0]))["kl"].cpu().numpy()
    assert answers[0].logits is not None
    assert answers[1].logits is not None
    same = (answers[0].logits.argmax(dim=1) == answers[1].logits.argmax(dim=1)).double()
    return Agreement(
        one,
        other,
        (names[0], names[1]),
        mean(rank_correlation(first, second), seed),
        mean(rank_correlation(first, moved), seed),
        mean(divergence, seed),
        mean(same.cpu().numpy(), seed),
    )
