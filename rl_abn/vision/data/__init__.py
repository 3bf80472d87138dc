"""Where pictures and what belongs to them come from."""

from rl_abn.vision.data.driving import DrivingLog, drive_framing, open_driving_log, tracks_driven
from rl_abn.vision.data.labelled import Labelled, open_labelled, splits_of
from rl_abn.vision.data.pictures import HeldPictures, Pictures, StoredPictures
from rl_abn.vision.data.splits import Split, block_folds, hold_out
from rl_abn.vision.data.steering import SteeringBins, steering_bins

__all__ = [
    "DrivingLog",
    "HeldPictures",
    "Labelled",
    "Pictures",
    "Split",
    "SteeringBins",
    "StoredPictures",
    "block_folds",
    "drive_framing",
    "hold_out",
    "open_driving_log",
    "open_labelled",
    "splits_of",
    "steering_bins",
    "tracks_driven",
]
