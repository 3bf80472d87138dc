"""The page: what stands in it, and what cannot get into it."""

from __future__ import annotations

import re
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from rl_abn.estimates import Estimate
from rl_abn.explain.certificate import Certificate, Line
from rl_abn.explain.charts import curve_chart, interval_chart, nice_ticks, number
from rl_abn.explain.examples import example_sheet, times_even
from rl_abn.explain.page import page
from rl_abn.explain.report import Chart, Curves, Explanation, Picture, Table

BAD = "<script>alert('x')</script>"


def explanation(text: str) -> Explanation:
    estimate = Estimate(0.5, 0.25, 0.75)
    sheet = example_sheet([np.zeros((20, 16, 3), np.uint8)], {text: np.ones((1, 4, 4))}, [text])
    return Explanation(
        title=text,
        subtitle=text,
        certificate=Certificate((Line("used", "yes", text), Line("sane", "not asked", text))),
        sections=[
            (
                text,
                [
                    Table(text, text, ("map", text), [(text, [estimate, text, None, 1.5])]),
                    Chart(text, text, [(text, "own", estimate)], text),
                    Curves(text, text, (0.1, 0.9), [(text, "own", [0.0, 1.0])], text, text),
                    Picture(text, text, sheet),
                ],
            )
        ],
        asked={text: text},
        methods=[(text, text)],
        caveats=[text],
        data={"scores": {}},
    )


def test_names_cannot_bring_markup_in() -> None:
    made = page(explanation(BAD)).decode()
    assert "<script" not in made
    assert made.count("&lt;script&gt;") > 15
    assert "alert('" not in made.replace("&#x27;", "").replace("alert(x", "")


def test_a_page_is_one_file_that_fetches_nothing() -> None:
    made = page(explanation("plain")).decode()
    assert not re.search(r"https?://|@import|url\(", made)
    assert "0.50 <span class='i'>[0.25, 0.75]</span>" in made
    assert "<td>–</td>" in made
    assert "class='verdict asked'>not asked" in made
    assert explanation("plain").as_json()["certificate"][0]["asks"] == "Is the map used?"


def test_an_interval_is_drawn_where_it_lies() -> None:
    svg = interval_chart(Chart("t", "s", [("a", "own", Estimate(0.5, 0.0, 1.0))]))
    lines = re.findall(
        r'<line x1="([\d.]+)" y1="[\d.]+" x2="([\d.]+)" y2="[\d.]+" stroke="#0b62a4"', svg
    )
    ((left, right),) = [(float(a), float(b)) for a, b in lines]
    (dot,) = map(float, re.findall(r'<circle cx="([\d.]+)"', svg))
    assert dot == pytest.approx((left + right) / 2, abs=0.1)
    assert interval_chart(Chart("t", "s", [("a", "own", Estimate(float("nan"), None, None))])) == ""
    assert curve_chart(Curves("t", "s", (), [], "x", "y")) == ""


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]), (-63.0, 3.0, [-80.0, -60.0, -40.0, -20.0, 0, 20])],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert list(nice_ticks(low, high)) == ticks


def test_numbers() -> None:
    assert number(None) == "–"
    assert number(Estimate(1.0, None, None)) == "1.00"
    assert number(2.345, ".1f") == "2.3"


def test_examples_are_on_one_scale() -> None:
    assert times_even(np.array([[0.2, 0.2], [0.2, 0.2]])).tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert times_even(np.array([[4.0, 0.0], [0.0, -9.0]])).tolist() == [[4.0, 0.0], [0.0, 0.0]]
    assert times_even(np.full((2, 2), -1.0)).tolist() == [[1.0, 1.0], [1.0, 1.0]]
    png = example_sheet(
        [np.zeros((210, 160, 3), np.uint8)] * 2, {"one": np.random.rand(2, 9, 9)}, ["a", "b"]
    )
    width, height = Image.open(BytesIO(png)).size
    assert width > 2 * 160
    assert height > 2 * 210
