from importlib.metadata import EntryPoint

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from rl_abn.attention import (
    MECHANISMS,
    Abilities,
    AttentionSite,
    Mechanism,
    mechanism_options,
    no_answer,
    one_hot_map,
    places_like,
    register_mechanism,
)
from rl_abn.attention.mechanisms.registry import ENTRY_POINTS
from rl_abn.recipes import load_model
from rl_abn.recipes.options import check_option

G = torch.Generator().manual_seed(0)
FEATURES = torch.randn(2, 8, 5, 6, generator=G)
MAP = torch.rand(2, 1, 5, 6, generator=G)
NAMES = ["residual", "mask", "bottleneck", "se", "eca", "cbam", "residual_module"]
NAMES += ["highway", "hourglass", "non_local", "augmented_convolution", "transformer"]
NAMES += ["image_transformer", "causal", "over_time", "memory_network", "key_value_memory"]
NAMES += ["soft", "hard", "soft_glimpses", "hard_glimpses", "none", "more_layers"]
SMALL = {"augmented_convolution": {"attention_channels": 4, "key_channels": 4, "positions": 6}}
WITH_MAPS = [name for name in NAMES if MECHANISMS[name].abilities.maps]
UNASKED = [name for name in NAMES if not MECHANISMS[name].abilities.queries]
OF_NOW = [name for name in UNASKED if not MECHANISMS[name].abilities.remembers]


def make(name, options=None, **site):
    torch.manual_seed(0)
    if MECHANISMS[name].abilities.remembers:
        site["map_size"] = (5, 6)
    site = AttentionSite(8, **{"query_size": 3, "n_outputs": 4, **site})
    return MECHANISMS[name](site, **{**SMALL.get(name, {}), **(options or {})})


def a_map_for(name):
    if MECHANISMS[name].abilities.queries or name not in WITH_MAPS:
        return MAP
    size = make(name)(FEATURES).map.shape
    return torch.rand(size, generator=torch.Generator().manual_seed(1))


def gate(mechanism, features, attention_map):
    """Gates with what the mechanism made of the features along with its map."""
    context = () if mechanism.abilities.queries else mechanism(features).context
    return mechanism.gate(features, attention_map, *context)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("residual", lambda m: (1 + m) * FEATURES),
        ("mask", lambda m: m * FEATURES),
        ("bottleneck", lambda m: m * FEATURES + (1 - m) * FEATURES.mean((2, 3), keepdim=True)),
        ("se", lambda m: m.view(2, 8, 1, 1) * FEATURES),
        ("eca", lambda m: m.view(2, 8, 1, 1) * FEATURES),
        ("cbam", lambda m: m.view(2, 8, 5, 6) * FEATURES),
        ("soft", lambda m: (m * FEATURES).sum((2, 3), keepdim=True)),
        ("none", lambda m: FEATURES),
    ],
)
def test_formula(name, expected):
    a_map = a_map_for(name)
    torch.testing.assert_close(make(name).gate(FEATURES, a_map), expected(a_map))


def test_a_map_of_zeros_leaves_residual_features_unchanged():
    assert torch.equal(make("residual").gate(FEATURES, torch.zeros_like(MAP)), FEATURES)


def test_a_map_of_zeros_lets_nothing_through_a_mask():
    assert make("mask").gate(FEATURES, torch.zeros_like(MAP)).abs().max() == 0


def test_a_map_of_ones_doubles_residual_features():
    assert torch.equal(make("residual").gate(FEATURES, torch.ones_like(MAP)), 2 * FEATURES)


@pytest.mark.parametrize(("name", "factor"), [("residual", 1 + MAP), ("mask", MAP)])
def test_a_gate_of_unit_mean(name, factor):
    mechanism = make(name, {"unit_mean": True})
    expected = factor / factor.mean(dim=(2, 3), keepdim=True) * FEATURES
    torch.testing.assert_close(mechanism.gate(FEATURES, MAP), expected)
    assert torch.equal(
        mechanism.gate(FEATURES, torch.zeros_like(MAP)),
        FEATURES if name == "residual" else torch.zeros_like(FEATURES),
    )


@pytest.mark.parametrize("name", ["residual", "mask"])
def test_an_even_softmax_map_gates_as_a_map_of_ones(name):
    even = torch.full_like(MAP, 1 / 30)
    softmax = make(name, {"map_form": "softmax"})
    expected = make(name).gate(FEATURES, torch.ones_like(MAP))
    torch.testing.assert_close(softmax.gate(FEATURES, even), expected)


