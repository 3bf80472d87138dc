"""Plays on from a step of a recorded game, with the agent's own maps and with edited ones."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import chain, product, repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rl_abn.attention.interventions import Rule
from rl_abn.errors import RlAbnError
from rl_abn.estimates import Estimate, mean
from rl_abn.recipes import Protocol
from rl_abn.record import Episode, EpisodeMeta
from rl_abn.rl.envs.make import AnyProtocol
from rl_abn.rl.envs.single_env import SingleEnv
from rl_abn.rl.evaluation.players import AgentPlayer
from rl_abn.rl.evaluation.recording import GameRecorder, RecordedGame
from rl_abn.rl.evaluation.replay import CONTINUES, Replay, game_of, player_of
from rl_abn.runs import Run
from rl_abn.seeds import derive_seeds
from rl_abn.view.agents import maps_of
from rl_abn.view.bodies import Body
from rl_abn.view.jobs import Job, StoppedError
from rl_abn.view.painted import MOST_STEPS, Maps, Plan, intervention_labels, read_plan
from rl_abn.view.what_if import Interventions

MOST_FUTURES = 16
OWN, EDITED = "own", "edited"
_SEED_PATH = 0x76696577  # no other stream's
_OF_GAMES = 1  # below it, of what games leave to chance


class Question(NamedTuple):
    """What futures are asked for.

    Attributes:
        step: Where they begin, before its action.
        plan: How the maps are edited on one side.
        n_futures: A side.
        max_steps: Of each.
        seed: Of all that is drawn: the agent's actions, what an intervention draws and, under
            protocols with sticky actions, which actions are repeated. Future i has the same seeds
            on both sides.
        greedy: Whether it takes its likeliest actions.
        alike: Whether nothing is drawn, so that all futures of a side are the same game; then
            `n_futures` is 1.
    """

    step: int
    plan: Plan
    n_futures: int
    max_steps: int
    seed: int
    greedy: bool
    alike: bool

    @property
    def n_steps(self) -> int:
        """How many steps are played at most."""
        return 2 * self.n_futures * self.max_steps


class Future(NamedTuple):
    """A future that was played.

    Attributes:
        path: Its episode folder.
        gained: The score from its first step on.
        is_over: Whether the game ended.
    """

    path: Path
    gained: float
    is_over: bool


def read_question(data: dict[str, Any], episode: Episode, maps: Maps) -> Question:
    """Reads what futures are asked for.

    Raises:
        RlAbnError: If something is wrong or out of range.
    """
    body = Body(data, ("step", "edit", "n_futures", "max_steps", "seed", "greedy"))
    if not body.has("edit"):
        raise RlAbnError("expected an edit, got none")
    plan = read_plan(body.data["edit"], maps, intervention_labels(maps.names))
    n_futures = body.whole("n_futures", 1, MOST_FUTURES, 4)
    greedy = body.flag("greedy")
    alike = greedy and not plan.draws and not _is_sticky(game_of(episode)[1])
    return Question(
        step=body.whole("step", 0, episode.n_steps - 1),
        plan=plan,
        n_futures=1 if alike else n_futures,
        max_steps=body.whole("max_steps", 1, MOST_STEPS, 300),
        seed=body.whole("seed", 0, 2**31 - 1, 0),
        greedy=greedy,
        alike=alike,
    )


def play_futures(
    episode: Episode, run: Run, question: Question, folder: Path, job: Job
) -> dict[str, list[Future]]:
    """Plays the futures of both sides, in turn, and records each.

    Args:
        episode: The game.
        run: Its agent's.
        question: What is asked for.
        folder: Where the episode folders go.
        job: Is told how far it is, and may stop.

    Returns:
        The futures by side, as many on both; fewer where it was told to stop.

    Raises:
        StoppedError: If it was told to stop before both sides had one.
        RlAbnError: If the step cannot be reached, or a folder cannot be written.
    """
    recorded = player_of(episode, run)
    replay = Replay(episode, recorded)
    replay.go_to(question.step)
    env = replay.env
    assert isinstance(env, SingleEnv)
    begin = {**env.state(), **recorded.memory(0)}
    at = episode.step(question.step)
    score = float(at["score"]) - float(at["reward"])
    lost_life, is_start = replay.lost_life, replay.is_start
    meta = _meta(episode, question)
    seeds = derive_seeds(question.seed, _SEED_PATH, count=question.n_futures)
    of_games = derive_seeds(question.seed, _SEED_PATH, _OF_GAMES, count=question.n_futures)
    maps = maps_of(episode, recorded)
    interventions = Interventions(episode, recorded.policy)
    found: dict[str, list[Future]] = {OWN: [], EDITED: []}
    made = 0
    with suppress(StoppedError):  # the pairs so far are an answer, too
        for i, side in product(range(question.n_futures), (OWN, EDITED)):
            seed = int(seeds[i])
            rule = _rule(question, maps, interventions, seed) if side == EDITED else None
            agent = AgentPlayer(
                recorded.name,
                recorded.policy,
                greedy=question.greedy,
                seed=seed,
                intervention=rule,
            )
            agent.restore(begin)
            observation = env.restore(begin)
            if _is_sticky(env.protocol):  # the state holds which actions are repeated
                env.reseed(int(of_games[i]))
            recorder = GameRecorder(
                folder / f"{side}-{i}",
                _of_side(meta, question, side, i, seed),
                env,
                observation=observation,
            )
            recorder.score, recorder.lost_life = score, lost_life
            game = _play(recorder, agent, question, is_start, job, made * question.max_steps)
            made += 1
            found[side].append(Future(game.path, game.score - score, recorder.is_over))
            job.update(made * question.max_steps, f"{made} of {2 * question.n_futures} played")
    n_pairs = len(found[EDITED])
    if not n_pairs:
        raise StoppedError
    return {side: futures[:n_pairs] for side, futures in found.items()}


def summary(
    futures: Mapping[str, list[Future]], ids: Mapping[Path, str], *, alike: bool
) -> dict[str, Any]:
    """Returns what futures came to, with bootstrap intervals, for JSON.

    The difference is edited less own, of the futures of the same seed.

    Args:
        futures: By side.
        ids: Of their episodes.
        alike: As in `Question`.
    """
    returns = {side: np.array([future.gained for future in futures[side]]) for side in futures}
    result: dict[str, Any] = {"alike": alike}
    result |= {
        side: {
            "returns": returns[side].tolist(),
            **_interval(mean(returns[side])),
            "episodes": [ids[future.path] for future in futures[side]],
            "over": [future.is_over for future in futures[side]],
        }
        for side in futures
    }
    difference = returns[EDITED] - returns[OWN]
    result["difference"] = {"returns": difference.tolist(), **_interval(mean(difference))}
    return result


def _play(
    recorder: GameRecorder,
    agent: AgentPlayer,
    question: Question,
    is_start: bool,
    job: Job,
    done: int,
) -> RecordedGame:
    """Plays one future until the game ends, or as long as asked for."""
    with recorder.writer:
        for t in range(question.max_steps):
            recorder.keep_state(agent, 0, with_draws=True)
            actions, output = agent.act(
                recorder.observation[None],
                np.array([is_start and t == 0]),
                np.array([recorder.lost_life]),
            )
            assert output is not None
            recorder.step(int(actions[0]), output, 0)
            job.update(done + t + 1)
            if recorder.is_over:
                break
        return recorder.finish(whole=True)


def _is_sticky(protocol: AnyProtocol) -> bool:
    """Whether a game repeats actions by chance, the one thing that ALE draws."""
    return isinstance(protocol, Protocol) and protocol.repeat_action_probability > 0


def _rule(question: Question, maps: Maps, interventions: Interventions, seed: int) -> Rule:
    """Returns the rule of one future, with draws of its own but at the step that was asked about.

    There an intervention gives the maps that a what-if shows.
    """
    plan, standing = question.plan, None
    if plan.intervention is not None:
        shown = interventions.rule(plan.intervention, question.step)
        rules = chain([shown], repeat(interventions.rule(plan.intervention, seed)))
        standing = lambda own, episode_start: next(rules)(own, episode_start)  # noqa: E731
    return plan.rule(maps, standing)


def _meta(episode: Episode, question: Question) -> EpisodeMeta:
    """Returns what is known of a future: what is of the game, less what is of its recording."""
    meta = episode.meta
    agent = {**meta.source["agent"], "greedy": question.greedy}
    return replace(
        meta,
        arrays={},
        status="recording",
        n_steps=0,
        score=0.0,
        source={**meta.source, "agent": agent},
    )


def _of_side(
    meta: EpisodeMeta, question: Question, side: str, number: int, seed: int
) -> EpisodeMeta:
    edit = question.plan.label if side == EDITED else None
    source = {
        **meta.source,
        "agent": {**meta.source["agent"], "seed": seed},
        CONTINUES: {"of": meta.title, "step": question.step, "side": side, "edit": edit},
    }
    return replace(meta, source=source, title=f"{meta.title[:900]}: {side} {number + 1}")


def _interval(estimate: Estimate) -> dict[str, float | None]:
    return {"mean": estimate.value, "low": estimate.low, "high": estimate.high}
