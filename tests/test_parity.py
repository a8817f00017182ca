"""Everything equals PyTorch's autograd in every bit, over drawn cases."""

from random import Random

import parity
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize("name", parity.CASES)
@pytest.mark.usefixtures("threads")
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rng=st.builds(Random, st.integers(0, 2**32)))
def test_equals_autograd_in_every_bit(name: str, rng: Random) -> None:
    for what, ours, theirs in parity.CASES[name](rng):
        assert parity.same_bits(ours, theirs), what


def test_same_bits_tells_a_sign_of_zero_a_last_bit_a_shape_and_a_dtype() -> None:
    a = torch.tensor([0.0, 1.0, torch.nan])
    assert parity.same_bits(a, a.clone())
    assert parity.same_bits(a, torch.stack([a, a], 1)[:, 0])
    assert not parity.same_bits(a, torch.tensor([-0.0, 1.0, torch.nan]))
    assert not parity.same_bits(a, a.nextafter(torch.tensor(2.0)))
    assert not parity.same_bits(a, a[:2])
    assert not parity.same_bits(a, a.double())
