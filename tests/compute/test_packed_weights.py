import pytest
import torch
from torch import nn

from rl_abn.compute import packed_weights as packed
from rl_abn.compute.packed_weights import Packed, can_pack

pytestmark = pytest.mark.skipif(not can_pack(), reason="wants a processor with bfloat16")


class Doubled(nn.Module):
    """A layer that is no chain and has one inside."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1))

    def forward(self, inputs):
        return inputs + self.layers(inputs)


def make_network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(4, 8, 4, stride=2), nn.ReLU()),
        nn.MaxPool2d(2),
        Doubled(),
        nn.Conv2d(8, 6, 1, bias=False),
        nn.Flatten(),
        nn.Linear(6 * 4 * 4, 32),
        nn.ReLU(),
        nn.Linear(32, 5),
    )


def images(n, seed=0):
    drawn = torch.randn(n, 4, 18, 18, generator=torch.Generator().manual_seed(seed))
    return drawn.bfloat16().contiguous(memory_format=torch.channels_last)


@pytest.fixture
def acting():
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        yield


@pytest.fixture
def kernels(monkeypatch):
    """Which packed kernels were made."""
    made = []
    for name in ("_convolution", "_linear"):
        make = getattr(packed, name)

        def noted(layer, inputs, then, make=make, name=name):
            made.append((name, then))
            return make(layer, inputs, then)

        monkeypatch.setattr(packed, name, noted)
    return made


@pytest.mark.usefixtures("acting")
def test_a_packed_network_computes_the_same_bits(kernels):
    network = make_network()
    expected = {n: network(images(n)) for n in (4, 1, 33)}
    with Packed(network):
        for n, outputs in expected.items():
            assert torch.equal(network(images(n)), outputs)
    assert sorted(kernels) == [
        ("_convolution", "none"),
        ("_convolution", "none"),
        ("_convolution", "relu"),
        ("_linear", "none"),
        ("_linear", "relu"),
    ]


@pytest.mark.usefixtures("acting")
def test_nothing_of_it_stays():
    network = make_network()
    untouched = {name: dict(vars(part)) for name, part in network.named_modules()}
    with Packed(network) as weights:
        network(images(2))
        assert "forward" in vars(network)
        with weights.lifted():
            assert "forward" not in vars(network)
        assert "forward" in vars(network)
    assert {name: dict(vars(part)) for name, part in network.named_modules()} == untouched


@pytest.mark.usefixtures("acting")
def test_new_weights_are_packed_anew():
    network = make_network()
    with Packed(network):
        network(images(2))
    network[-1].weight.zero_()
    with Packed(network):
        assert torch.equal(network(images(2)), network[-1].bias.bfloat16().expand(2, 5))


@pytest.mark.usefixtures("acting")
def test_what_is_packed_stays_until_the_weights_change(kernels):
    network = make_network()
    weights = Packed(network)
    for _ in range(3):
        with weights:
            network(images(2))
    assert len(kernels) == 5
    network.load_state_dict({k: v * 2 for k, v in network.state_dict().items()})
    expected = network(images(2))
    with weights:
        assert torch.equal(network(images(2)), expected)
    assert len(kernels) == 10
    network[-1].weight = nn.Parameter(torch.zeros_like(network[-1].weight))
    with weights:
        assert torch.equal(network(images(2)), network[-1].bias.bfloat16().expand(2, 5))


@pytest.mark.usefixtures("acting")
def test_gradients_flow_and_other_dtypes_are_computed_as_ever(kernels):
    network = make_network()
    with torch.autocast("cpu", enabled=False):
        expected = network(images(2).float())
    with Packed(network):
        with torch.enable_grad():
            assert network(images(2)).requires_grad
        with torch.autocast("cpu", enabled=False):
            assert torch.equal(network(images(2).float()), expected)
    assert not kernels


@pytest.mark.usefixtures("acting")
def test_hooks_are_called():
    network, seen = make_network(), []
    network[0][0].register_forward_hook(lambda *_: seen.append("convolution"))
    expected = network(images(2))
    with Packed(network):
        assert torch.equal(network(images(2)), expected)
    assert seen == ["convolution"] * 2


@pytest.mark.usefixtures("acting")
def test_a_pass_that_fails_packs_nothing():
    network = make_network()
    expected = network(images(2))
    with Packed(network):
        with pytest.raises(RuntimeError):
            network(torch.zeros(2, 4, 40, 40, dtype=torch.bfloat16))
        assert torch.equal(network(images(2)), expected)


class Standardised(nn.Conv2d):
    """A convolution that does something else."""

    def forward(self, inputs):
        return super().forward(inputs - inputs.mean())


@pytest.mark.usefixtures("acting")
@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 3, 3, padding="same"),
        nn.Conv2d(4, 3, 3, padding=1, padding_mode="reflect"),
        Standardised(4, 3, 3),
    ],
)
@pytest.mark.parametrize("chained", [False, True])
def test_layers_the_kernels_do_not_know_are_left_alone(layer, chained, kernels):
    network = nn.Sequential(layer, nn.ReLU()) if chained else layer
    expected = network(images(2))
    with Packed(network):
        assert torch.equal(network(images(2)), expected)
    assert not kernels


def test_a_machine_that_cannot_packs_nothing(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    network = make_network()
    with Packed(network):
        assert "forward" not in vars(network)
