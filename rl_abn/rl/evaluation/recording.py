"""Records games as episodes: what an agent sees and computes, and how to go on from any step."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rl_abn import __version__
from rl_abn.errors import warn
from rl_abn.progress import ProgressReport
from rl_abn.record import EpisodeMeta, EpisodeWriter
from rl_abn.rl.algorithms.reward_scale import deviation_of
from rl_abn.rl.envs.make import AnyProtocol, AnySingleEnv
from rl_abn.rl.envs.single_env import SingleEnv
from rl_abn.rl.evaluation.players import AgentPlayer, Player, WrappedPlayer
from rl_abn.rl.evaluation.title import how_trained, title_of
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.policies.outputs import PolicyOutput
from rl_abn.runs import Run
from rl_abn.runs.provenance import provenance
from rl_abn.runs.tensors import hash_of
from rl_abn.stop_signal import StopSignal

MOST_EVIDENCE_BYTES = 3200
"""Evidence is kept unasked up to this size a step: of 18 actions at 9x9 locations it is."""
_LARGEST_HALF = 65504.0


class RecordedGame(NamedTuple):
    """A game that was recorded.

    Attributes:
        path: The episode folder.
        score: Its raw score so far.
        n_steps: Its steps.
        whole: Whether it ended, or was played as long as asked for.
    """

    path: Path
    score: float
    n_steps: int
    whole: bool


class GameRecorder:
    """Plays the game of a seed on an environment that shows it, and records it.

    Args:
        folder: The episode folder.
        meta: As `episode_meta` returns it.
        env: The game; it is started here.
        keep: What of `KEEP` is kept at every step.
        observation: Of a game that is on already, [C, H, W]; None starts it.

    Attributes:
        observation: Before the next step, [C, H, W].
        lost_life: Whether a life was lost just before it.
        score: The raw score so far.
        is_over: Whether the game has ended.

    Raises:
        RlAbnError: If the folder is taken or cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        meta: EpisodeMeta,
        env: AnySingleEnv,
        *,
        keep: Collection[str] = (),
        observation: np.ndarray | None = None,
    ) -> None:
        self.writer = EpisodeWriter(folder, meta)
        self.env = env
        self.keep = keep
        if observation is None:
            observation = env.reset(int(meta.source["game"]["seed"]))
        self.observation = observation
        self.lost_life = False
        self.score = 0.0
        self.is_over = False

    def keep_state(self, agent: AgentPlayer, game: int, *, with_draws: bool) -> None:
        """Keeps what it takes to go on from here, where that is due; to be called before acting.

        Args:
            agent: Who plays.
            game: Which of its games this is.
            with_draws: Whether the state of the agent's draws is kept, which all its games share.
        """
        if not self.writer.is_state_due:
            return
        state = agent.memory(game)
        if with_draws:
            state |= agent.generator_state()
        if isinstance(self.env, SingleEnv):
            state |= self.env.state()
        if state:
            self.writer.add_state(state)

    def step(self, action: int, output: PolicyOutput, game: int) -> None:
        """Takes an action and records it.

        Args:
            action: Index of the action.
            output: What the agent computed for all its games.
            game: Which of them this is.
        """
        frame, lives = self.env.frame.copy(), self.env.lives
        outcome = self.env.step(action)
        self.score += outcome.reward
        arrays = arrays_of(output, game, all_evidence="evidence" in self.keep)
        if "observations" in self.keep:
            arrays["observation"] = self.observation
        self.writer.add(
            frame,
            {
                **arrays,
                "action": action,
                "reward": outcome.reward,
                "score": self.score,
                "lives": lives,
                "lost_life": self.lost_life,
                "terminated": outcome.terminated,
                "truncated": outcome.truncated,
            },
        )
        self.observation, self.lost_life = outcome.observation, self.env.lives < lives
        self.is_over = outcome.terminated or outcome.truncated

    def finish(self, *, whole: bool) -> RecordedGame:
        """Ends the recording.

        Raises:
            RlAbnError: If it cannot be written.
        """
        self.writer.finish(whole=whole)
        return RecordedGame(self.writer.folder, self.score, self.writer.n_steps, whole)