def test_a_bottleneck_hides_what_is_not_looked_at():
    """Features that differ where the map is 0 alone, and not in their mean, look the same."""
    bottleneck, other = make("bottleneck"), FEATURES.clone()
    other[:, :, 0, :2] = FEATURES[:, :, 0, :2].flip(2)
    closed = torch.ones_like(MAP)
    closed[:, :, 0, :2] = 0
    torch.testing.assert_close(
        bottleneck.gate(FEATURES, closed), bottleneck.gate(other, closed), atol=1e-6, rtol=0
    )
    assert not torch.allclose(bottleneck.gate(FEATURES, MAP), bottleneck.gate(other, MAP))


@pytest.mark.parametrize(
    "options",
    [{"unit_mean": True}, {"map_form": "softmax"}, {"map_form": "standardised_softmax"}],
)
def test_a_bottleneck_has_no_use_for_these_options(options):
    with pytest.raises(ValueError, match="for a bottleneck"):
        make("bottleneck", options)


def test_a_class_that_passes_options_on_has_its_parents():
    assert mechanism_options("bottleneck") == mechanism_options("residual")
    assert mechanism_options("mask")["map_form"] == "sigmoid"


@pytest.mark.parametrize("name", WITH_MAPS)
def test_gradient_reaches_map_and_features(name):
    features, attention_map = FEATURES.clone().requires_grad_(), a_map_for(name).clone()
    attention_map.requires_grad_()
    gate(stirred(make(name)), features, attention_map).square().sum().backward()
    assert features.grad.abs().sum() > 0
    assert attention_map.grad.abs().sum() > 0


def test_hard_attention_reads_one_location():
    location = torch.tensor([7, 29])  # row 1, column 1 and row 4, column 5
    attention_map = one_hot_map(location, 5, 6, like=FEATURES)
    assert torch.equal(attention_map.sum(dim=(1, 2, 3)), torch.ones(2))
    read = make("hard").gate(FEATURES, attention_map)[:, :, 0, 0]
    assert torch.equal(read, torch.stack([FEATURES[0, :, 1, 1], FEATURES[1, :, 4, 5]]))


def test_squeeze_excitation_is_that_of_the_paper():
    """Hu et al., eq. 2 and 3: sigmoid(W2 relu(W1 mean(F)))."""
    mechanism = make("se", n_maps=2)
    assert mechanism.layers[1].out_channels == 1  # 8 // 16, but at least one
    first, last = mechanism.layers[1], mechanism.layers[3]
    squeezed = FEATURES.mean(dim=(2, 3))
    hidden = F.linear(squeezed, first.weight.flatten(1), first.bias).relu()
    weights = F.linear(hidden, last.weight.flatten(1), last.bias).sigmoid()
    torch.testing.assert_close(mechanism(FEATURES).map, weights.view(2, 2, 8, 1))


def stirred(mechanism):
    """The mechanism with weights that are not 0 anywhere, as those of some last layers are."""
    for parameter in mechanism.parameters():
        n_inputs = parameter[0].numel() if parameter.ndim > 1 else 9
        torch.nn.init.normal_(parameter, std=n_inputs**-0.5)
    return mechanism


@pytest.mark.parametrize("name", [name for name in OF_NOW if name != "none"])
def test_a_gradient_reaches_every_parameter(name):
    mechanism = stirred(make(name, n_outputs=4 * MECHANISMS[name].abilities.answers))
    features = torch.randn(8, 8, 5, 6, generator=torch.Generator().manual_seed(2))
    attention = mechanism(features)
    gated = mechanism.gate(features, attention.map, *attention.context)
    loss = gated.square().sum() + attention.logits.square().sum()
    if attention.log_prob is not None:
        loss = loss + attention.log_prob.sum()
    loss.backward()
    for parameter_name, parameter in mechanism.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", UNASKED)
def test_a_mechanism_computes_in_bfloat16_as_in_float32(name):
    mechanism = stirred(make(name)).eval()
    own = mechanism(FEATURES)
    expected = mechanism.gate(FEATURES, own.map, *own.context)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        attention = mechanism(FEATURES.bfloat16())
        gated = mechanism.gate(FEATURES.bfloat16(), attention.map, *attention.context)
    torch.testing.assert_close(attention.map.float(), own.map, atol=0.1, rtol=0.1)
    torch.testing.assert_close(gated.float(), expected, atol=0.3, rtol=0.1)


