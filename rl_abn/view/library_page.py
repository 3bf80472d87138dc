"""What is served, as the page lists it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from rl_abn.errors import RlAbnError
from rl_abn.view.library import EpisodeCard, FoundEpisode, FoundRun, Library, card_of, stamp_of

_cards: dict[Path, tuple[object, EpisodeCard | None]] = {}


def library_page(library: Library) -> dict[str, Any]:
    """Returns runs and episodes, for JSON; what cannot be read is left out."""
    library.refresh()
    found = [each for each in library.episodes.values() if not library.is_added(each.id)]
    episodes = [shown for each in found if (shown := _episode(each))]
    runs = sorted(library.runs.values(), key=lambda found: (found.is_shipped, found.label))
    return {
        "runs": [_run(found, library) for found in runs],
        "episodes": sorted(episodes, key=lambda episode: episode["label"]),
    }


def _run(found: FoundRun, library: Library) -> dict[str, Any]:
    recipe = found.run.recipe
    steps = [checkpoint.step for checkpoint in found.run.checkpoints or found.run.recoveries]
    algorithm = getattr(recipe.agent, "algorithm", None)
    return {
        "id": found.id,
        "name": found.run.path.name,
        "env": recipe.env_name,
        "env_title": found.title_of_env,
        "agent": recipe.agent_name,
        "algorithm": getattr(algorithm, "name", None),
        "track": found.track,
        "step": steps[-1] if steps else None,
        "checkpoints": steps,
        "episodes": library.episodes_of(found.id),
        "path_label": found.label,
    }


def _episode(found: FoundEpisode) -> dict[str, Any] | None:
    stamp = stamp_of(found.path)
    known = _cards.get(found.path)
    if known is None or known[0] != stamp:
        card = None
        with suppress(RlAbnError):
            card = card_of(found.path)
        known = _cards[found.path] = (stamp, card)
    card = known[1]
    if card is None:
        return None
    meta = card.meta
    agent, game = (_table(meta.source.get(name)) for name in ("agent", "game"))
    return {
        "id": found.id,
        "run": found.run,
        "title": meta.title,
        "name": found.path.name,
        "env": game.get("name"),
        "agent": agent.get("name"),
        "step": agent.get("step"),
        "n_steps": card.n_steps,
        "score": meta.score,
        "status": meta.status,
        "cut": card.cut,
        "intervention": agent.get("intervention"),
        "greedy": agent.get("greedy"),
        "seed": agent.get("seed"),
        "label": found.label,
    }


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
