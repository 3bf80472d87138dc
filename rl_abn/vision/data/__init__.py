"""Where pictures and what belongs to them come from."""

from rl_abn.vision.data.driving import DrivingLog, open_driving_log
from rl_abn.vision.data.labelled import Labelled, open_labelled, splits_of
from rl_abn.vision.data.pictures import HeldPictures, Pictures, StoredPictures

__all__ = [
    "DrivingLog",
    "HeldPictures",
    "Labelled",
    "Pictures",
    "StoredPictures",
    "open_driving_log",
    "open_labelled",
    "splits_of",
]
