"""What a run folder consists of: nothing else is ever removed with it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from rl_abn.errors import RlAbnError, printable
from rl_abn.files.text import read_json

_CHECKPOINT = r"\.?(step|recovery|damaged|best)-\d+(-\d+)?(\.(partial|replaced|removed))?"
_PATTERNS = [
    r"recipe\.toml|meta\.json|metrics\.jsonl|(outputs|domains)\.json",
    r"CARD\.md|picture\.png|certificate\.json",
    r"\.lock(\.\d+)?",
    rf"checkpoints/{_CHECKPOINT}/(policy\.safetensors|training\.safetensors|state\.json)",
    r"checkpoints/best-\d+/evaluation\.json|checkpoints/\.best\.partial/.*",
    rf"checkpoints/{_CHECKPOINT}/\.[^/]*\.partial",
    r"attention/(probes|edits)\.safetensors|attention/maps/step-\d+\.safetensors",
    r"tensorboard/events\.out\.tfevents\.[^/]*",
    r"evaluations/[^/]+\.(json|png)|videos/[^/]+\.mp4|sheets/[^/]+\.png",
    r"evaluations/unfinished/[0-9a-f]+/[0-9a-f]+\.npz",
    r"explanations/[^/]+/(explanation\.(html|json)|certificate\.(json|txt)|parts/[^/]+\.npz)",
    r"episodes/[^/]+/(meta\.json|frames/\d+\.png|trace/\d+\.safetensors|states/\d+\.z|[^/]+\.mp4)",
    r"(.*/)?\.[^/]*\.partial(\.[^/]*)?",
    r"(.*/)?(\.DS_Store|Thumbs\.db|\.nfs[0-9a-f]+)",  # what file systems leave
]
_TEACHER = r"teacher/(recipe\.toml|meta\.json|checkpoints/step-\d+/[^/]+|evaluations/[^/]+\.json)"
_EDITS = r"edits/(edits\.toml|clicks\.csv|maps/\d+\.npy)"


def check_only_run(folder: Path) -> None:
    """Refuses a run folder that holds what no run consists of, such as somebody's notes.

    Raises:
        RlAbnError: If it does; nothing is changed.
    """
    patterns = [*_PATTERNS, _TEACHER, *([_EDITS] if _is_edited(folder) else [])]
    ours = re.compile("|".join(f"(?:{pattern})" for pattern in patterns))
    foreign = [name for name in _files(folder) if ours.fullmatch(name) is None]
    if foreign:
        others = f" and {len(foreign) - 1:,} more" if len(foreign) > 1 else ""
        raise RlAbnError(
            f"{folder}: expected only what a run consists of, as overwriting removes it, got "
            f"'{printable(min(foreign))}'{others}; move that, or use --on-exists new"
        )


def _is_edited(folder: Path) -> bool:
    """Whether the run was made of edits and keeps a copy; elsewhere they are somebody's work."""
    try:
        return "edited" in read_json(folder / "meta.json")
    except RlAbnError:
        return False


def _files(folder: Path) -> Iterator[str]:
    """Yields the names of all files and links, relative to the folder."""
    pending = [folder]
    while pending:
        for path in pending.pop().iterdir():
            if path.is_dir() and not path.is_symlink():
                pending.append(path)
            else:
                yield path.relative_to(folder).as_posix()
