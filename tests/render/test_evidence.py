import numpy as np
import pytest

from rl_abn.errors import RlAbnError
from rl_abn.render import GameScene, Moment, draw, overlay
from rl_abn.render.evidence import EvidencePanels

NAMES = ["NOOP", "FIRE", "LEFT"]
SIZE = (21, 16)


def painted(frame, evidence, action=0, names=NAMES, width=200, **options):
    panels = EvidencePanels(names, width, frame.shape[:2], **options)
    canvas = draw.blank(panels.height, width)
    panels.check(evidence)
    panels.paint_static(canvas, 0, 0)
    panels.paint(canvas, 0, 0, frame, evidence, action)
    return canvas


@pytest.fixture
def screen():
    return np.random.default_rng(0).integers(256, size=(*SIZE, 3), dtype=np.uint8)


def test_all_actions_share_a_scale_within_a_frame(screen):
    evidence = np.zeros((4, 3, 2), np.float32)
    evidence[0, 0, 0], evidence[1, 2, 1], evidence[3] = -2.0, 2.0, 99.0  # the last is the value's
    canvas = painted(screen, evidence)
    for i in range(3):
        left = i * (SIZE[1] + 14)
        panel = canvas[26 + 20 :, left : left + SIZE[1]]
        assert np.array_equal(panel, overlay(screen, (evidence[i] + 2.0) / 4.0))


def test_even_evidence_is_no_light(screen):
    canvas = painted(screen, np.full((3, 3, 2), 7.5, np.float32))
    assert np.array_equal(canvas[46:, : SIZE[1]], overlay(screen, np.zeros((3, 2), np.float32)))


def test_the_action_taken_stands_out():
    screen = np.zeros((20, 60, 3), np.uint8)
    evidence = np.random.default_rng(1).random((3, 3, 2), np.float32)
    taken = [(painted(screen, evidence, a) == np.array(draw.TAKEN)).all(-1) for a in (0, 2)]
    assert taken[0].any()
    assert not np.array_equal(taken[0], taken[1])


@pytest.mark.parametrize(("n", "rows"), [(1, 1), (7, 1), (8, 2), (18, 3)])
def test_rows_are_filled_evenly(n, rows):
    panels = EvidencePanels(["A"] * n, 1360, (210, 160))
    assert panels.height == 26 + rows * (20 + 210 + 14) - 14


@pytest.mark.parametrize(
    "evidence",
    [None, np.zeros((2, 3, 2)), np.zeros((3, 6)), np.full((3, 3, 2), np.nan)],
)
def test_what_is_no_evidence_is_refused(evidence):
    with pytest.raises(RlAbnError, match=r"expected (finite )?evidence"):
        EvidencePanels(NAMES, 200, SIZE).check(evidence)


def test_a_scene_without_it_is_as_ever_and_a_repeated_step_moves_no_curve(screen):
    def moment(step, **more):
        return Moment(
            frame=screen,
            maps=np.full((1, 3, 2), 0.5, np.float32),
            action_probabilities=np.full(3, 1 / 3),
            branch_probabilities=None,
            action=1,
            value=float(step),
            reward=0.0,
            score=0.0,
            lives=3,
            step=step,
            **more,
        )

    def scene(**options):
        return GameScene(
            action_names=NAMES,
            map_names=["shared"],
            title="Pong",
            fps=15.0,
            frame_size=SIZE,
            **options,
        )

    plain, below = scene(), scene(evidence=True)
    evidence = np.random.default_rng(2).random((4, 3, 2), np.float32)
    for step in (0, 1, 1, 1):
        shown = plain.render(moment(step))
        more = below.render(moment(step, evidence=evidence))
        body = shown.shape[0] - 24
        assert np.array_equal(more[:body], shown[:body])
    fresh = scene()
    for step in (0, 1):
        again = fresh.render(moment(step))
    assert np.array_equal(shown, again)
    with pytest.raises(RlAbnError, match="expected evidence for 3 actions"):
        below.render(moment(2))