@pytest.mark.parametrize("name", UNASKED)
def test_a_mechanism_does_what_its_abilities_say(name):
    mechanism, abilities = make(name, n_maps=1), MECHANISMS[name].abilities
    attention = mechanism(FEATURES)
    rows = {
        None: (5, 6),
        "spatial": (5, 6),
        "channel": (8, 1),
        "featurewise": (8, 30),
        "temporal": (16 * getattr(mechanism, "heads", getattr(mechanism, "hops", 1)), 1)
        if abilities.remembers
        else (4, 30),
        "pairwise": (30 * getattr(mechanism, "n_heads", 1), 30),
    }[abilities.maps]
    assert attention.map.shape == (2, 0 if abilities.maps is None else 1, *rows)
    assert attention.logits.shape == (2, 4 if abilities.answers else 0)
    assert attention.evidence.shape == (2, attention.logits.shape[1], 5, 6)
    assert gate(mechanism, FEATURES, attention.map).shape == FEATURES.shape
    if abilities.maps is not None:
        drawn = abilities.drawn(attention.map, (5, 6)).shape
        assert drawn == (2, 1, *(rows if rows[1] == 1 else (5, 6)))
    assert set(mechanism.quiet_layers()) <= set(mechanism.modules())


@pytest.mark.parametrize("name", ["soft", "hard"])
def test_a_queried_mechanism_needs_a_query(name):
    with pytest.raises(ValueError, match="expected a site with a query"):
        MECHANISMS[name](AttentionSite(8))


def test_names_of_maps():
    assert Abilities().map_names("shared") == ("shared",)
    assert Abilities().map_names("split") == ("policy", "value")
    assert Abilities(maps=None).map_names("split") == ()


@pytest.mark.parametrize("name", [n for n in UNASKED if MECHANISMS[n].abilities.splits])
def test_a_mechanism_makes_as_many_maps_as_are_wanted(name):
    mechanism = stirred(make(name, n_maps=2))
    maps = mechanism(FEATURES).map
    assert maps.shape[1] == 2 * (name in WITH_MAPS)
    if name in WITH_MAPS:
        assert not torch.allclose(maps[:, 0], maps[:, 1])


@pytest.mark.parametrize("name", WITH_MAPS)
def test_maps_sum_to_1_where_that_is_declared(name):
    mechanism, abilities = make(name), MECHANISMS[name].abilities
    if abilities.queries:
        made = mechanism.glimpse(mechanism.keys(FEATURES), torch.zeros(2, 3)).map
    else:
        made = mechanism(FEATURES).map
    total = made.sum(dim=3 if abilities.maps == "pairwise" else (2, 3))
    assert abilities.sums_to_one is torch.allclose(total, torch.ones_like(total))


def test_maps_that_sum_to_1_are_drawn_as_multiples_of_an_even_one():
    assert Abilities(sums_to_one=True).even_factor(9, 7) == 63
    assert Abilities(maps="temporal", sums_to_one=True).even_factor(5, 1) == 5
    # Each of 6 locations shares out 1 among 4.
    assert Abilities(maps="pairwise", sums_to_one=True).even_factor(6, 4) == 4
    assert Abilities().even_factor(9, 7) == 1


def test_maps_over_all_locations_are_drawn_as_their_mean_over_the_rows():
    maps = torch.rand(2, 1, 4, 6)
    pairwise = Abilities(maps="pairwise", sums_to_one=True).drawn(maps, (2, 3))
    torch.testing.assert_close(pairwise, 6 * maps.mean(dim=2).view(2, 1, 2, 3))
    featurewise = Abilities(maps="featurewise").drawn(maps.numpy(), (2, 3))
    np.testing.assert_allclose(featurewise, maps.mean(dim=2).view(2, 1, 2, 3), rtol=1e-6)
    over_time = Abilities(maps="temporal", sums_to_one=True)
    torch.testing.assert_close(over_time.drawn(maps, (2, 3)), 24 * maps.mean(2).view(2, 1, 2, 3))
    assert over_time.drawn(maps[..., :1]).shape == (2, 1, 4, 1)
    assert Abilities(maps="pairwise").drawn(torch.rand(1, 9, 9)).shape == (1, 3, 3)


def test_places_are_as_high_and_wide_as_the_frame():
    assert places_like(9 * 25, 66, 200) == (9, 25)
    assert places_like(49, 84, 84) == (7, 7)
    assert places_like(12, 100, 160) == (3, 4)


def test_efficient_channel_attention_is_that_of_the_paper():
    """Wang et al., eq. 9: a channel's weight is made of the channels beside it."""
    mechanism = make("eca", {"kernel": 3}, n_maps=2)
    squeezed = F.pad(FEATURES.mean(dim=(2, 3)), (1, 1))
    weight = mechanism.over_channels.weight[:, 0]
    expected = torch.stack(
        [(squeezed[:, c : c + 3, None] * weight.T).sum(1).sigmoid() for c in range(8)], dim=2
    )
    torch.testing.assert_close(mechanism(FEATURES).map, expected[..., None])


def test_its_kernel_follows_from_the_number_of_channels():
    sizes = {16: 3, 64: 3, 128: 5, 256: 5, 512: 5}  # eq. 12, as the authors' code rounds it
    kernels = {c: MECHANISMS["eca"](AttentionSite(c)).over_channels.kernel_size[0] for c in sizes}
    assert kernels == sizes