def arrays_of(
    output: PolicyOutput, game: int, *, all_evidence: bool = False
) -> dict[str, np.ndarray]:
    """Returns what is kept of a policy output for one of its games, arrays by name.

    Args:
        output: Of n games.
        game: Which of them.
        all_evidence: Whether evidence is kept however large.
    """

    def half(tensor: Tensor) -> np.ndarray:
        array: np.ndarray = tensor[game].clamp(-_LARGEST_HALF, _LARGEST_HALF).half().cpu().numpy()
        return array

    arrays = {
        "maps": half(output.map),
        "probabilities": output.action_logits[game].softmax(dim=-1).cpu().numpy(),
        "value": output.value[game].cpu().numpy(),
    }
    n_evidence = output.evidence[0].numel()
    if n_evidence and (all_evidence or 2 * n_evidence <= MOST_EVIDENCE_BYTES):
        arrays["evidence"] = half(output.evidence)
    if output.branch_logits is not None:
        arrays["branch_probabilities"] = output.branch_logits[game].softmax(dim=-1).cpu().numpy()
    if output.branch_value is not None:
        arrays["branch_value"] = output.branch_value[game].cpu().numpy()
    if output.glimpse is not None:
        arrays["glimpse"] = output.glimpse[game].cpu().numpy()
    return arrays


def episode_meta(
    run: Run,
    policy: AttentionPolicy,
    step: int,
    env: AnySingleEnv,
    *,
    protocol: AnyProtocol,
    protocol_name: str,
    game_seed: int,
    player: Mapping[str, Any],
) -> EpisodeMeta:
    """Returns what is known of an episode before it is played.

    Args:
        run: Whose agent.
        policy: Its policy.
        step: The checkpoint's.
        env: The game.
        protocol: How it is played.
        protocol_name: Its name.
        game_seed: The emulator's seed.
        player: How the agent plays: "greedy", "seed" and "intervention", as on the command line,
            and what else is to be told.
    """
    recipe = run.recipe
    abilities = policy.settings.abilities
    rows, columns = _map_size(policy)
    _, *places = policy.features_extractor.out_shape
    made = provenance(str(policy.device))
    return EpisodeMeta(
        title=title_of(run, step, player["intervention"], greedy=player["greedy"]),
        action_names=tuple(env.action_names),
        map_names=policy.map_names,
        frame_size=env.frame_size,
        fps=env.fps,
        frames_per_step=protocol.frame_skip if isinstance(env, SingleEnv) else 1,
        even_factor=abilities.even_factor(rows, columns),
        map_places=(places[0], places[1]) if abilities.lies_flat(columns) else None,
        scale="even" if abilities.sums_to_one else "fixed",
        seen_rows=protocol.seen_rows,
        objects={
            name: found.model_dump(mode="json")
            for name, found in getattr(recipe.env, "objects", {}).items()
        },
        rl_abn=__version__,
        source={
            "agent": {
                "name": recipe.agent_name,
                "run": str(run.path.resolve()),
                "step": step,
                "trained": how_trained(step, run.is_foreign),
                "sha256": hash_of(policy.state_dict()),
                "return_std": _return_std(policy),
                **player,
            },
            "game": {
                "name": recipe.env_name,
                "seed": game_seed,
                "protocol_name": protocol_name,
                "protocol": protocol.model_dump(mode="json", exclude_none=True),
            },
            "recipe": recipe.model_dump(mode="json", exclude_none=True),
            "versions": made["versions"],
            "device": made["device"],
            "started": made["started"],
        },
    )


def _return_std(policy: AttentionPolicy) -> float | None:
    """Returns what an agent's rewards are divided by in its training, as `RewardScale` does.

    None for agents that learn from rewards in another form.
    """
    if policy.return_moments is None:
        return None
    _, mean, square = policy.return_moments.tolist()
    return deviation_of(mean, square)


