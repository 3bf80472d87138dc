"""Evaluates an agent, and beside it the agent under interventions and a random player."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from rl_abn.compute.device import device_of
from rl_abn.errors import RlAbnError
from rl_abn.estimates import Estimate, mean
from rl_abn.progress import ProgressReport
from rl_abn.recipes import AnyEnvRecipe, Protocol, RunRecipe
from rl_abn.rl.envs.make import AnyProtocol, AnyVecEnv, make_vec_env, protocols_of
from rl_abn.rl.envs.two_view_vec_env import with_view
from rl_abn.rl.evaluation.blind import BlindPlayer
from rl_abn.rl.evaluation.episodes import GameResult, play_games
from rl_abn.rl.evaluation.faithfulness import Faithfulness, WatchedPlayer
from rl_abn.rl.evaluation.interventions import InterventionSpec
from rl_abn.rl.evaluation.players import AgentPlayer, Player, RandomPlayer
from rl_abn.rl.evaluation.record import record_games
from rl_abn.rl.evaluation.recording import EpisodeRecordingPlayer, RecordedGame
from rl_abn.rl.evaluation.reliance import map_reliance
from rl_abn.rl.evaluation.scores import Difference, difference, human_normalised, interquartile_mean
from rl_abn.rl.evaluation.state_bank import RecordingPlayer
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.training.build import load_policy, training_protocol
from rl_abn.rl.training.teacher import Teacher, teacher_record
from rl_abn.runs import CheckpointChoice, Run, write_output
from rl_abn.seeds import Stream, derive_seeds

MAX_ENVS = 16


class Evaluation(NamedTuple):
    """A player's games under one protocol.

    Attributes:
        player: Its name.
        protocol: The protocol's name.
        greedy: Whether it took the most probable actions.
        n_actions: Number of actions.
        games: All games, in the order of the environments.
        max_frames: The frame cap.
        mean: Mean raw score.
        iqm: Interquartile mean of the raw scores.
        human_normalised: The mean, human-normalised: 0 is a random player, 1 a human. None where
            the recipe has no reference scores.
        seed: Of the games.
        intervention: The intervention on the agent's maps; None for none.
        intervened_maps: Names of the maps it replaced.
        blind: What the agent was shown instead of its game, a `Blindness`; None for its game.
        difference: Of the mean to the intact agent's; None for the intact agent itself.
        is_teacher: Whether the agent's teacher played.
    """

    player: str
    protocol: str
    greedy: bool
    n_actions: int
    games: list[GameResult]
    max_frames: int
    mean: Estimate
    iqm: Estimate
    human_normalised: float | None
    seed: int
    intervention: str | None = None
    intervened_maps: tuple[str, ...] = ()
    blind: str | None = None
    difference: Difference | None = None
    is_teacher: bool = False

    @property
    def scores(self) -> np.ndarray:
        """Raw scores of the games, float64 [N]."""
        return np.array([game.score for game in self.games], dtype=np.float64)

    def compared_to(self, intact: Evaluation) -> Evaluation:
        """Returns this evaluation with its difference to the intact agent's."""
        return self._replace(difference=difference(self.scores, intact.scores, self.seed))

    def as_json(self) -> dict[str, Any]:
        """Returns plain data for JSON; `changed_maps` is the older name of `intervened_maps`."""
        return {
            **self._asdict(),
            "games": [game._asdict() for game in self.games],
            "mean": self.mean._asdict(),
            "iqm": self.iqm._asdict(),
            "intervened_maps": list(self.intervened_maps),
            "changed_maps": list(self.intervened_maps),
            "difference": self.difference and self.difference._asdict(),
        }


def evaluation_env(
    recipe: AnyEnvRecipe,
    protocol: AnyProtocol,
    n_games: int,
    seed: int,
    second_view: Protocol | None = None,
) -> AnyVecEnv:
    """Makes the environments in which `n_games` games are played from a seed.

    With a second view the same games are seen in two ways.
    """
    env = make_vec_env(
        recipe,
        protocol,
        min(n_games, MAX_ENVS),
        life_loss_terminal=True,
        second_view=second_view,
    )
    env.seed_games(derive_seeds(seed, Stream.EVALUATION, count=env.num_envs))
    return env


