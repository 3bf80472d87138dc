"""Vision runs: what a network says of pictures, where it looked, and what if elsewhere."""

from __future__ import annotations

from collections import OrderedDict
from threading import RLock
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from rl_abn.attention import MapOverride
from rl_abn.errors import RlAbnError, printable
from rl_abn.map_editing.edits import Edit, Edits
from rl_abn.view.bodies import Body
from rl_abn.view.edits import keep_edits
from rl_abn.view.library import FoundRun, Library, UnknownIdError
from rl_abn.view.painted import Maps, read_painted
from rl_abn.vision.data.batches import Batch
from rl_abn.vision.data.examples import Examples
from rl_abn.vision.evaluation.interventions import ON_PICTURES, on_pictures
from rl_abn.vision.evaluation.splits import open_learned
from rl_abn.vision.models.network import VisionAttention
from rl_abn.vision.training.build import VisionRun, load_network
from rl_abn.vision.training.prepare import data_of

LEARNED, HELD_OUT = "learned", "held_out"
PAGE = 24
KEPT = 2
MOST_ITEMS = 256
_DIGITS = 5


class Looked:
    """A vision run whose network and data are at hand.

    Args:
        found: The run.

    Attributes:
        maps: What its maps are.
        parts: Its pictures by "held_out" and "learned".
        lock: Held by whoever asks.

    Raises:
        RlAbnError: If it has no checkpoint, or its data is not where it lay in training.
    """

    def __init__(self, found: FoundRun) -> None:
        self.found = found
        self.run: VisionRun = found.run
        self.lock = RLock()
        self.trained = load_network(self.run)
        data = open_learned(self.run, self.trained.outputs, data_of(self.run), torch.device("cpu"))
        held_out = {} if data.held_out is None else {HELD_OUT: data.held_out}
        self.parts: dict[str, Examples] = {**held_out, LEARNED: data.train}
        self.maps = self._maps()

    def shown(self) -> dict[str, Any]:
        """Returns what the page has to know of the run, for JSON."""
        task, outputs = self.trained.outputs.task, self.trained.outputs
        abilities = self.maps.abilities
        has_maps = bool(self.maps.names)
        return {
            "id": self.found.id,
            "label": self.found.label,
            "agent": self.run.recipe.agent_name,
            "env": self.run.recipe.env_name,
            "step": self.trained.checkpoint.step,
            "task": task.name,
            "kind": "classes" if task.categorical else "controls" if task.drives else "yes_no",
            "outputs": list(outputs.names),
            "picture_size": list(outputs.size),
            "map_names": list(self.maps.names),
            "map_kind": abilities.maps if has_maps else None,
            "map_size": list(self.maps.size) if has_maps else None,
            "map_factor": abilities.even_factor(*self.maps.size) if has_maps else 1,
            "map_scale": "even" if abilities.sums_to_one else "fixed",
            "parts": {name: len(examples) for name, examples in self.parts.items()},
            "interventions": list(self.interventions),
        }

    @property
    def interventions(self) -> tuple[str, ...]:
        """Those on the maps of a picture; what remembers other pictures is left out."""
        remembering = ("swap", "time_average")
        names = tuple(name for name in ON_PICTURES if name not in remembering)
        return names if self.maps.names else ()

    def page(self, part: str, first: int) -> list[dict[str, Any]]:
        """Returns what is said of up to 24 pictures, for JSON.

        Raises:
            UnknownIdError: If there is no such part.
        """
        examples = self._part(part)
        numbers = range(first, min(first + PAGE, len(examples)))
        if not numbers:
            return []
        with self.lock:
            batch = self._batch(examples, numbers)
            said = self._attend(batch)
        return [
            {"number": number, **self._line(examples, number, said, batch, i)}
            for i, number in enumerate(numbers)
        ]

    def picture(self, part: str, number: int) -> bytes:
        """Returns a picture as the network sees it, as PNG.

        Raises:
            UnknownIdError: If there is none.
        """
        examples = self._part(part)
        self._check(examples, number)
        with self.lock:
            pixels = examples.pictures.read(examples.indices[[number]])[0]
        rgb = pixels.permute(1, 2, 0).cpu().numpy()
        _, png = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
        return png.tobytes()

    def look(self, part: str, number: int) -> dict[str, Any]:
        """Returns all that the network says of a picture, for JSON.

        Raises:
            UnknownIdError: If there is none.
        """
        return self._answer(part, number, None)

    def what_if(self, part: str, number: int, data: dict[str, Any]) -> dict[str, Any]:
        """Answers {"map"} or {"intervention"}: what it would say with other maps.

        Raises:
            UnknownIdError: If there is no such picture.
            RlAbnError: If the question is wrong.
        """
        body = Body(data, ("map", "intervention"))
        if body.has("map") == body.has("intervention"):
            raise RlAbnError("expected a map or an intervention, got both or neither")
        override: MapOverride
        if body.has("map"):
            override = read_painted(body.data["map"], self.maps).replace
        else:
            name = body.one_of("intervention", self.interventions)
            override = on_pictures(name, number, self.trained.layout, self.trained.device)
        return {**self._answer(part, number, override), "own": self._answer(part, number, None)}

    def save_edits(self, data: dict[str, Any]) -> dict[str, Any]:
        """Keeps painted maps of pictures that it learned from: {"name", "items"}.

        Raises:
            UnknownIdError: If there is no such picture.
            RlAbnError: If an item is wrong, or nothing can be written.
        """
        body = Body(data, ("name", "items"))
        examples = self._part(LEARNED)
        of: dict[str, Edit] = {}
        for item in body.items("items", MOST_ITEMS):
            fields = Body(item, ("number", "map"), "an item")
            number = fields.whole("number", 0, len(examples) - 1)
            name = examples.names[int(examples.indices[number])]
            if name in of:
                raise RlAbnError(f"expected one item a picture, got two of {name[:80]!a}")
            painted = read_painted(fields.data.get("map"), self.maps)
            with self.lock:
                own = self._attend(self._batch(examples, [number])).map
            maps = painted.replace(own)[0].float().numpy().clip(0.0, 1.0)
            of[name] = Edit(map=maps.astype(np.float32))
        return keep_edits(self.run, body.data.get("name"), Edits(of))

    def _maps(self) -> Maps:
        network, names = self.trained.network, self.trained.outputs.names
        some = self._attend(self._batch(self.parts[LEARNED], [0])).map
        n_maps, rows, columns = some.shape[1:]
        called = ("shared",) if n_maps == 1 else tuple(names)
        if n_maps not in (1, len(names)):
            called = tuple(map(str, range(n_maps)))
        # Of past glimpses there is a row each.
        parts = rows if network.abilities.maps == "temporal" else 1
        return Maps(called, (rows, columns), network.abilities, parts)

    def _part(self, name: str) -> Examples:
        if name not in self.parts:
            raise UnknownIdError(name)
        return self.parts[name]

    def _check(self, examples: Examples, number: int) -> None:
        if not 0 <= number < len(examples):
            raise UnknownIdError(number)

    def _batch(self, examples: Examples, numbers: Any) -> Batch:
        return self.trained.batches.batch(examples, torch.tensor(list(numbers), dtype=torch.int64))

    def _attend(self, batch: Batch, override: MapOverride | None = None) -> VisionAttention:
        trained = self.trained
        with torch.no_grad(), trained.batches.compute.autocast(trained.device):
            return trained.network.attend(batch.images, batch.speed, override)

    def _answer(self, part: str, number: int, override: MapOverride | None) -> dict[str, Any]:
        examples = self._part(part)
        self._check(examples, number)
        with self.lock:
            batch = self._batch(examples, [number])
            said = self._attend(batch, override)
        maps = said.map[0].float().cpu().numpy()
        answer = {
            "number": number,
            **self._line(examples, number, said, batch, 0),
            "target": _numbers(batch.targets[0]),
            "outputs": _numbers(self._probabilities(said.outputs[0])),
            "maps": {
                name: [[float(f"{value:.{_DIGITS}g}") for value in row] for row in maps[i].tolist()]
                for i, name in enumerate(self.maps.names)
            },
        }
        if said.branch_outputs is not None:
            answer["branch_outputs"] = _numbers(self._probabilities(said.branch_outputs[0]))
        return answer

    def _probabilities(self, outputs: Tensor) -> Tensor:
        task = self.trained.outputs.task
        if task.categorical:
            return outputs.float().softmax(dim=-1)
        return outputs.float() if task.drives else outputs.float().sigmoid()

    def _line(
        self, examples: Examples, number: int, said: VisionAttention, batch: Batch, i: int
    ) -> dict[str, Any]:
        task, names = self.trained.outputs.task, self.trained.outputs.names
        outputs = said.outputs.float().cpu()
        targets = batch.targets.cpu()
        right: bool | None = None
        if not task.drives:
            right = bool(task.right(outputs[i : i + 1], targets[i : i + 1]).all())
        return {
            "name": printable(examples.names[int(examples.indices[number])])[:200],
            "line": task.describe(outputs[i], targets[i], names),
            "right": right,
        }


class Gallery:
    """The vision runs that were looked at last.

    Args:
        library: What is served.
    """

    def __init__(self, library: Library) -> None:
        self.library = library
        self._looked: OrderedDict[str, Looked] = OrderedDict()
        self._lock = RLock()

    def get(self, name: str) -> Looked:
        """Returns a run; its data is opened the first time.

        Raises:
            UnknownIdError: If there is no vision run of this id.
            RlAbnError: If it cannot be asked, with the reason.
        """
        found = self.library.run(name)
        if found.track != "vision":
            raise UnknownIdError(name)
        with self._lock:
            if name not in self._looked:
                self._looked[name] = Looked(found)
            self._looked.move_to_end(name)
            while len(self._looked) > KEPT:
                self._looked.popitem(last=False)
            return self._looked[name]


def _numbers(tensor: Tensor) -> Any:
    return tensor.double().cpu().tolist()