def _map_size(policy: AttentionPolicy) -> tuple[int, int]:
    """Returns rows and columns of a policy's maps."""
    space = policy.observation_space
    assert space.shape is not None
    nothing = torch.zeros((1, *space.shape), device=policy.device)
    with torch.no_grad():
        output, _ = policy.attend(nothing)
    rows, columns = output.map.shape[-2:]
    return rows, columns


def record_game(
    agent: AgentPlayer,
    env: AnySingleEnv,
    folder: Path,
    meta: EpisodeMeta,
    *,
    max_steps: int | None = None,
    keep: Collection[str] = (),
    report: ProgressReport | None = None,
    done_before: int = 0,
    counts_games: bool = False,
    stop: StopSignal | None = None,
) -> RecordedGame:
    """Plays the game of `meta` and records it.

    Args:
        agent: Who plays, before its first step.
        env: The game; it is started here.
        folder: The episode folder.
        meta: As `episode_meta` returns it.
        max_steps: Records at most this many steps.
        keep: What of `KEEP` is kept at every step.
        report: Progress display.
        done_before: Units already counted in the report.
        counts_games: Whether the report counts games; else steps.
        stop: Ends the recording where a signal comes; it then is cut.

    Raises:
        RlAbnError: If the folder is taken or cannot be written.
    """
    recorder = GameRecorder(folder, meta, env, keep=keep)
    t, stopped = 0, False
    with recorder.writer:
        while not (recorder.is_over or t == max_steps or stopped):
            recorder.keep_state(agent, 0, with_draws=True)
            actions, output = agent.act(
                recorder.observation[None], np.array([t == 0]), np.array([recorder.lost_life])
            )
            assert output is not None
            recorder.step(int(actions[0]), output, 0)
            t += 1
            stopped = stop is not None and stop.received is not None
            if report is not None:
                done = done_before if counts_games else done_before + t
                report.update(done, step=f"{t:,}", score=f"{recorder.score:.0f}")
        return recorder.finish(whole=not stopped)


class EpisodeRecordingPlayer(WrappedPlayer):
    """A player that records the first game of some of the environments it plays in.

    Each of these games is repeated on an environment that shows it. What the player does is not
    touched.

    Args:
        player: Who plays.
        agent: The agent that it is, or wraps.
        recorders: Of the first games of environments 0, 1, …

    Attributes:
        games: Those that were recorded so far, by environment.
    """

    def __init__(
        self, player: Player, agent: AgentPlayer, recorders: Sequence[GameRecorder]
    ) -> None:
        super().__init__(player)
        self.agent = agent
        self.recorders = recorders
        self.games: dict[int, RecordedGame] = {}

    def recording(self) -> ExitStack:
        """Returns what is to be open while it plays: left early, it keeps the steps so far."""
        writers = ExitStack()
        for recorder in self.recorders:
            writers.enter_context(recorder.writer)
        return writers

    def act(
        self,
        observations: np.ndarray,
        episode_start: np.ndarray,
        lost_life: np.ndarray | None = None,
    ) -> tuple[np.ndarray, PolicyOutput | None]:
        """Acts on observations, [N, C, H, W], and records."""
        playing = []
        for i, recorder in enumerate(self.recorders):
            if i in self.games:
                continue
            if np.array_equal(recorder.observation, observations[i]):
                recorder.keep_state(self.agent, i, with_draws=False)
                playing.append((i, recorder))
            else:
                self.games[i] = recorder.finish(whole=False)
                path, n = recorder.writer.folder, recorder.writer.n_steps
                warn(f"{path}: cut off after {n:,} steps: the environment does not repeat its game")
        actions, output = super().act(observations, episode_start, lost_life)
        assert output is not None
        for i, recorder in playing:
            recorder.step(int(actions[i]), output, i)
            if recorder.is_over:
                self.games[i] = recorder.finish(whole=True)
        return actions, output
