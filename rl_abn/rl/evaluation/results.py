"""What an evaluation comes to: a player's games and scores, and those of all players of a run."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rl_abn.estimates import Estimate
from rl_abn.rl.evaluation.episodes import GameResult
from rl_abn.rl.evaluation.faithfulness import Faithfulness
from rl_abn.rl.evaluation.recording import RecordedGame
from rl_abn.rl.evaluation.scores import Difference, difference
from rl_abn.runs import Run, write_output
from rl_abn.runs.shipped import own_run


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
        begun_with: The agent whose weights it began with, the same; None for random ones.
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
    begun_with: dict[str, Any] | None = None
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
        """Writes the evaluation into the run's evaluations/ and returns the file.

        That of an agent that ships goes to its copy, see `own_run`.

        Raises:
            RlAbnError: If it cannot be written.
        """
        agent = self.intact
        name = name_of_games(
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
        path = own_run(run.path) / "evaluations" / f"{name}.json"
        write_output(path, self.as_json())
        return path


def name_of_games(
    step: int, protocol: str, n_games: int, seed: int, *, greedy: bool, max_steps: int | None
) -> str:
    """Returns the first words of the name of what an evaluation leaves."""
    mode = "greedy" if greedy else "stochastic"
    cut = "" if max_steps is None else f"-cut-at-{max_steps}"
    return f"step-{step}-{protocol}-{mode}-{n_games}-games-{seed}{cut}"
