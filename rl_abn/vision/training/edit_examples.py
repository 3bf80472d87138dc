"""A folder to begin editing in: pictures, a network's maps of them, and an edits.toml to fill."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import tomli_w
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from rl_abn.compute.device import device_of
from rl_abn.errors import RlAbnError
from rl_abn.files.text import write_atomically
from rl_abn.map_editing.edit_files import TABLE
from rl_abn.progress import ProgressReport
from rl_abn.runs import is_taken
from rl_abn.seeds import derive_seeds
from rl_abn.vision.data.examples import Examples
from rl_abn.vision.evaluation.predict import BATCH, predict
from rl_abn.vision.evaluation.splits import open_learned
from rl_abn.vision.training.build import Trained, VisionRun, load_network
from rl_abn.vision.training.edit_run import EDITS, check_editable
from rl_abn.vision.training.prepare import data_of
from rl_abn.vision.visualize.map_grid import map_grid

_LOOKED_AT = 2_000
_DRAW = 15  # keeps the seeds of one purpose apart from those of others

_HEAD = """\
# Edits of where {agent} looks ({title}, epoch {step}).
#
# Take the # off the lines of a picture you edit, and of what you do to it. Pictures are
# {height}x{width} pixels (height x width) as in pictures/; boxes are [left, top, right, bottom].
#   remove = [[…]]  it should not look there    add = [[…]]  it should look there
#   map = "…"       the whole map: change the file {painted}
# A picture without any of these keeps its map. sheet.png shows the maps over the pictures.
"""


class EditFolder(NamedTuple):
    """A folder to edit in.

    Attributes:
        folder: Where it is.
        names: What its pictures are called.
    """

    folder: Path
    names: list[str]


def write_examples(
    run: VisionRun,
    n: int,
    *,
    data: Path | None = None,
    folder: Path | None = None,
    new: bool = False,
    step: int | None = None,
    seed: int = 0,
    device: str = "auto",
    report: ProgressReport | None = None,
) -> EditFolder:
    """Writes pictures that a run learned from, its maps of them, and an edits.toml to fill.

    Half of them are those that the network gets most wrong, of at most 2,000 drawn at random; the
    others are drawn.

    Args:
        run: The run.
        n: How many pictures.
        data: Where the data lies; None is where it lay in training.
        folder: Where to; None is edits/ in the run folder.
        new: Finds a free name beside a folder that is there already.
        step: The checkpoint's epoch; None is the newest.
        seed: Of what is drawn.
        device: Where the network runs.
        report: Shows how many pictures it looked at.

    Raises:
        RlAbnError: If the network has no maps to edit, the folder is taken or cannot be written, or
            the checkpoint or the data will not do.
    """
    check_editable(run)
    folder = _free(folder or run.path / EDITS, new)
    where = device_of(device)
    trained = load_network(run, step=step, device=where)
    train = open_learned(run, trained.outputs, data or data_of(run), where).train
    # A name that no terminal and no TOML file can show is none to ask a person about.
    usable = [i for i, name in enumerate(train.own_names) if name.isprintable()]
    generator = torch.Generator().manual_seed(int(derive_seeds(seed, _DRAW, count=1)[0]))
    order = torch.randperm(len(usable), generator=generator)[:_LOOKED_AT]
    drawn = train.chosen(torch.tensor(usable, dtype=torch.int64)[order])
    predictions = predict(trained, drawn, report=report)
    task, names = trained.outputs.task, trained.outputs.names
    errors = task.errors(predictions.outputs, predictions.targets)
    chosen = _choose(errors, min(n, len(drawn)))
    some = drawn.chosen(chosen)
    maps = _maps(trained, some)
    frames = some.pictures.read(some.indices).permute(0, 2, 3, 1).contiguous().cpu().numpy()
    said = [
        task.describe(predictions.outputs[i], predictions.targets[i], names)
        for i in chosen.tolist()
    ]
    try:
        _write(folder, run, trained, some.own_names, frames, maps, said)
    except OSError as error:
        raise RlAbnError(f"{folder}: cannot be written: {error.strerror}") from None
    return EditFolder(folder, some.own_names)


def _free(folder: Path, new: bool) -> Path:
    if not is_taken(folder):
        return folder
    if new and folder.name:
        numbers = (folder.with_name(f"{folder.name}-{i}") for i in range(2, 10_000))
        return next(path for path in numbers if not path.exists())
    # Somebody's edits may lie there: nothing is overwritten.
    raise RlAbnError(
        f"expected a new folder, got '{folder}', which exists; add --on-exists new or --out DIR"
    )


def _choose(errors: Float[Tensor, " N"], n: int) -> Int64[Tensor, " n"]:
    """Returns the most wrong half, where so many are wrong, and then others in their order."""
    n_wrong = min(n // 2, int((errors > 0).sum()))
    wrong = errors.argsort(descending=True, stable=True)[:n_wrong]
    others = [i for i in range(len(errors)) if i not in set(wrong.tolist())]
    return torch.cat([wrong, torch.tensor(others[: n - n_wrong], dtype=torch.int64)])


def _maps(trained: Trained, examples: Examples) -> Float[Tensor, "N m h w"]:
    maps = []
    with torch.no_grad():
        for _, batch in trained.batches.in_order(examples, BATCH):
            with trained.batches.compute.autocast(trained.device):
                attention = trained.network.attend(batch.images, batch.speed)
            maps.append(attention.map.float().cpu())
    return torch.cat(maps)


def _write(
    folder: Path,
    run: VisionRun,
    trained: Trained,
    names: list[str],
    frames: UInt8[np.ndarray, "N H W 3"],
    maps: Float[Tensor, "N m h w"],
    said: list[str],
) -> None:
    for name in ("pictures", "maps"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    height, width = frames.shape[1:3]
    single = maps.shape[1] == 1
    painted = "(a grey picture, white where it looks)" if single else "(an array [maps, h, w])"
    lines = [
        _HEAD.format(
            agent=run.recipe.agent_name,
            title=run.recipe.env.title,
            step=trained.checkpoint.step,
            height=height,
            width=width,
            painted=painted,
        )
    ]
    for i, name in enumerate(names):
        _png(folder / "pictures" / f"{i:05}.png", cv2.cvtColor(frames[i], cv2.COLOR_RGB2BGR))
        data = io.BytesIO()
        np.save(data, maps[i].numpy(), allow_pickle=False)
        write_atomically(folder / "maps" / f"{i:05}.npy", data.getvalue())
        if single:
            # Of maps that sum to 1 an edit's scale is of no account: white is the map's maximum.
            white = float(maps[i].max()) if trained.network.abilities.sums_to_one else 1.0
            grey = np.rint(255.0 / white * maps[i, 0].clamp(0, 1).numpy()).astype(np.uint8)
            large = cv2.resize(grey, (width, height), interpolation=cv2.INTER_NEAREST)
            _png(folder / "maps" / f"{i:05}.png", large)
        box = f"[[0, 0, {width // 2}, {height // 2}]]"
        lines += [
            f"# pictures/{i:05}.png: {said[i]}",
            "# [[edit]]",
            f"# {tomli_w.dumps({'picture': name}).strip()}",
            f"# remove = {box}",
            f"# add = {box}",
            f'# map = "maps/{i:05}.{"png" if single else "npy"}"',
            "",
        ]
    sheet = map_grid(frames, maps, trained.outputs, trained.network.abilities)
    _png(folder / "sheet.png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    write_atomically(folder / TABLE, "\n".join(lines))


def _png(path: Path, picture: np.ndarray) -> None:
    _, data = cv2.imencode(".png", picture)
    write_atomically(path, data.tobytes())
