"""Evaluates a run's agent, and beside it the agent under interventions, blind, and chance."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from rl_abn.compute.device import device_of
from rl_abn.errors import RlAbnError
from rl_abn.progress import ProgressReport
from rl_abn.recipes import Protocol, RunRecipe
from rl_abn.rl.evaluation.blind import BlindPlayer
from rl_abn.rl.evaluation.evaluate import MAX_ENVS, play_protocol, protocol_of, scored
from rl_abn.rl.evaluation.faithfulness import WatchedPlayer
from rl_abn.rl.evaluation.interventions import InterventionSpec
from rl_abn.rl.evaluation.kept_games import KeptGames, Played
from rl_abn.rl.evaluation.players import AgentPlayer, Player, RandomPlayer
from rl_abn.rl.evaluation.record import record_games
from rl_abn.rl.evaluation.recording import EpisodeRecordingPlayer
from rl_abn.rl.evaluation.reliance import map_reliance
from rl_abn.rl.evaluation.results import Evaluation, RunEvaluation, name_of_games
from rl_abn.rl.evaluation.state_bank import RecordingPlayer
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.training.build import load_policy, training_protocol
from rl_abn.rl.training.teacher import Teacher
from rl_abn.runs import CheckpointChoice, Run
from rl_abn.runs.origin import init_record, teacher_record
from rl_abn.runs.tensors import hash_of
from rl_abn.seeds import Stream, derive_seeds


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
    kept: KeptGames | None = None,
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
        kept: Where players' games are kept as they end, so that an evaluation that was cut off
            goes on with the next player; None keeps nothing.
        report: Progress display.

    Raises:
        RlAbnError: If the checkpoint or the protocol cannot be used, there are not as many games
            to record, or the games cannot be kept.
    """
    if record > min(n_games, MAX_ENVS):
        raise RlAbnError(
            f"expected at most {min(n_games, MAX_ENVS)} games to record, the first of each "
            f"environment, got {record}"
        )
    if "swapped" in blind and n_games < 2:
        raise RlAbnError(f"expected 2 games or more to swap their screens, got {n_games}")
    recipe = run.recipe
    name = protocol or recipe.protocol_name
    under = protocol_of(recipe.env, name, has_all_actions(recipe), max_steps)
    checkpoint = run.checkpoint(step)
    policy = load_policy(run, checkpoint, device_of(device))
    agent = partial(AgentPlayer, policy=policy, greedy=greedy, seed=seed)
    own: Player = agent(recipe.agent_name)
    episodes: EpisodeRecordingPlayer | None = None
    if record:
        stem = name_of_games(
            checkpoint.step, name, n_games, seed, greedy=greedy, max_steps=max_steps
        )
        n_envs = min(n_games, MAX_ENVS)
        seeds = derive_seeds(seed, Stream.EVALUATION, count=n_envs)[:record]
        assert isinstance(own, AgentPlayer)
        own = episodes = record_games(run, own, checkpoint.step, under, name, stem, seeds)
    if policy.map_names:
        own = RecordingPlayer(own)
    seats = [_Seat(own)]
    if teacher is not None:
        seats = _watching_each_other(own, policy, teacher, recipe, greedy=greedy, seed=seed)
    seats += [_Seat(agent(s.label, intervention=s.make(policy, seed)), s) for s in interventions]
    seats += [_Seat(BlindPlayer(agent(recipe.agent_name), how)) for how in blind]
    if with_random:
        seats.append(_Seat(RandomPlayer(policy.n_actions, seed=seed)))
    if kept is not None:
        kept.open(
            {
                "weights": hash_of(policy.state_dict()),
                "recipe": recipe.model_dump(mode="json"),
                "teacher": None if teacher is None else teacher.record,
                "device": policy.device.type,
                "protocol": name,
                "games": [n_games, max_steps, seed, greedy],
            }
        )
    table = _Table(policy, recipe, name, n_games, max_steps, seed, report)
    results: list[Played] = []
    evaluations: list[Evaluation] = []
    for i, seat in enumerate(seats):
        play = partial(table.play, seat, i * n_games)
        if episodes is not None and i == 0:  # what is recorded has to be played
            with episodes.recording():
                played = play()
        elif kept is None:
            played = play()
        else:
            played, was_kept = kept.do(seat.label, play)
            if was_kept and report is not None:
                report.skip(n_games, (i + 1) * n_games)
        results.append(played)
        evaluation = table.score(seat, played)
        evaluations.append(evaluation.compared_to(evaluations[0]) if evaluations else evaluation)
    watched = ["student_games", "teacher_games"] if teacher is not None else []
    return RunEvaluation(
        recipe.env.game.title,
        str(run.path),
        checkpoint.step,
        evaluations,
        max_steps,
        results[0].map_reliance,
        teacher_record(run),
        init_record(run),
        None if teacher is None else teacher.record,
        {
            games: found.faithfulness
            for games, found in zip(watched, results, strict=False)
            if found.faithfulness is not None
        },
        () if episodes is None else tuple(episodes.games.values()),
    )


