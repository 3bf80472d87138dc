"""An `argparse` parser with one-line errors: expected, got, nearest valid choice."""

from __future__ import annotations

import argparse
import math
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from rl_abn.errors import RlAbnError, did_you_mean


class Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Shows defaults, and descriptions in paragraphs and lines as they are written."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        # Prose flows; a line that begins with spaces, such as a command's, stays a line.
        paragraphs = re.sub(r"(?<=\S)\n(?=\S)", _joined, text).splitlines()
        return "\n".join(wrapped(line, width, indent) for line in paragraphs)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default is None or action.default is False or action.default == []:
            return action.help
        if action.help is not None and "(default" in action.help:
            return action.help  # says it in its own words
        return super()._get_help_string(action)


def _joined(line_end: re.Match[str]) -> str:
    """Returns a space, or the line break itself after a line that begins with spaces."""
    before = line_end.string[: line_end.start()].rpartition("\n")[2]
    return "\n" if before.startswith(" ") else " "


def wrapped(line: str, width: int, indent: str = "") -> str:
    """Wraps a line to a width; of a command and what it does, the latter stays in its column."""
    words = line.lstrip()
    margin = " " * (len(line) - len(words))
    column = max((gap.end() for gap in re.finditer(r"\S {2,}", words)), default=0)
    hanging = column if 0 < column <= width - 30 else 4 if margin else 0
    return textwrap.fill(
        words,
        width,
        initial_indent=indent + margin,
        subsequent_indent=indent + margin + " " * hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


class Parser(argparse.ArgumentParser):
    """Raises `RlAbnError` instead of printing the usage and exiting."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", Formatter)
        super().__init__(**kwargs, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raises the error.

        Raises:
            RlAbnError: Always.
        """
        raise RlAbnError(f"{message}; see {self.prog} --help")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            hint = did_you_mean(str(value), action.choices)
            raise RlAbnError(f"unknown {str(action.metavar).lower()} '{value}': {hint}")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses; for an unknown option the error names the nearest one.

        Raises:
            RlAbnError: If an argument is unknown.
        """
        words = list(args or ())
        # Checked first: argparse reports missing arguments before misspelt ones.
        for word in words[: words.index("--") if "--" in words else None]:
            if not word.startswith("-"):
                if self._subparsers is not None:
                    break  # the rest is the command's
                continue
            option = word.partition("=")[0]
            if option.startswith("--") and option not in self._option_string_actions:
                hint = did_you_mean(option, self._option_string_actions)
                raise RlAbnError(f"unknown option '{word}': {hint}")
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            raise RlAbnError(f"expected no more arguments, got '{' '.join(unknown)}'")
        return parsed, unknown


def number(low: float, *, above: bool = False) -> Callable[[str], float]:
    """Returns an argument type for finite numbers from `low`, or above it."""
    expected = f"a number {'above' if above else 'from'} {low:g}"

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or value < low or (above and value == low):
            raise argparse.ArgumentTypeError(f"expected {expected}, got '{text}'")
        return value

    return parse


def one_of(choices: Iterable[str]) -> Callable[[str], str]:
    """Returns an argument type that accepts one of some names."""
    names = tuple(choices)

    def parse(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(
                f"unknown choice '{text}': {did_you_mean(text, names)}"
            )
        return text

    return parse


def whole_number(low: int, high: int | None = None) -> Callable[[str], int]:
    """Returns an argument type for integers in a range; 1e6 and 1_000_000 are valid."""
    expected = f"a whole number from {low:,}" + ("" if high is None else f" to {high:,}")

    def parse(text: str) -> int:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not number.is_integer() or number < low or (high is not None and number > high):
            raise argparse.ArgumentTypeError(f"expected {expected}, got '{text}'")
        return int(text.replace("_", "")) if text.replace("_", "").isdigit() else int(number)

    return parse


def add_minutes(parser: argparse.ArgumentParser, help_text: str) -> None:
    """Adds --minutes, as `minutes`: infinite where it is not given."""
    parser.add_argument(
        "--minutes", type=number(0, above=True), default=math.inf, metavar="N", help=help_text
    )


RUN_OR_SHIPPED = "run folder, or an agent that ships with the package (see 'rl-abn recipes')"


def add_run(parser: argparse.ArgumentParser, help_text: str = "run folder") -> None:
    """Adds RUN, as `path`."""
    parser.add_argument("path", type=Path, metavar="RUN", help=help_text)


def add_env(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """Adds --env, required without a default."""
    parser.add_argument(
        "--env",
        required=default is None,
        default=default,
        metavar="RECIPE",
        help="game: a name of 'rl-abn recipes envs', any game of ALE, a Gymnasium environment "
        "as module:EnvId-v0, or a path",
    )


def add_agent(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """Adds --agent, required without a default."""
    parser.add_argument(
        "--agent",
        required=default is None,
        default=default,
        metavar="RECIPE",
        help="agent: a name of 'rl-abn recipes agents', or a path",
    )


def add_training_folder(
    parser: argparse.ArgumentParser, default: str = "runs/ENV/AGENT/seed-S"
) -> None:
    """Adds --out, --on-exists and --keep for a training run."""
    parser.add_argument("--out", type=Path, metavar="DIR", help=f"run folder (default: {default})")
    parser.add_argument(
        "--on-exists",
        type=one_of(("resume", "new", "overwrite")),
        metavar="WHAT",
        help="if the run folder exists: resume it, make a new one beside it, or overwrite it",
    )
    parser.add_argument(
        "--keep",
        type=whole_number(0),
        metavar="N",
        help="keep the newest N checkpoints, 0 all of them (default: the recipe's train.keep)",
    )


def add_import_folder(parser: argparse.ArgumentParser, kind: str) -> None:
    """Adds --out and --on-exists for an imported run."""
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help=f"run folder (default: runs/ENV/AGENT/{kind}-FILE)",
    )
    parser.add_argument(
        "--on-exists",
        type=one_of(("new", "overwrite")),
        metavar="WHAT",
        help="if the run folder exists: make a new one beside it, or overwrite it",
    )


def add_out(parser: argparse.ArgumentParser, help_text: str, default: Path | None = None) -> None:
    """Adds --out: a folder."""
    parser.add_argument("--out", type=Path, default=default, metavar="DIR", help=help_text)


def add_quick(parser: argparse.ArgumentParser, help_text: str) -> None:
    """Adds --quick."""
    parser.add_argument("--quick", action="store_true", help=help_text)


def add_episodes(
    parser: argparse.ArgumentParser, help_text: str, default: int | None = None
) -> None:
    """Adds --episodes."""
    parser.add_argument(
        "--episodes", type=whole_number(1), default=default, metavar="N", help=help_text
    )


def add_states(parser: argparse.ArgumentParser, help_text: str, default: int | None = None) -> None:
    """Adds --states: moments of games."""
    parser.add_argument(
        "--states", type=whole_number(4, 4096), default=default, metavar="N", help=help_text
    )


def add_max_steps(
    parser: argparse.ArgumentParser,
    help_text: str = "cut games off after N agent steps (default: the protocol's frame cap)",
) -> None:
    """Adds --max-steps."""
    parser.add_argument("--max-steps", type=whole_number(1), metavar="N", help=help_text)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Adds --set, as `settings`."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="change a recipe's field, such as algorithm.gamma=0.995; may be repeated",
    )


def add_greedy(parser: argparse.ArgumentParser) -> None:
    """Adds --greedy."""
    parser.add_argument(
        "--greedy",
        action="store_true",
        help="take the most probable action instead of sampling",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Adds --device."""
    parser.add_argument(
        "--device", default="auto", metavar="NAME", help="auto, cpu, cuda or cuda:N"
    )


def add_seed(parser: argparse.ArgumentParser, of: str) -> None:
    """Adds --seed."""
    parser.add_argument(
        "--seed", type=whole_number(0, 2**31 - 1), default=0, metavar="S", help=f"seed of {of}"
    )


def add_checkpoint(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """Adds --checkpoint: a step, or "best"; of several, a list as `checkpoints`."""
    options: dict[str, Any] = (
        {"action": "append", "default": [], "dest": "checkpoints"} if several else {}
    )
    parser.add_argument(
        "--checkpoint",
        type=_step_or_best,
        metavar="STEP|best",
        help="use the checkpoint of this step, or the best one of train --eval-every "
        "(default: the newest)" + ("; given again, they are compared" if several else ""),
        **options,
    )


def _step_or_best(text: str) -> int | str:
    if text == "best":
        return text
    try:
        return whole_number(0)(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"expected a whole number from 0, or 'best', got '{text}'"
        ) from None


def add_epoch(parser: argparse.ArgumentParser, of: str = "the") -> None:
    """Adds --checkpoint for the vision track, whose checkpoints are numbered by epoch."""
    parser.add_argument(
        "--checkpoint",
        type=whole_number(1),
        metavar="EPOCH",
        help=f"use {of} checkpoint of this epoch (default: the newest)",
    )


def add_data(
    parser: argparse.ArgumentParser,
    help_text: str = "where the data lies (default: where it lay in training)",
) -> None:
    """Adds --data."""
    parser.add_argument("--data", type=Path, metavar="PATH", help=help_text)


def add_split(parser: argparse.ArgumentParser) -> None:
    """Adds --split."""
    parser.add_argument(
        "--split",
        type=one_of(("test", "held_out")),
        metavar="NAME",
        help="test or held_out (default: test where the data has it)",
    )


def add_interventions(parser: argparse.ArgumentParser, help_text: str) -> None:
    """Adds --intervention, as `interventions`."""
    parser.add_argument(
        "--intervention",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        dest="interventions",
        help=help_text,
    )


def add_look(parser: argparse.ArgumentParser, where: str) -> None:
    """Adds --look; `where` ends its sentence."""
    parser.add_argument(
        "--look",
        default="plain",
        metavar="NAME",
        help="what the camera sees: plain, as the simulator draws, or restyled: other colours, "
        f"light and noise over the same tracks; {where}",
    )


def add_map(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """Adds --map: a map to show in place of the agent's own; of several, a list as `maps`."""
    options: dict[str, Any] = {"metavar": "NAME", "dest": "map_name"}
    if several:
        options = {"nargs": "+", "action": "extend", "default": [], "metavar": "NAME"}
        options["dest"] = "maps"
    parser.add_argument(
        "--map",
        help="show this map in place of the agent's own: grad_cam, evidence, attention_gradient, "
        "integrated_gradients, occlusion, rise, sarfa, greydanus or motion"
        + ("; several are shown side by side, own is the agent's" if several else ""),
        **options,
    )


def add_json(parser: argparse.ArgumentParser, what: str = "the result") -> None:
    """Adds --json; a file that cannot be written is refused before any work is done."""
    parser.add_argument("--json", type=_output, metavar="FILE", help=f"also write {what} here")


def _output(text: str) -> Path:
    from rl_abn.files.text import check_output

    check_output(Path(text))
    return Path(text)


Subparsers = Any  # argparse keeps the class of add_subparsers() to itself


def parse(parser: Parser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parses a command line.

    Raises:
        RlAbnError: If it is invalid.
    """
    namespace: argparse.Namespace = parser.parse_args(arguments)
    return namespace