def test_more_layers_are_added_to_the_features():
    mechanism = make("more_layers", {"hidden": 3, "kernel": 3})
    first, _, last = mechanism.layers
    expected = FEATURES + last(first(FEATURES).relu())
    torch.testing.assert_close(mechanism.gate(FEATURES, MAP), expected)


def test_cbam_is_that_of_the_paper():
    """Woo et al., eq. 1 to 3."""
    mechanism = make("cbam", {"reduction": 2, "kernel": 3})
    mlp, places = mechanism.of_channels, mechanism.of_places
    channels = (mlp(FEATURES.mean((2, 3))) + mlp(FEATURES.amax((2, 3)))).sigmoid()
    once = FEATURES * channels[:, :, None, None]
    pooled = torch.cat([once.mean(1, keepdim=True), once.amax(1, keepdim=True)], dim=1)
    twice = once * F.conv2d(pooled, places.weight, padding=1).sigmoid()
    attention = mechanism(FEATURES)
    torch.testing.assert_close(mechanism.gate(FEATURES, attention.map), twice)


class Doubled(Mechanism):
    abilities = Abilities(splits=False)

    def __init__(self, site, *, factor: float = 2.0):
        super().__init__()
        self.factor = factor

    def forward(self, features):
        return no_answer(features, features[:, :1].sigmoid())

    def gate(self, features, attention_map):
        return self.factor * features * attention_map


@pytest.fixture
def doubled(monkeypatch):
    monkeypatch.setattr(MECHANISMS, "_classes", dict(MECHANISMS._classes))
    register_mechanism("doubled", Doubled)


def test_a_registered_mechanism_has_a_name_and_options(doubled):
    register_mechanism("doubled", Doubled)  # the same again is no mistake
    assert MECHANISMS["doubled"] is Doubled
    assert "doubled" in list(MECHANISMS)
    assert len(MECHANISMS) == len(list(MECHANISMS)) == len(NAMES) + 1
    assert mechanism_options("doubled") == {"factor": 2.0}
    assert mechanism_options("se") == {"reduction": 16}


def test_a_cell_that_is_run_again_defines_its_mechanism_anew(doubled):
    again = type("Doubled", (Doubled,), {"__module__": Doubled.__module__})
    register_mechanism("doubled", again)
    assert MECHANISMS["doubled"] is again
    elsewhere = type("Doubled", (Doubled,), {"__module__": "another"})
    with pytest.raises(ValueError, match="expected a new name, got 'doubled', which is Doubled"):
        register_mechanism("doubled", elsewhere)


def test_what_cannot_be_registered(doubled):
    with pytest.raises(ValueError, match="expected a new name, got 'mask', which is MaskAttention"):
        register_mechanism("mask", Doubled)
    with pytest.raises(TypeError, match="expected a subclass of Mechanism for 'x'"):
        register_mechanism("x", torch.nn.Linear)
    with pytest.raises(TypeError, match="to declare its abilities"):
        register_mechanism("x", type("Nameless", (Mechanism,), {}))


def test_an_installed_package_brings_mechanisms(monkeypatch):
    class Installed(EntryPoint):
        def load(self):
            return Doubled

    point = Installed("doubled", "package:Doubled", ENTRY_POINTS)
    monkeypatch.setattr(MECHANISMS, "_classes", dict(MECHANISMS._classes))
    monkeypatch.setattr(MECHANISMS, "_installed", {"doubled": point})
    assert list(MECHANISMS) == [*NAMES, "doubled"]
    assert MECHANISMS["doubled"] is Doubled


def test_an_unknown_name_is_a_key_error():
    with pytest.raises(KeyError, match="residul"):
        MECHANISMS["residul"]


def test_a_broken_package_is_one_line_and_bothers_nobody_who_does_not_ask_for_it(monkeypatch):
    class Broken(EntryPoint):
        def load(self):
            raise ImportError("no module named 'gone'\nand a long story")

    point = Broken("broken", "package:Broken", ENTRY_POINTS)
    monkeypatch.setattr(MECHANISMS, "_installed", {"broken": point})
    assert "broken" in MECHANISMS
    assert load_model("resnet20_abn").attention.has_maps
    with pytest.raises(ValueError, match=r"package:Broken, got no module named 'gone'$"):
        MECHANISMS["broken"]


def test_an_option_needs_a_default_and_may_have_one_of_any_type(doubled):
    class Needy(Mechanism):
        abilities = Abilities()

        def __init__(self, site, *, width: int):
            super().__init__()

    with pytest.raises(TypeError, match="expected a default of Needy's option 'width', got none"):
        register_mechanism("needy", Needy)
    check_option("needy", "width", 3, {"width": None})
