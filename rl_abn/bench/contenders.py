"""The rows of the benchmark: what is measured, in which group, compared with what."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from rl_abn.bench.spec import OUR_KINDS, Kind, Record, Spec
from rl_abn.errors import RlAbnError, did_you_mean
from rl_abn.recipes import list_recipes

GROUPS = {
    "emulator": "emulators alone, random actions",
    "ppo": "PPO",
    "a2c": "A2C",
    "logging": "what metrics, maps and checkpoints cost",
    "games": "one game at a time, of which 15 steps/s are real time",
    "growth-envs": "growth with the number of games",
    "growth-threads": "growth with PyTorch's threads",
    "growth-maps": "growth with the maps' resolution",
}
ROLLOUT = 1024
# What a default brings, and what might be tried beside it: without it, or with it.
_VARIANTS = {
    "fp32": ("fp32", ("train.precision=fp32",)),
    "whole": ("all games in one part", ("train.env_parts=1",)),
    "idle": ("emulators at idle priority", ("train.emulator_priority=idle",)),
}
# The forms of agents that are measured first, then the others; and agents with rows of their own.
_FIRST_FORMS = ("cnn", "cnn_split", "abn", "mask", "se")
_OWN_ROWS = ("ppo_abn_fast",)
MOST_ENVS = 256


class Contender(Record):
    """A row of the benchmark.

    Attributes:
        name: Its name.
        group: Its group, a key of `GROUPS`.
        text: Description.
        baselines: Names of the rows of the same group that it is compared with.
        spec: The measurement.
        requires: A module that it needs and the package does not install.
        quick: Whether `--quick` measures it.
    """

    name: str
    group: str
    text: str
    baselines: tuple[str, ...]
    spec: Spec
    requires: str | None = None
    quick: bool = False


@dataclass(frozen=True)
class Setting:
    """What all rows have in common.

    Attributes:
        env: Name or path of the env recipe.
        device: Where the networks run.
        torch_threads: PyTorch's threads; 0 is PyTorch's default.
        seconds: Minimum time of a measurement, in seconds.
        settings: Overrides for all rows of ours, applied before a row's own.
        cores: Largest number of threads in the rows that grow with them.
    """

    env: str = "space_invaders"
    device: str = "cpu"
    torch_threads: int = 0
    seconds: float = 10.0
    settings: tuple[str, ...] = ()
    cores: int = os.cpu_count() or 1

    def spec(self, kind: Kind, **fields: Any) -> Spec:
        """Returns a measurement in this setting."""
        common = {
            "env": self.env,
            "device": self.device,
            "torch_threads": self.torch_threads,
            "seconds": self.seconds,
        }
        if kind in OUR_KINDS:
            fields["settings"] = (*self.settings, *fields.get("settings", ()))
        return Spec.model_validate({"kind": kind, **common, **fields})


def all_contenders(setting: Setting) -> list[Contender]:
    """Returns all rows, group by group."""
    return [
        *_emulators(setting),
        *_algorithm(setting, "ppo"),
        *_algorithm(setting, "a2c"),
        *_logging(setting),
        *_games(setting),
        *_growth_envs(setting),
        *_growth_threads(setting),
        *_growth_maps(setting),
    ]


def select(contenders: Sequence[Contender], patterns: Iterable[str]) -> list[Contender]:
    """Returns the rows that match any pattern, in their order; all of them without a pattern.

    A pattern is a row's or group's name, "growth" for all groups that start with it, or a shell
    pattern such as "ppo_*".

    Raises:
        RlAbnError: If a pattern matches no row.
    """
    patterns = list(patterns)
    for pattern in patterns:
        if not any(_fits(contender, pattern) for contender in contenders):
            names = [*GROUPS, "growth", *(contender.name for contender in contenders)]
            raise RlAbnError(f"unknown row or group '{pattern}': {did_you_mean(pattern, names)}")
    if not patterns:
        return list(contenders)
    return [c for c in contenders if any(_fits(c, pattern) for pattern in patterns)]


def _fits(contender: Contender, pattern: str) -> bool:
    group = contender.group
    return pattern in (group, group.partition("-")[0]) or fnmatchcase(contender.name, pattern)


def ladder(most: int, start: int = 1) -> list[int]:
    """Returns start, its doublings up to `most`, and `most`: 1, 2, 4, 6 for 6."""
    steps = []
    while start < most:
        steps.append(start)
        start *= 2
    return [*steps, most]


def _emulators(setting: Setting) -> Iterator[Contender]:
    n_envs = max(8, setting.cores)
    titles: dict[Kind, str] = {"ale": "ALE's vector environment", "ale_vec_env": "AleVecEnv"}
    for kind, title in titles.items():
        for n in ladder(setting.cores):
            yield Contender(
                name=f"{kind}_{n}",
                group="emulator",
                text=f"{title}, {n_envs} games, {_threads(n)}",
                baselines=("ale_1",),
                spec=setting.spec(kind, n_envs=n_envs, emulator_threads=n),
                quick=n in (1, setting.cores),
            )
    yield Contender(
        name="envpool",
        group="emulator",
        text=f"EnvPool, {n_envs} games, {_threads(setting.cores)}",
        baselines=("ale_1",),
        spec=setting.spec("envpool", n_envs=n_envs, emulator_threads=setting.cores),
        requires="envpool",
    )
    yield Contender(
        name="sb3_vec_env",
        group="emulator",
        text=f"SB3's make_atari_env and VecFrameStack, {n_envs} games, one process",
        baselines=("ale_1",),
        spec=setting.spec("sb3_vec_env", n_envs=n_envs, wait_policy="default"),
        quick=True,
    )


def _algorithm(setting: Setting, name: str) -> Iterator[Contender]:
    sb3_row, passive_row = f"sb3_{name}", f"sb3_{name}_passive"
    yield Contender(
        name=sb3_row,
        group=name,
        text=f"SB3's {name.upper()}, rl-zoo's settings, as its users run it",
        baselines=(sb3_row,),
        spec=setting.spec("sb3", agent=name, wait_policy="default"),
        quick=True,
    )
    yield Contender(
        name=passive_row,
        group=name,
        text="the same with OMP_WAIT_POLICY=passive, as rl-abn sets it",
        baselines=(sb3_row,),
        spec=setting.spec("sb3", agent=name),
        quick=True,
    )
    agents = [agent for agent in list_recipes("agents") if agent.startswith(f"{name}_")]
    forms = {agent.removeprefix(f"{name}_"): None for agent in agents if agent not in _OWN_ROWS}
    for form in dict.fromkeys([*filter(forms.__contains__, _FIRST_FORMS), *forms]):
        agent = f"{name}_{form}"
        yield Contender(
            name=agent,
            group=name,
            text=f"{agent} as it comes",
            baselines=(sb3_row, passive_row),
            spec=setting.spec("ours", agent=agent),
            quick=form in ("cnn", "abn"),
        )
        variants = _VARIANTS if form in ("cnn", "abn") else ("fp32",)
        for variant in variants:
            text, settings = _VARIANTS[variant]
            yield Contender(
                name=f"{agent}_{variant}",
                group=name,
                text=f"{agent}, {text}",
                baselines=(sb3_row, passive_row),
                spec=setting.spec("ours", agent=agent, settings=settings),
            )
    if name == "ppo":
        yield Contender(
            name="ppo_abn_fast",
            group=name,
            text="ppo_abn_fast: 64 games × 32 steps",
            baselines=(sb3_row, passive_row),
            spec=setting.spec("ours", agent="ppo_abn_fast"),
        )


def _logging(setting: Setting) -> Iterator[Contender]:
    return _kinds_of_ppo_abn(
        setting,
        "logging",
        ("ours", "ppo_abn_bare", "ppo_abn without a run folder"),
        ("run", "ppo_abn_run", "ppo_abn, a whole training: metrics, maps, probes, checkpoints"),
    )


def _games(setting: Setting) -> Iterator[Contender]:
    return _kinds_of_ppo_abn(
        setting,
        "games",
        ("play", "game_played", "ppo_abn plays"),
        ("record", "game_recorded", "ppo_abn plays and is recorded: rl-abn record"),
        ("read", "recording_read", "any step of the recording: its screen, maps and numbers"),
    )


def _kinds_of_ppo_abn(
    setting: Setting, group: str, *rows: tuple[Kind, str, str]
) -> Iterator[Contender]:
    """Yields rows of kind, name and text, compared with the first of them."""
    for kind, name, text in rows:
        yield Contender(
            name=name,
            group=group,
            text=text,
            baselines=(rows[0][1],),
            spec=setting.spec(kind, agent="ppo_abn"),
        )


def _growth_envs(setting: Setting) -> Iterator[Contender]:
    for n in ladder(MOST_ENVS, start=8):
        yield Contender(
            name=f"ppo_abn_{n}_envs",
            group="growth-envs",
            text=f"ppo_abn, {n} games × {ROLLOUT // n} steps",
            baselines=("ppo_abn_8_envs",),
            spec=setting.spec(
                "ours",
                agent="ppo_abn",
                settings=(f"algorithm.n_envs={n}", f"algorithm.n_steps={ROLLOUT // n}"),
            ),
        )
        yield Contender(
            name=f"emulator_{n}_envs",
            group="growth-envs",
            text=f"AleVecEnv alone, {n} games",
            baselines=("emulator_8_envs",),
            spec=setting.spec("ale_vec_env", n_envs=n),
        )


def _growth_threads(setting: Setting) -> Iterator[Contender]:
    for n in ladder(setting.cores):
        yield Contender(
            name=f"ppo_abn_{n}_threads",
            group="growth-threads",
            text=f"ppo_abn, {_threads(n)} of PyTorch",
            baselines=("ppo_abn_1_threads",),
            spec=setting.spec("ours", agent="ppo_abn", torch_threads=n),
        )


def _growth_maps(setting: Setting) -> Iterator[Contender]:
    for extractor, size in (("nature", 9), ("nature", 7), ("impala", 21), ("impala", 11)):
        yield Contender(
            name=f"ppo_abn_{extractor}_{size}",
            group="growth-maps",
            text=f"ppo_abn, {extractor}, maps of {size}×{size}",
            baselines=("ppo_abn_nature_9",),
            spec=setting.spec(
                "ours",
                agent="ppo_abn",
                settings=(f"network.extractor={extractor}", f"network.attention_at={size}"),
            ),
        )


def _threads(n: int) -> str:
    return f"{n} thread" if n == 1 else f"{n} threads"
