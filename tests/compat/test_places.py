"""Modules in several places, and what subclasses override."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cases import same_bits
from functional_dl.compat import SGD, Linear, Module, ReLU, Sequential, Sigmoid, Tanh


class Doubled(Module):
    """A module of one's own: y = 2 x."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x

    def backward(self, gy: Tensor) -> Tensor:
        return 2 * gy


class TheirDoubled(nn.Module):
    """The same as PyTorch's."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


OURS = {
    "Linear": lambda: Linear(4, 4),
    "no bias": lambda: Linear(4, 4, bias=False),
    "ReLU": ReLU,
    "Tanh": Tanh,
    "Sigmoid": Sigmoid,
    "Doubled": Doubled,
    "Sequential": Sequential,
}
THEIRS = {
    "Linear": lambda: nn.Linear(4, 4),
    "no bias": lambda: nn.Linear(4, 4, bias=False),
    "ReLU": nn.ReLU,
    "Tanh": nn.Tanh,
    "Sigmoid": nn.Sigmoid,
    "Doubled": TheirDoubled,
    "Sequential": nn.Sequential,
}
# What stands for the same object has the same name; a tuple is a Sequential.
SHARED = {
    "tanh twice": ("Linear", "Tanh", "no bias", "Tanh"),
    "linear twice": ("Linear", "Tanh", "Linear"),
    "linear at once": ("Linear", "Linear"),
    "three times": ("Linear", "ReLU", "Linear", "Sigmoid", "Linear"),
    "nested": ("Linear", ("Tanh", ("Linear", "Tanh")), "Linear"),
    "nested first": (("no bias", "Tanh", "Linear"), "Linear", ("Linear", "Tanh")),
    "with one's own": ("Linear", "Doubled", "Linear", "Tanh", "Linear"),
    "nested with one's own": ("Linear", ("Tanh", "Linear", "Doubled"), ("Linear", "Tanh")),
}


def made(names: Any, kinds: dict[str, Any], known: dict[Any, Any] | None = None) -> Any:
    known = {} if known is None else known
    if names not in known:
        known[names] = (
            kinds["Sequential"](*(made(name, kinds, known) for name in names))
            if isinstance(names, tuple)
            else kinds[names]()
        )
    return known[names]


@pytest.mark.long
@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("names", [*SHARED.values(), (("Linear", "Tanh"),) * 3], ids=str)
def test_a_module_in_several_places_is_pytorchs_to_the_bit(names: Any, inference: bool) -> None:
    torch.manual_seed(0)
    theirs = made(names, THEIRS)
    torch.manual_seed(0)
    ours = made(names, OURS)
    optimizers = (
        SGD(ours.parameters(), ours.grads(), 0.1),
        torch.optim.SGD(theirs.parameters(), 0.1),
    )
    for p in theirs.parameters():
        p.grad = torch.zeros_like(p)
    for step in range(4):
        x, gy = torch.randn(5, 4), torch.randn(5, 4)
        their_x = x.clone().requires_grad_()
        their_y = theirs(their_x)
        their_y.backward(gy)
        with torch.inference_mode(inference):
            y, gx = ours(x), ours.backward(gy)
            if step % 2:  # two times, gradients accumulate
                optimizers[0].step()
                optimizers[0].zero_grad()
        assert same_bits(y, their_y.detach())
        assert same_bits(gx, their_x.grad)
        if step % 2:
            optimizers[1].step()
            optimizers[1].zero_grad(set_to_none=False)
        else:
            for grad, p in zip(ours.grads(), theirs.parameters(), strict=True):
                assert same_bits(grad, p.grad)
        for p, their_p in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert same_bits(p, their_p.detach())


def test_each_of_two_sequentials_goes_back_through_its_own_forward() -> None:
    shared, x, gy = Linear(2, 2), torch.randn(2, 3, 2), torch.randn(2, 3, 2)
    first, second = Sequential(shared), Sequential(shared)
    first(x[0])
    second(x[1])
    first.backward(gy[0])
    assert torch.equal(shared.grads()[0], gy[0].mT @ x[0])
    second.backward(gy[1])
    assert torch.equal(shared.grads()[0], gy[0].mT @ x[0] + gy[1].mT @ x[1])


def test_a_forward_of_its_own_is_left_to_a_module_that_stands_in_a_sequential() -> None:
    shared, x, gy = Linear(2, 2), torch.randn(2, 3, 2), torch.randn(3, 2)
    shared(x[0])
    Sequential(shared)(x[1])
    shared.backward(gy)
    assert torch.equal(shared.grads()[0], gy.mT @ x[0])


def test_a_parameter_comes_once() -> None:
    shared, other = Linear(2, 2), Linear(2, 2, bias=False)
    model = Sequential(shared, Sequential(other, shared), other)
    for ours, expected in (
        (model.parameters(), [*shared.parameters(), *other.parameters()]),
        (model.grads(), [*shared.grads(), *other.grads()]),
    ):
        assert [*map(id, ours)] == [*map(id, expected)]


class TwiceAsFast(Sequential):
    """Goes back with twice the gradient."""

    def backward(self, gy: Tensor) -> Tensor:
        return super().backward(2 * gy)


class Loud(Linear):
    """Adds one, and goes back through its super's."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1

    def backward(self, gy: Tensor) -> Tensor | None:
        return super().backward(3 * gy)


