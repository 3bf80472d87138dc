"""What a run folder holds, and how it is written and read safely."""

from rl_abn.files.text import read_json, write_atomically, write_json, write_output
from rl_abn.runs.best import CheckpointChoice
from rl_abn.runs.checkpoints import (
    STATE,
    TRAINING,
    WEIGHTS,
    Checkpoint,
    name_of,
    read_weights,
    set_aside,
    step_of,
)
from rl_abn.runs.folders import OnExists, check_free, default_folder, free_folder, is_taken
from rl_abn.runs.maps import PROBES, MapLog, open_or_create
from rl_abn.runs.provenance import provenance
from rl_abn.runs.run import EXPORTED, META, METRICS, RECIPE, Run, write_recipe
from rl_abn.runs.tensors import bytes_of, check_weights, load_tensors, save_tensors

__all__ = [
    "EXPORTED",
    "META",
    "METRICS",
    "PROBES",
    "RECIPE",
    "STATE",
    "TRAINING",
    "WEIGHTS",
    "Checkpoint",
    "CheckpointChoice",
    "MapLog",
    "OnExists",
    "Run",
    "bytes_of",
    "check_free",
    "check_weights",
    "default_folder",
    "free_folder",
    "is_taken",
    "load_tensors",
    "name_of",
    "open_or_create",
    "provenance",
    "read_json",
    "read_weights",
    "save_tensors",
    "set_aside",
    "step_of",
    "write_atomically",
    "write_json",
    "write_output",
    "write_recipe",
]
