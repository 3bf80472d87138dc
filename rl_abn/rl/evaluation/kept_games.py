"""The games of an evaluation that was cut off: each player's are kept, and not played again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from rl_abn.estimates import Estimate
from rl_abn.files.parts import Part, Parts
from rl_abn.rl.evaluation.episodes import GameResult
from rl_abn.rl.evaluation.evaluate import PlayedGames
from rl_abn.rl.evaluation.faithfulness import Faithfulness
from rl_abn.runs import Run

UNFINISHED = "unfinished"


class Played(NamedTuple):
    """What came of one player's games.

    Attributes:
        games: The games.
        map_reliance: As `RunEvaluation` has it; empty where the player was not asked.
        faithfulness: Of the student and its teacher on these games; None where nobody watched.
    """

    games: PlayedGames
    map_reliance: dict[str, Estimate]
    faithfulness: Faithfulness | None

    def as_json(self) -> dict[str, Any]:
        """Returns plain data, from which `of_json` makes the same."""
        games, faithful = self.games, self.faithfulness
        return {
            **games._asdict(),
            "games": [list(game) for game in games.games],
            "map_reliance": {name: list(kl) for name, kl in self.map_reliance.items()},
            "faithfulness": faithful
            and [list(faithful.kl), list(faithful.agreement), faithful.steps],
        }

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> Played:
        """Returns what `as_json` was made of."""
        faithful = data["faithfulness"]
        return cls(
            PlayedGames(
                [GameResult(*game) for game in data["games"]], data["n_actions"], data["max_frames"]
            ),
            {name: Estimate(*kl) for name, kl in data["map_reliance"].items()},
            faithful and Faithfulness(Estimate(*faithful[0]), Estimate(*faithful[1]), faithful[2]),
        )


def name_of(player: str) -> str:
    """Returns the name of a player's part."""
    return sha256(player.encode()).hexdigest()[:16]


class KeptGames:
    """Keeps the games of each player in the run folder until the evaluation is saved.

    Args:
        run: Whose agent is evaluated.

    Attributes:
        n_players: Of how many players all games are there.
    """

    def __init__(self, run: Run) -> None:
        self._top = run.path / "evaluations" / UNFINISHED
        self._folder: Path | None = None
        self._parts: Parts | None = None
        self._was_kept = False
        self.n_players = 0

    def open(self, inputs: Mapping[str, Any]) -> None:
        """Says what all games depend on: the weights, the protocol, the seed, plain data.

        Raises:
            RlAbnError: If nothing can be kept there; before any game is played.
        """
        name = sha256(json.dumps(dict(inputs), sort_keys=True).encode()).hexdigest()[:16]
        self._folder = self._top / name
        self._parts = Parts(self._folder, inputs, self._on_part)

    def do(self, player: str, play: Callable[[], Played]) -> tuple[Played, bool]:
        """Returns a player's games, those that are kept or else those that are played now.

        The second says whether they were kept.

        Raises:
            RlAbnError: If they cannot be kept.
        """
        assert self._parts is not None, "open it first"
        found = self._parts.do(name_of(player), lambda: Part(play().as_json(), {}))
        try:
            return Played.of_json(found.result), self._was_kept
        except (KeyError, TypeError, ValueError, IndexError):  # a run may come from anyone
            return play(), False

    def forget(self) -> None:
        """Removes what was kept, once the evaluation is saved."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        with suppress(OSError):  # another evaluation may be unfinished
            self._top.rmdir()

    def _on_part(self, name: str, was_kept: bool) -> None:
        self._was_kept = was_kept
        self.n_players += 1
