"""Vision runs: what a network says of a picture, and what if it looked elsewhere."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

import rl_abn
from rl_abn.cli import main
from rl_abn.map_editing.edit_files import read_edits
from rl_abn.vision.training.train import train
from tests.view.served import serving
from tests.vision.tiny_sets import small_run, write_attributes, write_classes


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """A server of a run of one epoch on pictures that lie elsewhere."""
    folder = tmp_path_factory.mktemp("pictures")
    made, data, _ = small_run(
        folder / "runs" / "run", write_classes(folder / "set"), "train.epochs=1"
    )
    train(made, data, resume=False, device="cpu")
    with serving(folder / "runs") as client:
        (run,) = client.get("/api/library").json["runs"]
        assert run["track"] == "vision"
        path = f"/api/vision/{run['id']}"
        yield SimpleNamespace(client=client, path=path, run=made, data=data, id=run["id"])


def pixels(data, number):
    return data.train.pictures.read(data.train.indices[[number]]).permute(0, 2, 3, 1).numpy()


def test_the_run_says_what_its_outputs_and_maps_are(seen):
    shown = seen.client.get(seen.path).json
    assert shown["kind"] == "classes"
    assert shown["outputs"] == ["blue", "green", "red"]
    assert shown["picture_size"] == [12, 12]
    assert shown["map_names"] == ["shared"]
    n_held_out = len(seen.data.held_out)
    assert shown["parts"] == {"held_out": n_held_out, "learned": len(seen.data.train)}
    assert "uniform" in shown["interventions"]


def test_a_picture_is_as_the_network_sees_it(seen):
    answer = seen.client.get(f"{seen.path}/learned/3/picture")
    assert answer.headers["content-type"] == "image/png"
    found = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.array_equal(found, pixels(seen.data, 3)[0])


def test_it_is_said_what_the_model_says(seen):
    model = rl_abn.load(str(seen.run.path), device="cpu")
    known = model.attend(pixels(seen.data, 5))
    found = seen.client.get(f"{seen.path}/learned/5").json
    assert np.allclose(found["outputs"], known.outputs[0].softmax(dim=-1), atol=1e-4)
    assert np.allclose(found["branch_outputs"], known.branch_outputs[0].softmax(-1), atol=1e-4)
    assert np.allclose(found["maps"]["shared"], known.map[0, 0], atol=1e-4)
    assert found["name"] == seen.data.train.own_names[5]
    assert found["target"] == int(seen.data.train.targets[5])
    assert found["right"] == (int(np.argmax(found["outputs"])) == found["target"])
    listed = seen.client.get(f"{seen.path}/learned?from=4").json["pictures"]
    assert listed[1]["number"] == 5
    assert {name: found[name] for name in listed[1]} == listed[1]
    assert len(listed) == min(24, len(seen.data.train) - 4)


def test_a_painted_map_is_acted_on(seen):
    model = rl_abn.load(str(seen.run.path), device="cpu")
    rows, columns = seen.client.get(seen.path).json["map_size"]
    painted = np.zeros((rows, columns))
    painted[0] = 1.0
    known = model.attend(pixels(seen.data, 2), map_override=painted)
    path = f"{seen.path}/learned/2"
    found = seen.client.post(f"{path}/what-if", {"map": {"shared": painted.tolist()}})
    assert np.allclose(found["outputs"], known.outputs[0].softmax(dim=-1), atol=1e-4)
    assert found["maps"]["shared"] == painted.tolist()
    assert found["own"] == seen.client.get(path).json
    even = seen.client.post(f"{path}/what-if", {"intervention": "uniform"})["maps"]["shared"]
    assert np.allclose(even, np.mean(found["own"]["maps"]["shared"]), atol=1e-3)
    error = seen.client.post(f"{path}/what-if", {"intervention": "swap"}, status=400)["error"]
    assert "expected one of zero, uniform" in error
    error = seen.client.post(f"{path}/what-if", {}, status=400)["error"]
    assert "got both or neither" in error


def test_edits_are_taken_by_vision_edit(seen, capsys):
    rows, columns = seen.client.get(seen.path).json["map_size"]
    painted = np.full((rows, columns), 0.25)
    items = [{"number": n, "map": {"shared": painted.tolist()}} for n in (0, 4)]
    saved = seen.client.post(f"{seen.path}/edits", {"name": "corners", "items": items})
    assert seen.client.get(f"{seen.path}/edits").json == {"edits": [saved]}
    edits = read_edits(seen.run.path / "edits" / "corners")
    assert list(edits.of) == [seen.data.train.own_names[n] for n in (0, 4)]
    assert all((edit.map == 0.25).all() for edit in edits.of.values())
    words = shlex.split(saved["command"])
    assert words[:3] == ["rl-abn", "vision", "edit"]
    main([*words[1:], "--epochs", "1", "--device", "cpu"])
    assert Path(f"{seen.run.path}-edited").is_dir()
    error = seen.client.post(f"{seen.path}/edits", {"name": "a/b", "items": items}, status=400)
    assert "expected a name of letters" in error["error"]


def test_what_is_not_there_is_not_found(seen):
    for path in ("/nothing", "/learned/10000", "/learned/10000/picture", "/held_out/999999"):
        assert seen.client.ask("GET", f"{seen.path}{path}").status == 404
    assert seen.client.get(f"{seen.path}/learned?from=10000").json == {"pictures": []}
    answer = seen.client.ask("GET", f"{seen.path}/learned?from=-1")
    assert answer.status == 400
    assert seen.client.ask("GET", "/api/vision/0123").status == 404


def test_a_run_whose_data_has_gone_says_so(tmp_path):
    data = write_attributes(tmp_path / "set")
    made, opened, _ = small_run(tmp_path / "runs" / "run", data, "train.epochs=1", env="celeba")
    train(made, opened, resume=False, device="cpu")
    with serving(tmp_path / "runs") as client:
        (run,) = client.get("/api/library").json["runs"]
        page = client.get(f"/api/runs/{run['id']}").json
        assert (page["track"], page["can_record"]) == ("vision", False)
        shown = client.get(f"/api/vision/{run['id']}").json
        assert (shown["kind"], shown["outputs"]) == ("yes_no", ["Red", "Bright_Below"])
        said = client.get(f"/api/vision/{run['id']}/learned/1").json
        assert all(0 <= value <= 1 for value in said["outputs"])
    data.rename(tmp_path / "elsewhere")
    with serving(tmp_path / "runs") as client:
        answer = client.ask("GET", f"/api/vision/{run['id']}")
        assert answer.status == 400
        assert str(tmp_path / "set") in answer.json["error"]