def has_all_actions(recipe: RunRecipe) -> bool:
    """Whether an agent has all 18 actions: it keeps those it was trained with."""
    return training_protocol(recipe).full_action_space


class _Seat(NamedTuple):
    """A player of an evaluation.

    Attributes:
        player: Who plays.
        intervention: On its maps; None for none.
        is_teacher: Whether the agent's teacher plays.
        view: A protocol that says what the player sees; None is the one that is played under.
        second_view: What the one sees who watches; None is what the player does.
    """

    player: Player
    intervention: InterventionSpec | None = None
    is_teacher: bool = False
    view: Protocol | None = None
    second_view: Protocol | None = None

    @property
    def label(self) -> str:
        """What tells it from the other players."""
        return f"teacher: {self.player.name}" if self.is_teacher else self.player.name


class _Table(NamedTuple):
    """What all players play under.

    Attributes:
        policy: The agent's.
        recipe: The agent's run.
        protocol: Name of the protocol.
        n_games: Games of each player.
        max_steps: As in `evaluate_run`.
        seed: As in `evaluate_run`.
        report: Progress display.
    """

    policy: AttentionPolicy
    recipe: RunRecipe
    protocol: str
    n_games: int
    max_steps: int | None
    seed: int
    report: ProgressReport | None

    def play(self, seat: _Seat, done_before: int) -> Played:
        """Lets a player play, after so many games of others."""
        player = seat.player
        games = play_protocol(
            player,
            self.recipe.env,
            self.protocol,
            self.n_games,
            seed=self.seed,
            full_action_space=has_all_actions(self.recipe),
            max_steps=self.max_steps,
            view=seat.view,
            second_view=seat.second_view,
            report=self.report,
            done_before=done_before,
        )
        faithfulness = None
        if isinstance(player, WatchedPlayer):
            faithfulness = player.faithfulness(self.seed)
            player = player.player
        reliance = (
            map_reliance(self.policy, player.bank(), self.seed).estimates(self.seed)
            if isinstance(player, RecordingPlayer)
            else {}
        )
        return Played(games, reliance, faithfulness)

    def score(self, seat: _Seat, played: Played) -> Evaluation:
        """Scores what a player played."""
        player, spec = seat.player, seat.intervention
        found = scored(played.games, player, self.recipe.env, self.protocol, self.seed)
        found = found._replace(is_teacher=seat.is_teacher)
        if spec is not None:
            names = self.policy.map_names if spec.map_name is None else (spec.map_name,)
            found = found._replace(intervention=spec.intervention, intervened_maps=names)
        if isinstance(player, BlindPlayer):
            found = found._replace(blind=player.how)
        return found


def _watching_each_other(
    student: Player,
    policy: AttentionPolicy,
    teacher: Teacher,
    recipe: RunRecipe,
    *,
    greedy: bool,
    seed: int,
) -> list[_Seat]:
    """Returns the student and the teacher as players, each watched by the other."""
    theirs = teacher.policy.to(policy.device)
    ask = partial(AgentPlayer, greedy=True, seed=seed)  # draws nothing
    plays = AgentPlayer(teacher.name, theirs, greedy=greedy, seed=seed)
    student_plays = WatchedPlayer(student, ask("teacher", theirs), teacher_plays=False)
    teacher_plays = WatchedPlayer(plays, ask("student", policy), teacher_plays=True)
    if teacher.view is None:
        return [_Seat(student_plays), _Seat(teacher_plays, is_teacher=True)]
    ours = training_protocol(recipe)
    assert isinstance(ours, Protocol)
    return [
        _Seat(student_plays, second_view=teacher.view),
        _Seat(teacher_plays, is_teacher=True, view=teacher.view, second_view=ours),
    ]