def evaluate(
    player: Player,
    recipe: AnyEnvRecipe,
    protocol_name: str,
    n_games: int,
    *,
    seed: int = 0,
    full_action_space: bool | None = None,
    max_steps: int | None = None,
    view: Protocol | None = None,
    second_view: Protocol | None = None,
    report: ProgressReport | None = None,
    done_before: int = 0,
) -> Evaluation:
    """Plays and scores games.

    Args:
        player: Chooses the actions.
        recipe: Which game.
        protocol_name: A protocol of the recipe.
        n_games: Number of games, at least 1.
        seed: Of the games and the bootstrap.
        full_action_space: Whether there are 18 actions; None follows the protocol. An agent keeps
            the actions it was trained with.
        max_steps: Cuts games off after this many agent steps, if the protocol's cap is not shorter.
        view: A protocol that says what the player sees; None is the one that is played under.
        second_view: What a `WatchedPlayer`'s watcher sees; None is what the player does.
        report: Progress display.
        done_before: Games of other players already counted in the report.

    Raises:
        RlAbnError: If the recipe has no such protocol, or its observations do not fit the player.
    """
    protocol = protocol_of(recipe, protocol_name, full_action_space, max_steps)
    if view is not None:
        assert isinstance(protocol, Protocol)
        protocol = with_view(protocol, view)
    env = evaluation_env(recipe, protocol, n_games, seed, second_view)
    if isinstance(player, WatchedPlayer):
        player.watch(env)
    check_observations(player.observation_space, env.observation_space, protocol_name)
    with closing(env):
        games = play_games(player, env, n_games, report, done_before)
    scores = np.array([game.score for game in games])
    average = mean(scores, seed)
    return Evaluation(
        player=player.name,
        protocol=protocol_name,
        greedy=getattr(player, "greedy", False),
        n_actions=int(env.action_space.n),  # type: ignore[attr-defined]
        games=games,
        max_frames=protocol.max_frames,
        mean=average,
        iqm=interquartile_mean(scores, seed),
        human_normalised=None
        if recipe.scores is None
        else human_normalised(average.value, recipe.scores),
        seed=seed,
    )


def protocol_of(
    recipe: AnyEnvRecipe,
    name: str,
    full_action_space: bool | None = None,
    max_steps: int | None = None,
) -> AnyProtocol:
    """Returns the protocol of a name, with an agent's own actions where they are given.

    Args:
        recipe: Which game.
        name: A protocol of the recipe.
        full_action_space: Whether there are 18 actions; None follows the protocol.
        max_steps: Agent steps of a game, if the protocol's cap is not shorter.

    Raises:
        RlAbnError: If the recipe has no such protocol.
    """
    protocols = protocols_of(recipe)
    if name not in protocols:
        raise RlAbnError(
            f"expected a protocol of the game's recipe ({', '.join(protocols)}), got '{name}'"
        )
    protocol = protocols[name]
    if full_action_space is not None:
        protocol = protocol.with_actions(full_action_space)
    if max_steps is not None:
        cap = min(protocol.max_frames, max_steps * protocol.frame_skip)
        protocol = protocol.model_copy(update={"max_frames": cap})
    return protocol


def check_observations(
    trained_on: spaces.Space | None, seen: spaces.Space, protocol_name: str
) -> None:
    """Refuses a protocol that shows what a player does not see; None sees anything.

    Raises:
        RlAbnError: If the spaces differ.
    """
    if trained_on not in (None, seen):
        raise RlAbnError(
            f"expected a protocol with observations {described(trained_on)}, on "
            f"which the agent was trained, got '{protocol_name}' with {described(seen)}"
        )


def described(space: spaces.Space | None) -> str:
    """Returns dtype and shape of observations, such as "uint8 [4, 84, 84]"."""
    assert space is not None
    return f"{space.dtype} {list(space.shape or ())}"


