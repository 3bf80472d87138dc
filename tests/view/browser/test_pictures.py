"""Pictures of a vision run in a browser."""

from __future__ import annotations

import numpy as np
import pytest

import rl_abn
from rl_abn.map_editing.edit_files import read_edits
from rl_abn.recipes import make_vision_recipe
from rl_abn.render import overlay
from rl_abn.runs import Run
from rl_abn.vision.training.train import train
from rl_abn.vision.visualize.sheets import write_png
from tests.view.browser.test_pages import audit, fits
from tests.vision.tiny_sets import small_run, write_classes


@pytest.fixture(scope="module")
def seen(served, tmp_path_factory):
    """A run of one epoch, its pictures, and what the server calls it."""
    data = write_classes(tmp_path_factory.mktemp("set") / "data")
    run, pictures, _ = small_run(served.folder / "pictures", data, "train.epochs=1")
    train(run, pictures, resume=False, device="cpu")
    served.library.refresh()
    found = next(f for f in served.library.runs.values() if f.run.path == run.path)
    return found.id, run, pictures


def pixels(pictures, number):
    read = pictures.train.pictures.read(pictures.train.indices[[number]])
    return read.permute(0, 2, 3, 1).numpy()


def test_pictures_are_listed_and_looked_at(served, seen, open_page):
    name, run, pictures = seen
    page = open_page(f"{served.address}#r={name}")
    page.raw.wait_for_selector(".pictures img")
    assert page.raw.locator(".pictures li").count() == len(pictures.held_out)
    assert audit(page) == []
    page.raw.check("input[value=learned]", force=True)
    page.raw.click('.pictures a[href$="part=learned&t=5"]')
    page.at_step(5)
    own = pixels(pictures, 5)
    assert np.array_equal(page.pixels("screen"), own[0])
    known = rl_abn.load(str(run.path), device="cpu").attend(own)
    lit = overlay(own[0], known.map[0, 0].numpy())
    assert np.abs(page.pixels("map").astype(int) - lit).max() <= 3
    said = page.numbers(".side td.number.acting")
    assert said == pytest.approx(known.outputs[0].softmax(dim=-1).tolist(), abs=1e-3)
    right = page.text(".side tr.taken th")
    assert right == ("blue", "green", "red")[int(pictures.train.targets[5])]
    page.press("ArrowRight")
    page.at_step(6)
    assert np.array_equal(page.pixels("screen"), pixels(pictures, 6)[0])
    assert fits(page) == [0, 0]
    assert audit(page) == []


def test_a_map_of_a_picture_is_painted_and_kept(served, seen, open_page):
    name, run, pictures = seen
    page = open_page(f"{served.address}#v={name}&part=learned&t=2")
    page.at_step(2)
    page.ask()
    answer = page.answered(lambda: page.raw.click("#invert"))
    size = np.array(answer["maps"]["shared"]).shape
    answer = page.answered(lambda: page.drag(page.place(0, 0, *size), page.place(1, 1, *size)))
    assert answer["maps"]["shared"][0][0] == 1.0
    assert page.numbers(".answer td.number.edited") == pytest.approx(answer["outputs"], abs=1e-6)
    assert page.text("#what-if-said").startswith("It would ")
    page.raw.fill("#edits-name", "mine")
    page.raw.click("#save-edit")
    assert page.text("#next-command").startswith("rl-abn vision edit ")
    (edited,) = read_edits(run.path / "edits" / "mine").of
    assert edited == pictures.train.own_names[2]
    page = open_page(f"{served.address}#v={name}&part=held_out&t=0")
    page.at_step(0)
    page.ask()
    assert page.raw.locator("#save-edit").count() == 0


def test_a_detectors_sheets_are_shown_and_chosen(served, open_page):
    from playwright.sync_api import expect

    recipe = make_vision_recipe("shapes_detection", "fasterrcnn_small_abn", 0, [])
    run = Run.create(served.folder / "detector", recipe, "cpu")
    served.library.refresh()
    name = next(f.id for f in served.library.runs.values() if f.run.path == run.path)
    page = open_page(f"{served.address}#r={name}")
    assert page.text("#sheets code").startswith("rl-abn vision record ")
    sides = {"epoch-2-held-out": 30, "epoch-10-held-out": 50}
    for sheet, side in sides.items():
        write_png(run.path / "sheets" / f"{sheet}.png", np.zeros((side, side, 3), np.uint8))
    page = open_page(f"{served.address}#r={name}")
    shown = expect(page.raw.locator("#sheets img"))
    shown.to_have_js_property("naturalWidth", 50)
    page.raw.select_option("#sheets select", "epoch-2-held-out.png")
    shown.to_have_js_property("naturalWidth", 30)
    assert page.raw.locator(".pictures").count() == 0
    assert fits(page)[0] == 0
    assert audit(page) == []
