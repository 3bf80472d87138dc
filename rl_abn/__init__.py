"""rl-abn: Atari agents that show where they look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rl_abn.door import list_agents, load

__all__ = ["__version__", "list_agents", "load"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Imports the door at its first use, so that `import rl_abn` stays fast."""
    if name in ("list_agents", "load"):
        from rl_abn import door

        return getattr(door, name)
    raise AttributeError(f"module 'rl_abn' has no attribute '{name}'")


def __dir__() -> list[str]:
    """Returns the public names, those of the door too."""
    return sorted({*globals(), *__all__})