class RunEvaluation(NamedTuple):
    """The evaluation of a run's agent and of the players compared with it.

    Attributes:
        game: The game's title.
        run: The run folder.
        step: The checkpoint's step.
        evaluations: Of the intact agent, then under each intervention in the order given, then of
            the blind agent and the random player if they played.
        max_steps: Agent steps after which games were cut off; None for the protocol's cap.
        map_reliance: By what the maps were replaced with on positions of the intact agent's games:
            KL of its own policy to the policy then, in nats, and with another moment's
            observation; empty for an agent without maps.
        taught_by: Who taught the agent, as its run records it; None for nobody.
        teacher: Whom it was compared with, the same; None for nobody.
        faithfulness: To that one, on "student_games" and "teacher_games"; empty without.
        recorded: Games of the intact agent that were recorded; no part of the JSON.
    """

    game: str
    run: str
    step: int
    evaluations: list[Evaluation]
    max_steps: int | None = None
    map_reliance: dict[str, Estimate] = {}  # noqa: RUF012 - never changed
    taught_by: dict[str, Any] | None = None
    teacher: dict[str, Any] | None = None
    faithfulness: dict[str, Faithfulness] = {}  # noqa: RUF012 - never changed
    recorded: tuple[RecordedGame, ...] = ()

    @property
    def intact(self) -> Evaluation:
        """The evaluation of the agent without intervention."""
        return self.evaluations[0]

    @property
    def intervened(self) -> list[Evaluation]:
        """The evaluations under interventions."""
        return [e for e in self.evaluations if e.intervention is not None]

    @property
    def random(self) -> Evaluation | None:
        """The random player's evaluation, or None."""
        last = self.evaluations[-1]
        is_agent = last is self.intact or last.intervention is not None or last.blind is not None
        is_agent = is_agent or last.is_teacher
        return None if is_agent else last

    @property
    def blind(self) -> list[Evaluation]:
        """The evaluations of the blind agent."""
        return [e for e in self.evaluations if e.blind is not None]

    @property
    def sees(self) -> bool | None:
        """Whether every blind self scores less, by an interval that excludes 0; None if unknown."""
        differences = [e.difference for e in self.blind if e.difference is not None]
        if not differences or any(d.high is None for d in differences):
            return None
        return all(d.high is not None and d.high < 0 for d in differences)

    @property
    def beats_random(self) -> bool | None:
        """Whether the agent's mean is higher and the intervals do not overlap; None if unknown."""
        if self.random is None:
            return None
        agent, random = self.intact.mean, self.random.mean
        return agent.low is not None and random.high is not None and agent.low > random.high

    def __repr__(self) -> str:
        cut = "" if self.max_steps is None else f", cut off after {self.max_steps:,} steps"
        lines = [
            f"{self.game}, {self.run} at step {self.step:,}: raw scores of "
            f"{len(self.intact.games):,} games each{cut}, [95% interval]"
        ]
        for player in self.evaluations:
            said = f"  {player.player}: mean {player.mean:.1f}, IQM {player.iqm:.1f}"
            lines.append(said + (f", difference {player.difference}" if player.difference else ""))
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Returns plain data for JSON."""
        fields = {name: value for name, value in self._asdict().items() if name != "recorded"}
        return {
            **fields,
            "evaluations": [e.as_json() for e in self.evaluations],
            "map_reliance": {name: kl._asdict() for name, kl in self.map_reliance.items()},
            "faithfulness": {
                games: {
                    "kl": found.kl._asdict(),
                    "agreement": found.agreement._asdict(),
                    "steps": found.steps,
                }
                for games, found in self.faithfulness.items()
            },
        }

    def save(self, run: Run) -> Path:
        """Writes the evaluation into the run's evaluations/ and returns the file."""
        agent = self.intact
        name = _name(
            self.step,
            agent.protocol,
            len(agent.games),
            agent.seed,
            greedy=agent.greedy,
            max_steps=self.max_steps,
        )
        if self.intervened:
            # All labels together could exceed the longest possible file name.
            labels = " ".join(sorted(e.player for e in self.intervened))
            name += f"-interventions-{sha256(labels.encode()).hexdigest()[:8]}"
        if self.blind:
            name += "-blind-" + "-".join(str(e.blind) for e in self.blind)
        if self.teacher is not None:
            name += f"-teacher-{self.teacher['sha256'][:8]}"
        path = run.path / "evaluations" / f"{name}.json"
        write_output(path, self.as_json())
        return path


