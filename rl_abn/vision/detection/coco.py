"""COCO's layout: a JSON file a split, with images, annotations and categories (Lin et al. 2014)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

from rl_abn.errors import RlAbnError, did_you_mean, printable
from rl_abn.files.images import is_picture
from rl_abn.files.store import Store, join, named
from rl_abn.files.text import brief
from rl_abn.recipes.overrides import brief_value
from rl_abn.vision.data.source import SPLITS
from rl_abn.vision.detection.annotations import (
    EVERY_CATEGORY,
    BoxedSet,
    Boxes,
    Layout,
    check_not_empty,
    noted,
)

_MOST_BYTES = 2**30
_FOLDERS = ("", "annotations")
_MOST_SIDE = 65_536


class CocoLayout(Layout):
    """`annotations/instances_train2017.json` or the like, or `train/_annotations.coco.json`.

    A file is of the split whose name is in its own name, or in that of its folder; a single one
    that names none is train. Pictures lie beside the file, in `images` beside it, or in a folder
    that is named after the split. Beside COCO's own keys an annotation may have `vis_bbox`, the box
    of its visible part, and `ignore`; `iscrowd` is ignored too, in its own category.
    """

    @staticmethod
    def fits(store: Store) -> bool:
        """Says whether a set is laid out so."""
        return bool(CocoLayout(store)._files())

    def splits(self) -> tuple[str, ...]:
        """Returns which of train, val and test there are."""
        return tuple(split for split in SPLITS if split in self._files())

    def annotations(self) -> tuple[str, ...]:
        """Returns the names of the annotations' files."""
        return tuple(self._files().values())

    def read(self, split: str) -> BoxedSet:
        """Reads a split."""
        self.check_split(split)
        name = self._files()[split]
        return check_not_empty(read_coco(self.store, name, split), self.store.place(name))

    def _files(self) -> dict[str, str]:
        found: dict[str, str] = {}
        unnamed = []
        for folder in (*_FOLDERS, *self.store.entries("").folders):
            if folder and folder not in self.store.entries("").folders:
                continue
            for file in self.store.entries(folder).files:
                if not file.lower().endswith(".json"):
                    continue
                split = _split_in(file) or _split_in(folder)
                if split is None:
                    unnamed.append(join(folder, file))
                # Of COCO's own files, those of boxes.
                elif split not in found or "instances" in file:
                    found[split] = join(folder, file)
        if not found and len(set(unnamed)) == 1:
            found["train"] = unnamed[0]
        return found


def read_coco(store: Store, name: str, split: str = "") -> BoxedSet:
    """Reads a JSON file of COCO's layout.

    Args:
        store: Where the set lies.
        name: The file in it.
        split: What a folder of the pictures may be called.

    Raises:
        RlAbnError: If it is not as the layout has to be.
    """
    place = store.place(name)
    data = read_object(store, name)
    lists = {key: _objects(data, key, place) for key in ("images", "annotations", "categories")}
    numbers, categories = _categories(lists["categories"], place)
    pictures: dict[int, Boxes] = {}
    for i, image in enumerate(lists["images"]):
        where = f"{place}: images[{i}]"
        number, file = read_whole(image, "id", where), _file_name(image, where)
        size = read_whole(image, "height", where), read_whole(image, "width", where)
        if not all(1 <= side <= _MOST_SIDE for side in size):
            raise RlAbnError(f"{where}: expected a height and a width from 1, got {size}")
        if number in pictures:
            raise RlAbnError(f"{where}: expected an id of its own, got {number} again")
        pictures[number] = Boxes(file, size)
    for i, annotation in enumerate(lists["annotations"]):
        _add(annotation, pictures, numbers, f"{place}: annotations[{i}]")
    found = _found(store, name, split, [boxes.name for boxes in pictures.values()])
    whole = []
    for boxes in pictures.values():
        boxes.name = found(boxes.name)
        whole.append(boxes.done())
    return BoxedSet(store, tuple(whole), categories, noted(list(pictures.values()), place))


def _add(
    annotation: Mapping[str, Any],
    pictures: Mapping[int, Boxes],
    numbers: Mapping[int, int],
    where: str,
) -> None:
    image, category = (read_whole(annotation, key, where) for key in ("image_id", "category_id"))
    if image not in pictures:
        raise RlAbnError(f"{where}: expected the id of one of the images, got image_id {image}")
    if category not in numbers:
        known = ", ".join(map(str, list(numbers)[:12]))
        raise RlAbnError(
            f"{where}: expected a category of the file ({known}), got category_id {category}"
        )
    flags = annotation.get("iscrowd"), annotation.get("ignore")
    area = annotation.get("area")
    pictures[image].add(
        read_box(annotation, "bbox", where),
        numbers[category] if flags[1] not in (1, True) else EVERY_CATEGORY,
        where,
        visible=read_box(annotation, "vis_bbox", where) if "vis_bbox" in annotation else None,
        area=area if _is_number(area) else None,
        ignore=any(flag in (1, True) for flag in flags),
    )


