"""Which layout a detector's set has."""

from __future__ import annotations

from pathlib import Path

from rl_abn.errors import RlAbnError
from rl_abn.files.store import Store, open_store
from rl_abn.vision.detection.annotations import BoxedSet, Layout
from rl_abn.vision.detection.citypersons import ANNOTATIONS, CityPersonsLayout
from rl_abn.vision.detection.coco import CocoLayout

LAYOUTS: tuple[type[CocoLayout] | type[CityPersonsLayout], ...] = (CityPersonsLayout, CocoLayout)


def open_layout(path: str | Path) -> Layout:
    """Recognises the layout of a set: a folder, or a .zip of one.

    Raises:
        RlAbnError: If it has none that is known.
    """
    store = open_store(path)
    for layout in LAYOUTS:
        if layout.fits(store):
            return layout(store)
    raise RlAbnError(
        f"{store.place('')}: expected COCO's layout, such as annotations/instances_train.json, "
        f"or CityPersons' with {ANNOTATIONS}/, got neither"
    )


def annotation_files(store: Store) -> tuple[str, ...]:
    """Returns the names of the files that have a set's boxes; none where it has another layout."""
    return next((layout(store).annotations() for layout in LAYOUTS if layout.fits(store)), ())


def read_split(path: str | Path, split: str) -> BoxedSet:
    """Reads a split of a set.

    Raises:
        RlAbnError: If there is no such set or split, or something in it is wrong.
    """
    boxed = open_layout(path).read(split)
    boxed.store.warn_of_skipped()
    return boxed
