"""A person's recorded game as the agent would have seen it, and the agent's memory along it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from rl_abn.recipes import Protocol
from rl_abn.rl.envs.frames import Frames
from rl_abn.rl.envs.observations import make_pipeline
from rl_abn.rl.evaluation.atari_head import SCREEN, Trial, read_pictures
from rl_abn.rl.evaluation.players import AgentPlayer
from rl_abn.rl.policies.attention_policy import AttentionPolicy

_GREY = np.array([0.2989, 0.5870, 0.1140])
"""ALE's weights of red, green and blue."""


class Step(NamedTuple):
    """A step of the agent in a recorded game.

    Attributes:
        newest: Number of the trial's frame that it sees as the newest.
        starts: Whether a game or an unbroken stretch of frames starts with it.
        n: How many steps of the stretch came before.
    """

    newest: int
    starts: bool
    n: int


class GazeMoments(NamedTuple):
    """N moments of recorded games at which a person's gaze is known.

    Attributes:
        observations: As the agent sees them, [N, C, H, W].
        previous: One step before, [N, C, H, W].
        memory: The agent's before the moment, [N, ...] each; none without memory.
        screens: The newest frame, uint8 [N, 210, 160, 3].
        positions: All gaze positions, x and y in pixels of the screen, float64 [P, 2].
        counts: How many of these each moment has, in order, int64 [N].
        trials: Which trial, int64 [N].
        frames: Which frame of the trial, int64 [N].
    """

    observations: np.ndarray
    previous: np.ndarray
    memory: tuple[np.ndarray, ...]
    screens: np.ndarray
    positions: np.ndarray
    counts: np.ndarray
    trials: np.ndarray
    frames: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns all arrays by name."""
        found = {f"memory_{i}": part for i, part in enumerate(self.memory)}
        return found | {name: v for name, v in self._asdict().items() if name != "memory"}

    @classmethod
    def of_arrays(cls, parts: Sequence[dict[str, np.ndarray]]) -> GazeMoments:
        """Returns the moments of several trials together."""
        whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        names = sorted((n for n in whole if n.startswith("memory_")), key=lambda n: int(n[7:]))
        memory = tuple(whole.pop(name) for name in names)
        return cls(memory=memory, **whole)


def steps_of(trial: Trial, protocol: Protocol) -> list[Step]:
    """Returns the steps that an agent would have taken in a trial.

    The first frame of a game is a step, as at a reset, and from there every `frame_skip`-th one. A
    game ends where the table's episode changes; where the frames' numbers have a gap a stretch
    ends, and the next is begun as a game is.
    """
    steps: list[Step] = []
    since = 0
    for number, frame in enumerate(trial.frames):
        before = trial.frames[number - 1] if number else None
        if before is None or before.episode != frame.episode or _gap(before.name, frame.name):
            since = number
        if (number - since) % protocol.frame_skip == 0:
            n = (number - since) // protocol.frame_skip
            steps.append(Step(number, n == 0, n))
    return steps


def _gap(one: str, other: str) -> bool:
    """Whether the numbers at the ends of two names do not follow each other."""
    ends = [re.search(r"([0-9]+)$", name) for name in (one, other)]
    if ends[0] is None or ends[1] is None:
        return False
    return int(ends[1][1]) != int(ends[0][1]) + 1


def positions_at(trial: Trial, step: Step, rows: tuple[int, int] | None) -> np.ndarray:
    """Returns the gaze positions while a step's newest frame was shown, [G, 2].

    Args:
        trial: Whose.
        step: Which.
        rows: Of the screen that the agent sees; a gaze at others is left out. None is all.
    """
    positions = trial.frames[step.newest].positions
    if rows is None:
        return positions
    seen = (positions[:, 1] >= rows[0]) & (positions[:, 1] < rows[1])
    inside: np.ndarray = positions[seen]
    return inside


def choose_steps(trials: Sequence[Trial], protocol: Protocol, n_moments: int) -> list[list[int]]:
    """Chooses the steps to ask about, spread evenly over all trials.

    They have a gaze on what the agent sees, and a full stack of frames.

    Args:
        trials: The trials.
        protocol: How the agent sees.
        n_moments: How many, at most.

    Returns:
        For each trial the numbers of its chosen steps, of `steps_of`.
    """
    possible = [
        (i, j)
        for i, trial in enumerate(trials)
        for j, step in enumerate(steps_of(trial, protocol))
        if step.n >= protocol.frame_stack and len(positions_at(trial, step, protocol.seen_rows))
    ]
    n = min(n_moments, len(possible))
    chosen: list[list[int]] = [[] for _ in trials]
    for k in np.linspace(0, len(possible) - 1, n).round().astype(int):
        i, j = possible[k]
        chosen[i].append(j)
    return chosen


class _RecordedScreen:
    """The present screen of a recorded game, as an emulator would give it."""

    def __init__(self, *, colour: bool) -> None:
        self.frame = np.zeros((*SCREEN, 3), np.uint8)
        self._colour = colour

    def __call__(self) -> np.ndarray:
        return self.frame if self._colour else grey_of(self.frame)


def grey_of(frame: np.ndarray) -> np.ndarray:
    """Returns a colour frame, uint8 [H, W, 3], as ALE makes it grey, uint8 [H, W]."""
    colours = frame.reshape(-1, 3)
    packed = colours.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    # A screen has few colours.
    _, first, which = np.unique(packed, return_index=True, return_inverse=True)
    shades = np.rint(colours[first] @ _GREY).astype(np.uint8)
    grey: np.ndarray = shades[which].reshape(frame.shape[:2])
    return grey


def replay(
    policy: AttentionPolicy,
    protocol: Protocol,
    trial: Trial,
    number: int,
    chosen: Sequence[int],
    *,
    seed: int = 0,
    tick: Callable[[int], None] | None = None,
) -> GazeMoments:
    """Shows an agent a person's recorded game and keeps what it saw at some steps.

    The frames are consecutive ones of the emulator. They go through the agent's own observation
    pipeline: its frame skip, the maximum of a step's last two frames where the protocol has it, the
    grey or the crop, the resize, running statistics and the stack, all in the order of the game and
    begun anew with each game. For frames that an emulator made, the observations are those of
    `SingleEnv`, byte for byte. An agent with memory takes every step from the beginning of the
    game, so at a moment it remembers what the person played; one that forgets at a lost life does
    not, as the tables do not say when a life is lost. The person's actions are not used: the
    agent acts on nothing. Steps after the last chosen one are left out.

    Args:
        policy: The agent's, in fp32.
        protocol: How it sees.
        trial: The game.
        number: Of the trial among all.
        chosen: Numbers of the steps to keep, ascending, one at least; of `steps_of`.
        seed: Of what an agent with glimpses draws.
        tick: Told how many frames were seen, now and then.
    """
    steps = steps_of(trial, protocol)[: chosen[-1] + 1]
    pipeline = make_pipeline(protocol, 1)
    spec = pipeline.frame_spec
    screen = _RecordedScreen(colour=spec.colour)
    frames = Frames(screen, spec, max_pool=protocol.max_pool)
    n_pooled = 2 if protocol.max_pool and protocol.frame_skip > 1 else 1
    shown = [_shown(step, n_pooled) for step in steps]
    names = [trial.frames[i].name for numbers in shown for i in numbers]
    picture = read_pictures(trial, list(dict.fromkeys(names)))
    player = AgentPlayer("agent", policy, greedy=False, seed=seed)
    remembers = policy.initial_state(1) is not None
    kept: list[tuple[np.ndarray, ...]] = []
    memories: list[tuple[np.ndarray, ...]] = []
    observation: np.ndarray | None = None
    wanted = set(chosen)
    for j, (step, numbers) in enumerate(zip(steps, shown, strict=True)):
        before = observation
        for i in numbers:
            screen.frame = picture(trial.frames[i].name)
            if not step.starts:
                frames.keep(step.newest - i + 1)
        stacked = frames.restart() if step.starts else frames.step()
        observation = pipeline.observe(stacked[None], [0])[0]
        begun = np.array([step.starts])
        if j in wanted:
            assert before is not None
            kept.append((observation.copy(), before.copy(), screen.frame))
            parts = player.memory_before(begun) if remembers else ()
            memories.append(tuple(part[0].cpu().numpy() for part in parts))
        if remembers:
            player.attend(observation[None], begun)
        if tick is not None and j % 64 == 63:
            tick(64 * protocol.frame_skip)
    observations, previous, screens = map(np.stack, zip(*kept, strict=True))
    where = [positions_at(trial, steps[j], protocol.seen_rows) for j in chosen]
    return GazeMoments(
        observations,
        previous,
        tuple(np.stack(parts) for parts in zip(*memories, strict=True)),
        screens,
        np.concatenate(where),
        np.array([len(each) for each in where]),
        np.full(len(chosen), number),
        np.array([steps[j].newest for j in chosen]),
    )


def _shown(step: Step, n_pooled: int) -> list[int]:
    """Returns the numbers of the frames that a step shows, the newest last."""
    first = step.newest if step.starts else step.newest - n_pooled + 1
    return list(range(first, step.newest + 1))