def evaluate_run(
    run: Run,
    *,
    n_games: int,
    protocol: str | None = None,
    greedy: bool = False,
    interventions: Sequence[InterventionSpec] = (),
    blind: Sequence[str] = (),
    with_random: bool = False,
    max_steps: int | None = None,
    step: CheckpointChoice = None,
    seed: int = 0,
    device: str = "auto",
    teacher: Teacher | None = None,
    record: int = 0,
    report: ProgressReport | None = None,
) -> RunEvaluation:
    """Evaluates a run's agent and the players to compare it with, all from the same game seeds.

    Args:
        run: The run.
        n_games: Games per player.
        protocol: The protocol's name; None is the one the agent was trained under.
        greedy: Whether the agent takes the most probable actions.
        interventions: The agent also plays under each of these.
        blind: The agent also plays blind in each of these ways, each a `Blindness`.
        with_random: Whether a random player plays as many games.
        max_steps: Cuts games off after this many agent steps, if the protocol's cap is not shorter.
        step: The checkpoint's step, or "best"; None is the newest.
        seed: Of the games, the sampled actions and the bootstrap.
        device: Where the network runs.
        teacher: Plays the same games too, and each of the two is asked on the other's games; see
            `Faithfulness`.
        record: How many of the intact agent's games are recorded, one an environment: into
            episodes/ in the run folder, over those of an evaluation with the same settings.
        report: Progress display.

    Raises:
        RlAbnError: If the checkpoint or the protocol cannot be used, or there are not as many
            games to record.
    """
    if record > min(n_games, MAX_ENVS):
        raise RlAbnError(
            f"expected at most {min(n_games, MAX_ENVS)} games to record, the first of each "
            f"environment, got {record}"
        )
    if "swapped" in blind and n_games < 2:
        raise RlAbnError(f"expected 2 games or more to swap their screens, got {n_games}")
    recipe = run.recipe
    checkpoint = run.checkpoint(step)
    policy = load_policy(run, checkpoint, device_of(device))
    agent = partial(AgentPlayer, policy=policy, greedy=greedy, seed=seed)
    intact = agent(recipe.agent_name)
    playing: Player = intact
    episodes: EpisodeRecordingPlayer | None = None
    if record:
        name = protocol or recipe.protocol_name
        played = protocol_of(recipe.env, name, has_all_actions(recipe), max_steps)
        stem = _name(checkpoint.step, name, n_games, seed, greedy=greedy, max_steps=max_steps)
        n_envs = min(n_games, MAX_ENVS)
        seeds = derive_seeds(seed, Stream.EVALUATION, count=n_envs)[:record]
        playing = episodes = record_games(run, intact, checkpoint.step, played, name, stem, seeds)
    recorder = RecordingPlayer(playing) if policy.map_names else None
    players: list[tuple[Player, InterventionSpec | None]] = [(recorder or playing, None)]
    watched: dict[str, WatchedPlayer] = {}
    if teacher is not None:
        watched = _watched(recorder or playing, policy, teacher, greedy=greedy, seed=seed)
        players = [(player, None) for player in watched.values()]
    players += [
        (agent(spec.label, intervention=spec.make(policy, seed)), spec) for spec in interventions
    ]
    players += [(BlindPlayer(agent(recipe.agent_name), how), None) for how in blind]
    if with_random:
        players.append((RandomPlayer(policy.n_actions, seed=seed), None))
    evaluations: list[Evaluation] = []
    for player, spec in players:
        is_teacher = player is watched.get("teacher_games")
        view: Protocol | None = None
        second_view: Protocol | None = None
        if teacher is not None and isinstance(player, WatchedPlayer):
            second_view = teacher.view
            if is_teacher and teacher.view is not None:
                ours = training_protocol(recipe)
                assert isinstance(ours, Protocol)
                view, second_view = teacher.view, ours
        evaluation = evaluate(
            player,
            recipe.env,
            protocol or recipe.protocol_name,
            n_games,
            seed=seed,
            full_action_space=has_all_actions(recipe),
            max_steps=max_steps,
            view=view,
            second_view=second_view,
            report=report,
            done_before=len(evaluations) * n_games,
        )
        if spec is not None:
            evaluation = evaluation._replace(
                intervention=spec.intervention,
                intervened_maps=policy.map_names if spec.map_name is None else (spec.map_name,),
            )
        if is_teacher:
            evaluation = evaluation._replace(is_teacher=True)
        if isinstance(player, BlindPlayer):
            evaluation = evaluation._replace(blind=player.how)
        evaluations.append(evaluation.compared_to(evaluations[0]) if evaluations else evaluation)
    reliance = None if recorder is None else map_reliance(policy, recorder.bank(), seed)
    return RunEvaluation(
        recipe.env.game.title,
        str(run.path),
        checkpoint.step,
        evaluations,
        max_steps,
        {} if reliance is None else reliance.estimates(seed),
        teacher_record(run),
        None if teacher is None else teacher.record,
        {games: player.faithfulness(seed) for games, player in watched.items()},
        () if episodes is None else tuple(episodes.games.values()),
    )


def has_all_actions(recipe: RunRecipe) -> bool:
    """Whether an agent has all 18 actions: it keeps those it was trained with."""
    return training_protocol(recipe).full_action_space


def _name(
    step: int, protocol: str, n_games: int, seed: int, *, greedy: bool, max_steps: int | None
) -> str:
    """Returns the first words of the name of what an evaluation leaves."""
    mode = "greedy" if greedy else "stochastic"
    cut = "" if max_steps is None else f"-cut-at-{max_steps}"
    return f"step-{step}-{protocol}-{mode}-{n_games}-games-{seed}{cut}"


def _watched(
    student: Player, policy: AttentionPolicy, teacher: Teacher, *, greedy: bool, seed: int
) -> dict[str, WatchedPlayer]:
    """Returns the student and the teacher as players, each watched by the other."""
    theirs = teacher.policy.to(policy.device)
    ask = partial(AgentPlayer, greedy=True, seed=seed)  # draws nothing
    plays = AgentPlayer(teacher.name, theirs, greedy=greedy, seed=seed)
    return {
        "student_games": WatchedPlayer(student, ask("teacher", theirs), teacher_plays=False),
        "teacher_games": WatchedPlayer(plays, ask("student", policy), teacher_plays=True),
    }