def read_object(store: Store, name: str) -> Mapping[str, Any]:
    """Reads a JSON object; RlAbnError says what else there is."""
    try:
        data = json.loads(store.read(name, _MOST_BYTES))
    except (ValueError, RecursionError) as error:
        raise RlAbnError(f"{store.place(name)}: expected JSON, got {brief(error)}") from None
    if not isinstance(data, dict):
        raise RlAbnError(
            f"{store.place(name)}: expected a JSON object of images, annotations and categories, "
            f"got {type(data).__name__}"
        )
    return data


def _objects(data: Mapping[str, Any], key: str, place: str) -> list[Mapping[str, Any]]:
    if key not in data:
        hint = did_you_mean(key, map(printable, data)) if data else "it is empty"
        raise RlAbnError(f"{place}: expected a list '{key}', got none: {hint}")
    value = data[key]
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise RlAbnError(f"{place}: expected '{key}' to be a list of objects, got another value")
    return value


def _categories(
    found: list[Mapping[str, Any]], place: str
) -> tuple[dict[int, int], tuple[str, ...]]:
    """Returns labels 1 to K by the file's ids, in the order of the ids, and the names."""
    by_id: dict[int, str] = {}
    for i, category in enumerate(found):
        where = f"{place}: categories[{i}]"
        number, name = read_whole(category, "id", where), category.get("name")
        if not isinstance(name, str) or not name:
            raise RlAbnError(f"{where}: expected a name, got {brief_value(name)}")
        if number in by_id:
            raise RlAbnError(f"{where}: expected an id of its own, got {number} again")
        by_id[number] = printable(name)[:255]
    if not by_id:
        raise RlAbnError(f"{place}: expected categories, got none")
    ids = sorted(by_id)
    return {number: i for i, number in enumerate(ids, start=1)}, tuple(by_id[i] for i in ids)


def read_whole(item: Mapping[str, Any], key: str, where: str) -> int:
    """Returns a whole number of an object; RlAbnError says what else it has."""
    value = item.get(key)
    if type(value) is not int:
        raise RlAbnError(f"{where}: expected a whole number '{key}', got {brief_value(value)}")
    return value


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def read_box(item: Mapping[str, Any], key: str, where: str) -> tuple[float, ...]:
    """Returns a box of four numbers; RlAbnError says what else it has."""
    value = item.get(key)
    if not isinstance(value, list) or len(value) != 4 or not all(map(_is_number, value)):
        raise RlAbnError(
            f"{where}: expected a {key} of x, y, width and height, got {brief_value(value)}"
        )
    try:
        return tuple(map(float, value))
    except OverflowError:
        raise RlAbnError(
            f"{where}: expected a {key} of numbers, got {brief_value(value)}"
        ) from None


def _file_name(image: Mapping[str, Any], where: str) -> str:
    name = image.get("file_name")
    if not isinstance(name, str) or not is_picture(name):
        raise RlAbnError(f"{where}: expected a picture's file_name, got {brief_value(name)}")
    parts = name.replace("\\", "/").split("/")
    # A file of strangers decides about no files outside its folder.
    if any(part in ("", "..") for part in parts) or not name.isprintable():
        raise RlAbnError(f"{where}: expected a file_name within the set, got {brief_value(name)}")
    return "/".join(part for part in parts if part != ".")


def _found(store: Store, annotations: str, split: str, names: list[str]) -> Callable[[str], str]:
    """Returns from a file_name to the file: in the folder that has the most of the pictures.

    Raises:
        RlAbnError: If a picture is missing.
    """
    beside = annotations.rpartition("/")[0]
    folders = dict.fromkeys([beside, *_picture_folders(store, beside, split)])
    counts = {folder: sum(store.has(join(folder, name)) for name in names) for folder in folders}
    folder = max(counts, key=lambda one: counts[one]) if counts else ""
    missing = [name for name in names if not store.has(join(folder, name))]
    if missing:
        raise RlAbnError(
            f"{store.place(annotations)}: expected a picture for every one of the {len(names):,} "
            f"images, got {len(missing):,} without one in {store.place(folder)}: {named(missing)}"
        )
    return lambda name: join(folder, name)


def _picture_folders(store: Store, beside: str, split: str) -> list[str]:
    top = store.entries("").folders
    stem = [folder for folder in top if _split_in(folder) == split and split]
    inner = [join("images", folder) for folder in _below(store, "images", top)]
    of_split = [folder for folder in inner if _split_in(folder) == split and split]
    images = [
        join(folder, "images")
        for folder in ("", beside)
        if "images" in store.entries(folder).folders
    ]
    return ["", *stem, *images, *of_split]


def _below(store: Store, folder: str, top: list[str]) -> list[str]:
    return store.entries(folder).folders if folder in top else []


def _split_in(name: str) -> str | None:
    """Returns which split a name speaks of, as train2017 and instances_val.json do."""
    lower = name.lower()
    for split, words in SPLITS.items():
        if any(word in lower for word in words):
            return split
    return None
