"""The library, runs, two games side by side, the exported file, sizes and accessibility."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from rl_abn.explain.certificate import ONLY_WHEN_ASKED, QUESTIONS
from rl_abn.runs import shipped
from rl_abn.view.export import export
from tests.rl.evaluation.recorded import make_run
from tests.view.served import explained, serving

SERIOUS = ("serious", "critical")


def audit(page):
    """Returns what axe-core finds of serious faults, a line each."""
    package = pytest.importorskip("axe_playwright_python")
    page.raw.evaluate((Path(package.__file__).parent / "axe.min.js").read_text("utf-8"))
    found = page.raw.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{fault['id']}: {node['html'][:200]}"
        for fault in found["violations"]
        if fault["impact"] in SERIOUS
        for node in fault["nodes"]
    ]


def fits(page):
    """Returns how far the page goes beyond the window, to the right and down."""
    return page.raw.evaluate(
        "(p => [p.scrollWidth - p.clientWidth, p.scrollHeight - p.clientHeight])"
        "(document.documentElement)"
    )


@pytest.mark.more
@pytest.mark.parametrize("dark", [False, pytest.param(True, marks=pytest.mark.full)])
def test_the_viewer_fits_a_small_laptop_and_is_accessible(watch, dark):
    page = watch(40, dark=dark)
    assert fits(page) == [0, 0]
    assert audit(page) == []
    page.ask()
    page.answered(lambda: page.raw.click("#invert"))
    assert fits(page) == [0, 0]
    assert audit(page) == []
    page.press("?")
    assert audit(page) == []


@pytest.mark.more
def test_the_viewer_fits_a_phone(watch):
    page = watch(40, size=(390, 844))
    assert fits(page)[0] == 0
    box = page.raw.locator("#map").bounding_box()
    assert box["width"] >= 240
    assert box["y"] + box["height"] < 844
    play = page.raw.locator("#play").bounding_box()
    assert play["y"] + play["height"] < 844
    assert audit(page) == []
    page.raw.click("#what-if")
    page.raw.wait_for_selector(".what-if:not([aria-busy])")
    assert fits(page)[0] == 0
    assert audit(page) == []


def test_the_library_leads_everywhere(served, episodes, open_page):
    page = open_page(served.address)
    page.raw.wait_for_selector(".card")
    assert fits(page)[0] == 0
    assert audit(page) == []
    for i, name in enumerate(sorted(served.id_of(episode) for episode in episodes)):
        page.raw.locator(f'.card:has(a[href*="{name}"]) input').check()
        go = page.raw.locator(".choose a")
        assert (go.get_attribute("href") is None) == (i == 0)
    page.raw.click(".choose a")
    page.raw.wait_for_selector("#map-2[data-step]")
    page.raw.click(".brand")
    page.raw.click("text=space_invaders >> nth=0")
    page.raw.wait_for_selector(".record")
    assert audit(page) == []


def test_two_games_go_in_lock_step(served, episodes, open_page):
    one, other = map(served.id_of, episodes)
    page = open_page(f"{served.address}#e={one}&e2={other}&t=20")
    page.at_step(20, "map-2")
    page.press("o")
    for step in (20, 70):
        page.raw.locator("#seek").fill(str(step))
        for canvas, episode in zip(("map-1", "map-2"), episodes, strict=True):
            page.at_step(step, canvas)
            assert np.array_equal(page.pixels(canvas), episode.frame(step))
    assert fits(page) == [0, 0]
    assert audit(page) == []
    page.raw.set_viewport_size({"width": 390, "height": 844})
    assert fits(page)[0] == 0


def test_a_run_page_has_its_certificate_and_saves_the_report(open_page, tmp_path):
    run = make_run(tmp_path / "runs" / "run")
    folder = explained(run, "newest", "partly")
    asked = [text for name, text in QUESTIONS.items() if name not in ONLY_WHEN_ASKED]
    (folder / "explanation.html").write_text("<!doctype html>report")
    with serving(run.path) as client:
        page = open_page(f"http://{client.host}/")
        page.raw.wait_for_selector("#certificate")
        lines = page.raw.locator("#certificate dt").all_inner_texts()
        assert lines == [f"{question} partly" for question in asked]
        assert page.raw.locator("#certificate dd").all_inner_texts() == ["newest says."] * len(
            asked
        )
        assert fits(page)[0] == 0
        assert audit(page) == []
        with page.raw.expect_download() as found:
            page.raw.click("#certificate a")
        assert Path(found.value.path()).read_text() == "<!doctype html>report"
        page.raw.close()


def test_a_game_is_recorded_from_the_page_of_its_run(served, runs, open_page):
    found = next(f for f in served.library.runs.values() if f.run.path == runs[0].path)
    page = open_page(f"{served.address}#r={found.id}")
    steps = page.raw.locator(".record input[type=number] >> nth=1")
    steps.fill("5")
    page.raw.locator(".record input[type=number] >> nth=0").fill("9")
    page.raw.click("#record")
    page.at_step(0)
    page.press("End")
    page.at_step(4)
    assert page.raw.is_visible("#what-if")


@pytest.mark.more
def test_a_recording_stops_and_takes_nobody_away(served, runs, open_page):
    """Who has left its page stays where they are, and finds the game when they come back."""
    found = next(f for f in served.library.runs.values() if f.run.path == runs[1].path)
    page = open_page(f"{served.address}#r={found.id}")
    seed, steps = (page.raw.locator(f".record input[type=number] >> nth={i}") for i in (0, 1))
    assert steps.get_attribute("max") == "20000"
    seed.fill("3")
    steps.fill("20000")
    page.raw.click("#record")
    page.raw.wait_for_selector(".record .said:has-text('recording: score')")
    page.raw.click("#record:has-text('Stop')")
    page.raw.wait_for_selector(".record .said:has-text('stopped: the steps so far are kept')")
    steps.fill("30")
    steps.press("Enter")
    page.raw.click(".brand")
    page.raw.wait_for_selector(".card")
    with page.raw.expect_response(
        lambda answer: "/api/jobs/" in answer.url and answer.json()["state"] == "done"
    ):
        pass
    assert page.raw.locator(".record").count() == 0
    page.raw.go_back()
    page.raw.wait_for_selector(".record .said:has-text('Recorded: score')")
    page.raw.click(".record .said a")
    page.at_step(0)
    page.press("End")
    page.at_step(29)


def test_a_library_without_games_says_how_to_record_one(open_page, tmp_path):
    for name in ("one", "two"):
        make_run(tmp_path / name)
    with serving(tmp_path) as client:
        page = open_page(f"http://{client.host}/")
        page.raw.wait_for_selector("#no-episodes")
        assert page.text("#no-episodes").startswith("No game is recorded yet. Open a run")
        page.raw.click("main a")
        page.raw.wait_for_selector("#scores")
        assert page.text("#scores p").startswith("Not evaluated yet: rl-abn eval ")
        page.raw.close()


def test_the_page_of_an_agent_that_ships_says_how_well_it_plays(open_page):
    with serving(shipped.AGENTS / "breakout" / "ppo_abn") as client:
        page = open_page(f"http://{client.host}/")
        page.raw.wait_for_selector("#scores tbody tr")
        rows = [row.split("\t") for row in page.raw.locator("#scores tbody tr").all_inner_texts()]
        assert [row[1:4] for row in rows] == [
            ["30", "legacy", "drawn"],
            ["30", "machado2018", "drawn"],
        ]
        assert all(re.fullmatch(r"[\d.]+ \[[\d.]+, [\d.]+\]", row[0]) for row in rows)
        # Of the curves, what it scores and its losses come first.
        first = page.raw.locator(".chart figcaption span").all_inner_texts()[:4]
        losses = [f"train/{name}_loss" for name in ("policy_gradient", "value", "entropy")]
        assert first == ["rollout/ep_rew_mean", *losses]
        assert "stays as it came" in page.text("main")
        assert audit(page) == []
        page.raw.close()


@pytest.mark.more
def test_objects_of_two_games_are_each_their_own(served, episodes, open_page):
    one, other = map(served.id_of, episodes)
    page = open_page(f"{served.address}#e={one}&e2={other}&t=20")
    page.at_step(20, "map-2")
    names = {name.replace("_", " ") for each in episodes for name in each.meta.objects}
    page.raw.click("summary:has-text('Objects')")
    labels = page.raw.locator("details.menu[open] fieldset label").all_inner_texts()
    assert sorted(labels) == sorted(names)
    page.press("Escape")
    for canvas, episode in zip(("map-1", "map-2"), episodes, strict=True):
        found = episode.meta.objects["player"]  # of another colour in each
        of_colour = (episode.frame(20) == found["colours"][0]).all(axis=2)
        top, bottom = found["rows"]
        y, x = np.argwhere(of_colour[top:bottom])[0] + (top, 0)
        box = page.raw.locator(f"#{canvas}").bounding_box()
        zoom = box["width"] / 160, box["height"] / 210
        page.raw.mouse.move(box["x"] + (x + 0.5) * zoom[0], box["y"] + (y + 0.5) * zoom[1])
        assert page.text(f"#{canvas}-readout").endswith(" · player")
        before = page.raw.locator(f"#{canvas} ~ .lines").screenshot()
        page.press("l")
        assert page.raw.locator(f"#{canvas} ~ .lines").screenshot() != before


def test_an_exported_file_opens_from_disk(episodes, open_page, tmp_path):
    file = tmp_path / "game.html"
    export([episodes[0].path], file)
    page = open_page(file.as_uri(), offline=True)
    page.at_step(0)
    page.press("o")
    for step in (64, 99, 31):
        page.seek(step)
        assert np.array_equal(page.pixels("screen"), episodes[0].frame(step))
    known = episodes[0].step(31)["probabilities"].tolist()
    assert page.numbers(".side td.number.acting") == pytest.approx(known, abs=1e-6)
    assert page.raw.locator("#what-if").count() == 0
    assert audit(page) == []
    page.press("m")
    assert page.raw.get_attribute("#map", "data-layer") == "evidence-0"


@pytest.mark.full
def test_an_exported_file_of_two_games_shows_them_side_by_side(episodes, open_page, tmp_path):
    file = tmp_path / "games.html"
    export([episode.path for episode in episodes], file)
    page = open_page(f"{file.as_uri()}#t=7", offline=True)
    page.at_step(7, "map-1")
    page.at_step(7, "map-2")


def test_one_episode_or_run_is_shown_at_once(runs, episodes, open_page):
    with serving(episodes[1].path) as client:
        page = open_page(f"http://{client.host}/#t=41")
        page.at_step(41)
        assert np.array_equal(page.pixels("screen"), episodes[1].frame(41))
        page.press("ArrowRight")
        page.raw.wait_for_url("**/#t=42")
        page.raw.close()  # it asks for what comes next as long as it is open
    with serving(runs[1].path) as client:
        page = open_page(f"http://{client.host}/")
        page.raw.wait_for_selector(".record")
        page.raw.close()
