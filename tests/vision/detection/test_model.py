"""The Python door of detectors: the same objects as the command line's, with maps to replace."""

from __future__ import annotations

import numpy as np
import pytest

import rl_abn
from rl_abn.vision.detection.shapes import write_shapes
from tests.complaints import complaint
from tests.vision.detection.small_detectors import needs_torchvision, small_run


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    place = tmp_path_factory.mktemp("door")
    write_shapes(place / "shapes", 6)
    run = small_run(place / "run", place / "shapes", 1)
    loaded = rl_abn.load(run.path, device="cpu")
    # After one epoch nothing is sure; what is tested is what comes out, not how good it is.
    loaded.detector.model.roi_heads.score_thresh = 0.0
    return loaded


def pictures(*sizes):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


@needs_torchvision
def test_pictures_of_any_size_in_and_what_is_found_out(model):
    assert repr(model) == "DetectorModel(fasterrcnn_small_abn on shapes_detection, epoch 1, 3 " \
        "categories, cpu)"  # fmt: skip
    found = model.detect(pictures((64, 64), (80, 50)))
    assert [len(one.boxes) > 0 for one in found] == [True, True]
    assert found[0].maps.shape[1:] == (1, 7, 7)
    assert {model.category_names[label - 1] for label in found[0].labels} <= {
        "disc",
        "square",
        "triangle",
    }
    (alone,) = model.detect(pictures((64, 64))[0])
    np.testing.assert_allclose(alone.boxes, found[0].boxes, atol=1e-3)


@needs_torchvision
def test_maps_are_replaced_by_name_by_function_and_as_arrays(model):
    images = np.stack(pictures((64, 64)))
    for override in ("zero", lambda maps: 0 * maps, np.zeros((1, 1, 7, 7), np.float32)):
        (one,) = model.detect(images, override)
        assert len(one.maps)
        assert not one.maps.any()
    assert model.detect(images)[0].maps.any()


@needs_torchvision
def test_it_is_evaluated_as_the_command_does(model):
    result = model.evaluate(interventions="uniform")
    assert [row.name for row in result.rows] == [
        "perception branch",
        "attention branch",
        "maps uniform",
    ]
    assert result.n == 3


@needs_torchvision
def test_what_is_refused(model):
    floats = np.zeros((1, 64, 64, 3), np.float32)
    assert "got float32 [64, 64, 3]" in complaint(lambda: model.detect(floats))
    image = pictures((64, 64))
    assert "got int64 []" in complaint(lambda: model.detect(5))
    assert "map_override: " in complaint(lambda: model.detect(image, np.zeros((1, 1, 5, 5))))
    assert "did you mean 'uniform'?" in complaint(lambda: model.detect(image, "unifrom"))
    assert "expected one intervention" in complaint(lambda: model.detect(image, "all"))
