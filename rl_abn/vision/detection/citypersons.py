"""CityPersons' layout, a JSON file a picture of Cityscapes (Zhang et al., CVPR 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rl_abn.errors import RlAbnError, did_you_mean
from rl_abn.files.store import Store, join
from rl_abn.vision.data.source import SPLITS
from rl_abn.vision.detection.annotations import (
    EVERY_CATEGORY,
    BoxedSet,
    Boxes,
    Layout,
    Picture,
    check_not_empty,
    noted,
)
from rl_abn.vision.detection.coco import read_box, read_object, read_whole

ANNOTATIONS, PICTURES = "gtBboxCityPersons", "leftImg8bit"
PEDESTRIAN = "pedestrian"
OTHERS = ("ignore", "rider", "sitting person", "person (other)", "person group")
"""Labels that are ignored: the benchmark is about pedestrians alone."""


class CityPersonsLayout(Layout):
    """`gtBboxCityPersons/SPLIT/CITY/*.json` and `leftImg8bit/SPLIT/CITY/*.png`.

    Objects have a `label`, a `bbox` of the whole person and a `bboxVis` of what can be seen.
    """

    @staticmethod
    def fits(store: Store) -> bool:
        """Says whether a set is laid out so."""
        return ANNOTATIONS in store.entries("").folders

    def splits(self) -> tuple[str, ...]:
        """Returns which of train, val and test there are."""
        there = self.store.entries(ANNOTATIONS).folders
        return tuple(split for split in SPLITS if split in there)

    def annotations(self) -> tuple[str, ...]:
        """Returns the names of the annotations' files."""
        return tuple(n for n in self.store.below(ANNOTATIONS) if n.endswith(".json"))

    def read(self, split: str) -> BoxedSet:
        """Reads a split."""
        self.check_split(split)
        folder = join(ANNOTATIONS, split)
        files = [name for name in self.annotations() if name.startswith(f"{folder}/")]
        collected = [self._boxes(name) for name in files]
        pictures: tuple[Picture, ...] = tuple(boxes.done() for boxes in collected)
        place = self.store.place(folder)
        boxed = BoxedSet(self.store, pictures, (PEDESTRIAN,), noted(collected, place))
        return check_not_empty(boxed, place)

    def _boxes(self, name: str) -> Boxes:
        place = self.store.place(name)
        data = read_object(self.store, name)
        size = read_whole(data, "imgHeight", place), read_whole(data, "imgWidth", place)
        boxes = Boxes(self._picture(name), size)
        objects = data.get("objects")
        if not isinstance(objects, list) or not all(isinstance(one, dict) for one in objects):
            raise RlAbnError(f"{place}: expected a list 'objects', got none")
        for i, item in enumerate(objects):
            self._add(boxes, item, f"{place}: objects[{i}]")
        return boxes

    def _add(self, boxes: Boxes, item: Mapping[str, Any], where: str) -> None:
        label = item.get("label")
        known = (PEDESTRIAN, *OTHERS)
        if not isinstance(label, str) or label not in known:
            hint = did_you_mean(str(label)[:80], known)
            raise RlAbnError(f"{where}: expected a label of CityPersons, got {label!a:.80}: {hint}")
        boxes.add(
            read_box(item, "bbox", where),
            1 if label == PEDESTRIAN else EVERY_CATEGORY,
            where,
            visible=read_box(item, "bboxVis", where) if "bboxVis" in item else None,
            ignore=label != PEDESTRIAN,
        )

    def _picture(self, name: str) -> str:
        _, split, *cities, file = name.split("/")
        if len(cities) != 1:
            raise RlAbnError(
                f"{self.store.place(name)}: expected it in {ANNOTATIONS}/SPLIT/CITY/, got "
                f"{len(cities)} folders below the split's"
            )
        picture = file.replace(f"_{ANNOTATIONS}.json", f"_{PICTURES}.png")
        whole = join(PICTURES, split, *cities, picture)
        if not self.store.has(whole):
            raise RlAbnError(f"{self.store.place(name)}: expected its picture {whole}, got none")
        return whole
