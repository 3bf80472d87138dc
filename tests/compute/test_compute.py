from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from rl_abn.compute import Compute
from rl_abn.compute.compute import choose_device

CPU = torch.device("cpu")
PIXELS = torch.randint(0, 256, (2, 4, 6, 6), dtype=torch.uint8)


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_pixels_become_0_to_1_in_the_chosen_dtype(precision, dtype):
    images = Compute(precision).images(PIXELS)
    assert images.dtype == dtype
    torch.testing.assert_close(images.float(), PIXELS / 255, atol=4e-3, rtol=0)
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_float_pixels_are_left_alone():
    pixels = PIXELS.float()
    before = pixels.clone()
    torch.testing.assert_close(Compute().images(pixels), PIXELS / 255)
    assert torch.equal(pixels, before)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_is_normalised_already_keeps_its_values(precision):
    seen = torch.randn(2, 1, 6, 6)
    images = Compute(precision).images(seen, normalize=False)
    assert images.dtype == (torch.float32 if precision == "fp32" else torch.bfloat16)
    assert images.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(images.float(), seen, atol=0.02, rtol=0)
    if precision == "fp32":
        assert torch.equal(images, seen)


def test_layout_does_not_change_the_result():
    network = nn.Conv2d(4, 8, 3)
    plain = network(Compute(channels_last=False).images(PIXELS))
    compute = Compute()
    torch.testing.assert_close(compute.prepare(network)(compute.images(PIXELS)), plain)


def test_bf16_computes_in_bf16_and_keeps_its_weights():
    compute, network = Compute("bf16"), nn.Conv2d(4, 8, 3)
    with compute.autocast(torch.device("cpu")):
        assert network(compute.images(PIXELS)).dtype == torch.bfloat16
    assert network.weight.dtype == torch.float32


def test_no_other_thread_changes_how_a_gradient_is_rounded():
    """A weight used at every step of a sequence, while another thread begins and ends passes."""
    torch.manual_seed(0)
    compute, layer = Compute("bf16"), nn.Linear(64, 64)
    inputs = torch.randn(32, 64)

    def gradient(meanwhile):
        with compute.autocast(CPU):
            hidden = inputs
            for _ in range(8):
                hidden = layer(hidden).tanh()
                meanwhile()
        return torch.autograd.grad(hidden.float().square().sum(), layer.weight)[0]

    def a_pass_elsewhere():
        with compute.autocast(CPU):
            layer(inputs)

    with ThreadPoolExecutor(1) as other:
        disturbed = gradient(lambda: other.submit(a_pass_elsewhere).result())
    assert torch.equal(disturbed, gradient(lambda: None))


def test_devices():
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ValueError, match="got 'cudaa'"):
        choose_device("cudaa")


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what a machine without a GPU answers")
def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="no CUDA GPU visible"):
        choose_device("cuda")