class Mixin:
    """Overrides a forward without being a Module."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1  # type: ignore[misc]


class Mixed(Mixin, Linear):
    """Overrides nothing itself."""


class Called(ReLU):
    """Overrides how it is called."""

    def __call__(self, *input: Any) -> Any:
        return 5 * super().__call__(*input)


def test_what_a_subclass_adds_is_done_once() -> None:
    x, gy = torch.randn(3, 2), torch.randn(3, 2)
    for wrap in (lambda m: m, Sequential, lambda m: Sequential(Sequential(m))):
        torch.manual_seed(0)
        plain = Sequential(Linear(2, 2))
        plain(x)
        gx = plain.backward(gy)
        torch.manual_seed(0)
        model = wrap(TwiceAsFast(Linear(2, 2)))
        model(x)
        assert torch.equal(model.backward(gy), 2 * gx)
        assert torch.equal(model.grads()[0], 2 * plain.grads()[0])
        torch.manual_seed(0)
        model = wrap(Loud(2, 2))
        assert torch.equal(model(x), plain(x) + 1)
        assert torch.allclose(model.backward(gy), 3 * gx)
        torch.manual_seed(0)
        assert torch.equal(wrap(Mixed(2, 2))(x), plain(x) + 1)
        assert torch.equal(wrap(Called())(x), 5 * x.relu())


def test_a_subclass_stands_in_several_places_unless_it_overrides_a_way() -> None:
    class Named(Linear):
        def __init__(self) -> None:
            super().__init__(2, 2)

    class Shifted(Named):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + 1

    class Renamed(Shifted):
        pass

    shared = Named()
    Sequential(shared, Tanh(), shared)
    for own in (Shifted(), Renamed()):
        with pytest.raises(ValueError, match="in one place"):
            Sequential(own, Tanh(), own)


@pytest.mark.parametrize(
    ("module", "model", "places"),
    [
        (Doubled(), lambda m: Sequential(m, ReLU(), m), "0 and 2"),
        (Doubled(), lambda m: Sequential(Sequential(ReLU(), m), m), "0.1 and 1"),
        (Loud(2, 2), lambda m: Sequential(m, m), "0 and 1"),
        (TwiceAsFast(), lambda m: Sequential(m, m), "0 and 1"),
        (Called(), lambda m: Sequential(m, m), "0 and 1"),
        (Doubled(), lambda m: Sequential(*[Sequential(m)] * 2), "0.0 and 1.0"),
        (Doubled(), lambda m: Sequential(TwiceAsFast(m), m), "0.0 and 1"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_a_module_of_ones_own_is_refused_in_two_places(
    module: Module, model: Any, places: str
) -> None:
    with pytest.raises(ValueError, match=r"^Sequential: expected .* in one place, got ") as caught:
        model(module)
    assert str(caught.value).endswith(f"got {module!r} at {places}")


class Failing(Module):
    """Fails on its way back."""

    def forward(self, x: Tensor) -> Tensor:
        return x

    def backward(self, gy: Tensor) -> Tensor:
        raise ZeroDivisionError


def test_an_exception_half_way_leaves_no_gradient_half_accumulated() -> None:
    x = torch.ones(1, 2)
    model = Sequential(Linear(2, 2), Failing(), Sequential(Linear(2, 2), Tanh()))
    model(x)
    with pytest.raises(ZeroDivisionError):
        model.backward(x)
    assert not any(g.any() for g in model.grads())
    with pytest.raises(RuntimeError, match=r"^Sequential\.backward: expected a forward before"):
        model.backward(x)  # the other half alone would be wrong
    assert not any(g.any() for g in model.grads())
