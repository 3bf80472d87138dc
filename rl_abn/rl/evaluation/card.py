"""The card of an agent that is handed on: what it is, what it scores, and what it does not do."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from rl_abn.errors import RlAbnError, printable
from rl_abn.estimates import Estimate
from rl_abn.explain.certificate import QUESTIONS
from rl_abn.explain.stored import StoredCertificate, certificate_of_checkpoint
from rl_abn.files.text import read_json
from rl_abn.recipes.overrides import validate
from rl_abn.rl.evaluation.scores import Difference
from rl_abn.runs import META, Run
from rl_abn.runs.origin import begun_with, init_record, taught_by, teacher_record, was_taught

PICTURE = "picture.png"
VALUE_MAP = ("value",)
"""The maps of a critic: whatever they are replaced by, the same games are played."""


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False, extra="ignore")


class _Player(_Stored):
    """A player's part of an evaluation's JSON."""

    player: str
    protocol: str
    greedy: bool
    games: list[dict[str, Any]]
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


class StoredEvaluation(_Stored):
    """An evaluation as its JSON has it, as far as a card tells it."""

    step: int
    evaluations: list[_Player]
    map_reliance: dict[str, Estimate] = {}

    @property
    def intact(self) -> _Player:
        """The agent without intervention."""
        return self.evaluations[0]


class _Line(NamedTuple):
    label: str
    text: str


def evaluations_of(run: Run, step: int) -> list[Path]:
    """Returns the files of a run's evaluations of a checkpoint, those that can be read, sorted.

    They are those of `rl-abn eval` and of a sweep.
    """
    folder, found = run.path / "evaluations", []
    for path in sorted([*folder.glob(f"step-{step}-*.json"), *folder.glob("sweep-*.json")]):
        with suppress(RlAbnError):
            if read_evaluation(path).step == step:
                found.append(path)
    return found


def read_evaluation(path: Path) -> StoredEvaluation:
    """Reads an evaluation that `rl-abn eval` kept.

    Raises:
        RlAbnError: If it is damaged.
    """
    stored = validate(StoredEvaluation, read_json(path), str(path))
    if not stored.evaluations:
        raise RlAbnError(f"{path}: expected evaluations, got none")
    return stored


def card_of(run: Run, step: int, notes: str = "") -> str:
    """Returns an agent's card as Markdown.

    Args:
        run: The run, with the evaluations that the card is to tell.
        step: The checkpoint.
        notes: What else is to be said.

    Raises:
        RlAbnError: If `meta.json` is damaged.
    """
    recipe, evaluations = run.recipe, [read_evaluation(p) for p in evaluations_of(run, step)]
    teacher, init = teacher_record(run), init_record(run)
    taught = teacher is not None or was_taught(init)
    title = f"# {recipe.agent_name} on {recipe.env.game.title}"
    lines = [title, "", _summary(run, step, taught=taught, more=init is not None), ""]
    if (run.path / PICTURE).is_file():
        lines += [f"![A moment of its game, with its maps where it has any]({PICTURE})", ""]
    lines += ["| | |", "|---|---|"]
    lines += [f"| {label} | {text} |" for label, text in _origin(run, step, teacher, init)]
    lines += ["", "## Scores", ""]
    if not evaluations:
        lines += ["Not evaluated; `rl-abn eval` says what it scores.", ""]
    for evaluation in evaluations:
        lines += [*_scores(evaluation), ""]
    stored = certificate_of_checkpoint(run.path, step)
    if stored is not None:
        lines += ["## Where it looks", "", *_looks(stored), ""]
    weak = weaknesses(evaluations, stored)
    lines += ["## Weaknesses", "", *(f"- {what}" for what in weak), ""]
    if notes.strip():
        lines += ["## Notes", "", notes.strip(), ""]
    return "\n".join(lines).rstrip() + "\n"


def weaknesses(
    evaluations: Sequence[StoredEvaluation], stored: StoredCertificate | None = None
) -> list[str]:
    """Returns what was tested and not found, a sentence each, beside that one seed is one.

    Args:
        evaluations: Of the agent.
        stored: The certificate of its map; None where there is none.
    """
    said = ["One training from one seed: another seed may learn otherwise."]
    for evaluation in evaluations:
        intact = evaluation.intact
        how = f"{len(intact.games)} {_mode(intact)} games ({intact.protocol})"
        for player in evaluation.evaluations[1:]:
            difference = player.difference
            if player.is_teacher and player.mean.value > intact.mean.value > 0:
                reached = intact.mean.value / player.mean.value
                said.append(f"Below its teacher: {reached:.0%} of its score in {how}.")
            if difference is None or (difference.high is not None and difference.high < 0):
                continue
            if player.blind is not None:
                said.append(f"{how} do not tell it from itself when blind ({player.blind}).")
            elif player.intervention is not None and player.intervened_maps != VALUE_MAP:
                said.append(f"{how} show no loss with the {_changed(player)}.")
        if intact.human_normalised is not None and intact.human_normalised < 1:
            share = f"{intact.human_normalised:.0%}"
            said.append(f"Below a person: {share} of the way from a random player in {how}.")
    verdicts = {} if stored is None else {q: v for q, v, _ in stored.certificate.lines}
    if verdicts.get("right") == "no" and verdicts.get("used") != "not asked":
        said.append("Its map does not mark what decides: do not read it as an action's reason.")
    return list(dict.fromkeys(said))


def _summary(run: Run, step: int, *, taught: bool, more: bool) -> str:
    algorithm = run.recipe.agent.algorithm.name.upper()
    learnt = "from a teacher" if taught else "elsewhere" if run.is_foreign else "from reward alone"
    maps = "with attention maps" if run.recipe.agent.attention.has_maps else "without attention"
    steps = f"{step:,} {'more ' if more else ''}agent steps"
    return f"{algorithm} {maps}, {steps} (four frames each), learnt {learnt}."


def _origin(
    run: Run, step: int, teacher: dict[str, Any] | None, init: dict[str, Any] | None
) -> list[_Line]:
    """Returns where the agent comes from, of `meta.json`; what is not known is left out."""
    meta = read_json(run.path / META)
    hours = meta.get("wall_time_s")
    known = {
        "command": meta.get("command") and f"`{meta['command']}`",
        "seed": str(run.recipe.seed),
        "steps": f"{step:,}",
        "teacher": teacher and taught_by(teacher),
        "weights": init and begun_with(init),
        "hours": f"{hours / 3600:.1f}" if isinstance(hours, float) and hours else None,
        "machine": f"{meta.get('device')}, {meta.get('cpu_cores')} cores, {meta.get('platform')}",
        "commit": meta.get("commit"),
        "versions": ", ".join(f"{k} {v}" for k, v in dict(meta.get("versions") or {}).items()),
    }
    return [_Line(k, printable(str(v)).replace("|", r"\|")) for k, v in known.items() if v]


def _scores(evaluation: StoredEvaluation) -> list[str]:
    intact = evaluation.intact
    lines = [
        f"{len(intact.games)} whole games each, {intact.protocol} protocol, {_mode(intact)}, cap "
        f"{intact.max_frames:,} frames, seed {intact.seed}; raw scores with 95% intervals over "
        "the games:",
        "",
        "| player | mean | IQM | difference to the agent | human-normalised |",
        "|---|---|---|---|---|",
    ]
    for player in evaluation.evaluations:
        difference = "" if player.difference is None else str(player.difference)
        normalised = player.human_normalised
        hns = "" if normalised is None else f"{normalised:.3f}"
        lines.append(
            f"| {player.player} | {player.mean:.1f} | {player.iqm:.1f} | {difference} | {hns} |"
        )
    if evaluation.map_reliance:
        nats = ", ".join(f"{name} {kl:.3f}" for name, kl in evaluation.map_reliance.items())
        lines += [
            "",
            f"Map reliance, KL in nats of the policy from itself with other maps: {nats}.",
        ]
    return lines


def _looks(stored: StoredCertificate) -> list[str]:
    lines = ["`rl-abn explain`" + (f", {stored.subtitle}" if stored.subtitle else "") + ":", ""]
    lines += ["| | | |", "|---|---|---|"]
    for line in stored.certificate.lines:
        text = printable(line.text).replace("|", r"\|")
        lines.append(f"| {QUESTIONS[line.question]} | **{line.verdict}** | {text} |")
    return lines


def _mode(player: _Player) -> str:
    return "greedy" if player.greedy else "stochastic"


def _changed(player: _Player) -> str:
    """Returns which of its maps were replaced by what, such as "policy map flattened"."""
    words = {"zero": "all zero", "uniform": "flattened", "swap": "of another moment"}
    how = words.get(str(player.intervention), str(player.intervention).replace("_", " "))
    names = [name for name in player.intervened_maps if name != "shared"]
    which = "maps" if len(names) > 1 else " ".join([*names, "map"])
    return f"{which} {how}"
