"""Pictures in one folder a class: ROOT/CLASS/FILE, or ROOT/SPLIT/CLASS/FILE."""

from __future__ import annotations

import torch

from rl_abn.errors import RlAbnError, did_you_mean, printable
from rl_abn.files.images import is_picture
from rl_abn.files.store import join
from rl_abn.vision.data.source import SPLITS, Listing, Source, split_of


class ImageFolders(Source):
    """Folders whose names are the classes; what lies deeper within one belongs to it.

    Classes are numbered in the order of their names, in every split as in train.
    """

    def splits(self) -> tuple[str, ...]:
        """Returns the splits; a set without is all train."""
        return tuple(self._split_folders()) or ("train",)

    def listing(self, split: str) -> Listing:
        """Lists the pictures of a split."""
        folder = self._folder(split)
        class_names = self._classes(self._folder(self.splits()[0]))
        number = {name: i for i, name in enumerate(class_names)}
        names: list[str] = []
        targets: list[int] = []
        for name in self._classes(folder):
            place = self.store.place(join(folder, name))
            if name not in number:
                raise RlAbnError(
                    f"{place}: expected the classes of {self.splits()[0]}, got {name!a}: "
                    f"{did_you_mean(name, class_names)}"
                )
            found = [file for file in self.store.below(join(folder, name)) if is_picture(file)]
            if not found:
                raise RlAbnError(f"{place}: expected a folder of pictures, got none in it")
            names += found
            targets += [number[name]] * len(found)
        return Listing(tuple(names), torch.tensor(targets), class_names)

    def _split_folders(self) -> dict[str, str]:
        """Returns the splits' folders, train first; one without classes in it is no split."""
        found: dict[str, str] = {}
        for folder in self.store.entries(self.root).folders:
            split, whole = split_of(folder), join(self.root, folder)
            if split is not None and self.store.entries(whole).folders:
                found[split] = whole
        return {split: found[split] for split in SPLITS if split in found}

    def _folder(self, split: str) -> str:
        return self._split_folders().get(split, self.root)

    def _classes(self, folder: str) -> tuple[str, ...]:
        classes = tuple(self.store.entries(folder).folders)
        place = self.store.place(folder)
        if not classes:
            raise RlAbnError(
                f"{place}: expected folders of pictures, one a class, got no folder at all"
            )
        if len(classes) == 1:
            raise RlAbnError(
                f"{place}: expected two classes or more, got one, '{printable(classes[0])}'"
            )
        return classes
