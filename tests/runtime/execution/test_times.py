"""One chip at several times at once: the bits of ``advance_to``, whatever is called in between."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

import tilewright
from tests.conftest import padded_batch
from tests.narrowing import instance
from tests.variants import variant
from tilewright.runtime.chip.analog_linear import AnalogLinear
from tilewright.targets.errors import InputError
from tilewright.targets.loading import load_target

TIMES = ("0", "1h", "1mo")
X = torch.rand(3, 32, generator=torch.Generator().manual_seed(0))
STUCK = {kind: {"value": 0.01, "unit": "1", "source": "test"} for kind in ("at_zero", "at_maximum")}


def compiled(target):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 8))
    return tilewright.compile(model, target, example_inputs={"input": torch.rand(4, 32)})


@pytest.fixture(scope="module")
def plan():
    return compiled("pcm-512")


def run(executable, samples=range(3)):
    return executable.run({"input": X}, samples=samples)["output"]


def one_after_the_other(plan, **settings):
    session = tilewright.Session(plan, 3, **settings)
    return {time: run(session.advance_to(time)) for time in TIMES}


@pytest.mark.parametrize(
    ("target", "settings"),
    [
        ("pcm-512", {}),
        ("pcm-512", {"conductances": "bfloat16"}),
        ("pcm-512", {"layer_by_layer": True}),
        ("pcm-512-mixed", {"drift_compensation": False}),
        (variant(drift_compensation="affine", stuck_devices=STUCK), {}),
        (load_target("pcm-512-dynamic"), {}),
        (variant(tile__dac=None), {}),
        ("pcm-512", {"ideal": True}),
    ],
)
def test_times_in_turn_give_the_bits_of_advance_to(target, settings):
    plan = compiled(target)
    expected = one_after_the_other(plan, **settings)
    session = tilewright.Session(plan, 3, **settings)
    views = {time: session.at(time) for time in TIMES}
    for _ in range(2):
        for time in reversed(TIMES):
            assert torch.equal(run(views[time]), expected[time])
        session.advance_to("1w")  # the session's own time is its own
    assert torch.equal(run(session.advance_to("1h")), expected["1h"])
    assert torch.equal(run(session.at("1mo")), expected["1mo"])
    assert session.seconds == 3600.0


def test_a_view_counts_its_own_samples(plan):
    session = tilewright.Session(plan, 3).advance_to("1h")
    view = session.at("1h")
    expected = [run(session, range(3)), run(session, range(3, 6))]
    assert torch.equal(session(input=X)["output"], expected[0])
    assert torch.equal(view(input=X)["output"], expected[0]), "what the session read before is not counted"
    assert torch.equal(session(input=X)["output"], expected[1])
    assert torch.equal(view(input=X)["output"], expected[1])


def test_views_in_several_threads_beside_a_session_that_drifts(plan):
    expected = one_after_the_other(plan)
    session = tilewright.Session(plan, 3)
    views = {time: session.at(time) for time in TIMES}

    def work(number):
        time = TIMES[number % 3]
        if number % 5 == 0:
            session.advance_to(time)
        view = session.at(time) if number % 4 == 0 else views[time]
        return torch.equal(run(view), expected[time])

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(60)))


def test_devices_and_source_weights_are_shared(plan):
    session = tilewright.Session(plan, 3)
    (now, *_), (later, *_) = (next(iter(made.module.children())).children() for made in (session, session.at("1mo")))
    of = dict(now.named_buffers())
    for name, buffer in later.named_buffers():
        own = ".tiles." in name or "_correction" in name
        assert (buffer is not of[name]) == own, name
    held = sum(buffer.nbytes for name, buffer in later.named_buffers() if ".tiles." in name)
    assert held == 3 * instance(now, AnalogLinear).weight.numel(), "three bytes a weight"
    unmoved = session.at(0).module
    assert {id(buffer) for buffer in unmoved.buffers()} == {id(buffer) for buffer in session.module.buffers()}


def test_a_transformer_at_two_times(small_plan):
    inputs = padded_batch(2, 6)
    session = tilewright.Session(small_plan, 3)
    early, late = session.at("1s"), session.at("1y")
    for view, time in ((late, "1y"), (early, "1s")):
        expected = tilewright.Session(small_plan, 3).advance_to(time)(inputs)
        found = view(inputs)
        assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_times_before_zero_are_refused(plan):
    with pytest.raises(InputError, match="before zero"):
        tilewright.Session(plan).at(-1)
