"""The report's API, row by row."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

import functional_dl as fdl
from cases import autograd, same_bits
from functional_dl import compat
from functional_dl.compat import MSE, SGD, Linear, Module, ReLU, Sequential, Tanh


@pytest.mark.long
def test_algorithm_1_as_printed_trains_as_pytorch_does() -> None:
    data = [(torch.rand(10, 2), torch.rand(10, 2)) for _ in range(5)]
    epochs, lr, losses = range(20), 0.1, []
    torch.manual_seed(0)

    # The report's Algorithm 1.
    model, criterion = (
        Sequential(Linear(2, 25), ReLU(), Linear(25, 25), Tanh(), Linear(25, 2)),
        MSE(),
    )
    optimizer = SGD(model.parameters(), model.grads(), lr)
    for _epoch in epochs:
        for input, target in data:
            output = model(input)
            loss = criterion(output, target)
            model.backward(criterion.backward())
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss)

    torch.manual_seed(0)
    theirs = nn.Sequential(
        nn.Linear(2, 25), nn.ReLU(), nn.Linear(25, 25), nn.Tanh(), nn.Linear(25, 2)
    )
    their_optimizer = torch.optim.SGD(theirs.parameters(), lr)
    their_losses = []
    for _epoch in epochs:
        for input, target in data:
            their_optimizer.zero_grad()
            loss = nn.MSELoss()(theirs(input), target)
            loss.backward()
            their_optimizer.step()
            their_losses.append(loss.detach())

    assert torch.equal(torch.stack(losses), torch.stack(their_losses))
    for p, their_p in zip(model.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(p, their_p)


def test_parameters_and_grads_are_the_same_tensors_for_life() -> None:
    model = Sequential(Linear(2, 3), Sequential(Tanh(), Linear(3, 1, bias=False)))
    criterion = MSE()
    optimizer = SGD(model.parameters(), model.grads(), 0.1)
    before = [*map(id, model.parameters()), *map(id, model.grads())]
    values = [p.clone() for p in model.parameters()]
    criterion(model(torch.ones(1, 2)), torch.zeros(1, 1))
    model.backward(criterion.backward())
    optimizer.step()
    optimizer.zero_grad()
    assert [*map(id, model.parameters()), *map(id, model.grads())] == before
    assert not any(map(torch.equal, model.parameters(), values))


def test_grads_start_at_zero_accumulate_and_are_zeroed() -> None:
    for zero in ("model", "optimizer"):
        model = Linear(2, 1)
        optimizer = SGD(model.parameters(), model.grads(), 0.1)
        assert [g.tolist() for g in model.grads()] == [[[0.0, 0.0]], [0.0]]
        for _ in range(2):
            model(torch.tensor([[3.0, 4.0]]))
            model.backward(torch.tensor([[1.0]]))
        assert [g.tolist() for g in model.grads()] == [[[6.0, 8.0]], [2.0]]
        {"model": model, "optimizer": optimizer}[zero].zero_grad()
        assert [g.tolist() for g in model.grads()] == [[[0.0, 0.0]], [0.0]]


def test_linear_has_weight_and_bias_of_the_sizes_given() -> None:
    assert [p.shape for p in Linear(2, 3).parameters()] == [(3, 2), (3,)]
    assert [p.shape for p in Linear(2, 3, bias=False).parameters()] == [(3, 2)]
    assert [g.shape for g in Linear(2, 3, bias=False).grads()] == [(3, 2)]


@pytest.mark.parametrize("module", [ReLU(), Tanh(), MSE(), Sequential(), Module()], ids=repr)
def test_a_module_without_parameters_has_empty_lists(module: Module) -> None:
    assert module.parameters() == []
    assert module.grads() == []
    module.zero_grad()


def test_a_call_is_a_forward() -> None:
    x = torch.tensor([[-1.0, 2.0]])
    assert torch.equal(ReLU()(x), ReLU().forward(x))
    assert MSE()(x, x).item() == 0


def test_mse_backward_takes_nothing_and_gives_the_gradient_of_the_prediction() -> None:
    criterion = MSE()
    assert criterion(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]])).item() == 2.5
    assert criterion.backward().tolist() == [[1.0, -2.0]]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", ["MSE", "L1Loss", "HuberLoss", "BCEWithLogitsLoss"])
def test_a_loss_is_pytorchs_of_its_name(name: str, reduction: str) -> None:
    y, t = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    options = {"reduction": reduction, **({"delta": 0.5} if name == "HuberLoss" else {})}
    criterion = getattr(compat, name)(**options)
    value, (gy,) = with_gradient(getattr(nn, name.replace("MSE", "MSELoss"))(**options), y, t)
    assert same_bits(criterion(y, t), value)
    assert same_bits(criterion.backward(), gy)


@pytest.mark.parametrize("options", [{}, {"reduction": "sum", "label_smoothing": 0.1}], ids=str)
@pytest.mark.parametrize("shape", [(3,), (5, 3), (5, 3, 3), (2, 3, 4, 5)])
def test_a_cross_entropy_has_its_classes_where_pytorchs_has(
    shape: tuple[int, ...], options: dict[str, Any]
) -> None:
    g = torch.Generator().manual_seed(0)
    y = torch.randn(shape, generator=g, dtype=torch.float64)
    t = torch.randint(3, (*shape[:1], *shape[2:]) if len(shape) > 1 else (), generator=g)
    if t.dim():
        t.view(-1)[0] = -100
    criterion = compat.CrossEntropyLoss(**options)
    value, (gy,) = with_gradient(nn.CrossEntropyLoss(**options), y, t)
    # PyTorch's exp is another one: float64's default tolerance.
    torch.testing.assert_close(criterion(y, t), value)
    torch.testing.assert_close(criterion.backward(), gy)


def with_gradient(module: nn.Module, y: Tensor, t: Tensor) -> tuple[Tensor, tuple[Tensor]]:
    value, pullback = autograd(lambda y: module(y, t), y)
    return value, pullback()


def test_any_loss_is_a_module() -> None:
    def vjp(y: Tensor, t: Tensor) -> tuple[Tensor, fdl.LossPullback]:
        return (y * t).sum(), lambda: t

    criterion, y = compat.LossModule(fdl.Loss(lambda y, t: vjp(y, t)[0], vjp)), torch.ones(2)
    assert criterion(y, 2 * y).item() == 4
    assert criterion.backward().tolist() == [2, 2]


def test_backward_belongs_to_the_last_forward() -> None:
    module = ReLU()
    module(torch.tensor([1.0]))
    module(torch.tensor([-1.0]))
    assert module.backward(torch.tensor([5.0])).tolist() == [0.0]


def test_an_empty_sequential_passes_on_what_it_gets() -> None:
    x, model = torch.ones(2), Sequential()
    assert model(x) is x
    assert model.backward(x) is x


def test_backward_gives_the_same_bits_in_and_out_of_inference_mode() -> None:
    x, gy, results = torch.randn(7, 3), torch.randn(7, 2), []
    for how in ("one by one", "out of it", "in it"):
        torch.manual_seed(0)
        model = Sequential(Linear(3, 5), ReLU(), Linear(5, 5), Tanh(), Linear(5, 2))
        with torch.inference_mode(how == "in it"):
            if how == "one by one":  # with no sequential that enters it
                y, gx = x, gy
                for module in model:
                    y = module(y)
                for module in reversed([*model]):
                    gx = module.backward(gx)
                assert not gx.is_inference()
            else:
                y, gx = model(x), model.backward(gy)
        results.append([y, gx, *model.grads()])
    for tensors in results[1:]:
        assert all(map(same_bits, tensors, results[0]))


def test_gradients_are_ordinary_tensors_that_can_be_changed_in_place() -> None:
    model = Sequential(Linear(3, 5), ReLU(), Sequential(Linear(5, 2)))
    optimizer = SGD(model.parameters(), model.grads(), 0.1)
    for _ in range(2):
        model(torch.ones(4, 3))
        model.backward(torch.ones(4, 2))
        assert not any(t.is_inference() for t in (*model.grads(), *model.parameters()))
        before = [g.clone() for g in model.grads()]
        for g in model.grads():
            g.mul_(2)
        assert all(torch.equal(g, 2 * b) for g, b in zip(model.grads(), before, strict=True))
        optimizer.step()
        model.zero_grad()
        assert not any(g.any() for g in model.grads())
        with torch.inference_mode():
            optimizer.step()
            optimizer.zero_grad()


class Scale(Module):
    """A user's module: y = x · factor."""

    def __init__(self) -> None:
        self.factor, self.grad = torch.tensor([2.0]), torch.tensor([0.0])

    def forward(self, x: Tensor) -> Tensor:
        self.x = x
        return x * self.factor

    def backward(self, gy: Tensor) -> Tensor:
        self.grad += (gy * self.x).sum()
        return gy * self.factor

    def parameters(self) -> list[Tensor]:
        return [self.factor]

    def grads(self) -> list[Tensor]:
        return [self.grad]


def test_a_users_module_works_within_sequential_nested_too() -> None:
    scale = Scale()
    model = Sequential(ReLU(), Sequential(scale))
    assert model(torch.tensor([-1.0, 3.0])).tolist() == [0.0, 6.0]
    assert model.backward(torch.tensor([1.0, 1.0])).tolist() == [0.0, 2.0]
    assert model.parameters() == [scale.factor]
    SGD(model.parameters(), model.grads(), 0.5).step()
    assert scale.factor.item() == 0.5
    model.zero_grad()
    assert scale.grad.item() == 0


def test_a_module_without_forward_or_backward_says_so() -> None:
    class Nothing(Module):
        pass

    with pytest.raises(NotImplementedError, match=r"Nothing defines no forward"):
        Nothing()(1)
    with pytest.raises(NotImplementedError, match=r"Nothing defines no backward"):
        Nothing().backward(1)


def test_the_gradient_of_the_input_is_an_ordinary_tensor() -> None:
    model = Sequential(Linear(3, 3), Sequential(ReLU(), Linear(3, 2)))
    model(torch.randn(4, 3))
    gx = model.backward(torch.randn(4, 2))
    assert not gx.is_inference()
    gx.mul_(2)


def test_a_module_of_ones_own_may_go_back_by_autograd() -> None:
    class Sine(Module):
        def forward(self, x: Tensor) -> Tensor:
            self.x = x
            return x.sin()

        def backward(self, gy: Tensor) -> Tensor:
            with torch.enable_grad():
                x = self.x.detach().requires_grad_()
                return torch.autograd.grad(x.sin(), x, gy)[0]

    x = torch.randn(4, 3)
    model = Sequential(Sequential(Sine()), ReLU())
    model(x)
    gx = model.backward(torch.ones(4, 3))
    assert torch.equal(gx, x.cos() * (x.sin() > 0))


def test_what_is_all_our_own_goes_back_in_inference_mode() -> None:
    products = []

    class Watch(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if func.__name__ == "mm":
                products.append(torch.is_inference_mode_enabled())
            return func(*args, **(kwargs or {}))

    model = Sequential(Linear(3, 3), Sequential(Linear(3, 2)))
    model(torch.randn(4, 3))
    with Watch():
        model.backward(torch.randn(4, 2))
    assert products == [True] * 4


MODULES = {
    "Linear": lambda: Linear(2, 2),
    "Tanh": Tanh,
    "Sequential": lambda: Sequential(Linear(2, 2)),
    "empty Sequential": Sequential,
    "with a module of one's own": lambda: Sequential(Scale(), ReLU()),
}


@pytest.mark.parametrize("make", MODULES.values(), ids=MODULES)
def test_a_backward_uses_its_forward_up(make: Callable[[], Module]) -> None:
    model, x = make(), torch.ones(1, 2)
    with pytest.raises(RuntimeError, match=r"^\w+\.backward: expected a forward before it"):
        model.backward(x)
    for _ in range(2):
        model(x)
        model.backward(x)
        grads = [g.clone() for g in model.grads()]
        with pytest.raises(RuntimeError, match=r"backward: expected a forward before it that no"):
            model.backward(x)
        assert all(map(torch.equal, model.grads(), grads))


def test_a_loss_goes_back_once() -> None:
    criterion, x = MSE(), torch.ones(1, 2)
    criterion(x, x)
    criterion.backward()
    with pytest.raises(RuntimeError, match=r"^MSE\.backward: expected a forward before it that no"):
        criterion.backward()


@pytest.mark.refuses
def test_a_refused_cotangent_uses_nothing_up() -> None:
    for model in (Linear(2, 2), Sequential(Linear(2, 2), ReLU()), Sequential(Scale(), Tanh())):
        x = torch.ones(1, 2)
        model(x)
        for wrong in (torch.ones(2), x.double(), None):
            with pytest.raises((ValueError, TypeError), match="expected the cotangent to be a"):
                model.backward(wrong)
        model.backward(x)


@pytest.mark.parametrize("zero", ["model", "optimizer"])
def test_zero_grad_clears_nan_and_infinity(zero: str) -> None:
    model = Sequential(Linear(2, 2))
    optimizer = SGD(model.parameters(), model.grads(), 0.1)
    model(torch.tensor([[torch.nan, 1.0]]))
    model.backward(torch.tensor([[torch.inf, 1.0]]))
    assert not all(g.isfinite().all() for g in model.grads())
    {"model": model, "optimizer": optimizer}[zero].zero_grad()
    assert all(same_bits(g, torch.zeros_like(g)) for g in model.grads())


def test_a_model_made_in_inference_mode_trains_there_and_says_so_elsewhere() -> None:
    x = torch.ones(1, 2)
    with torch.inference_mode():
        model = Sequential(Scale(), Linear(2, 2))
        optimizer = SGD(model.parameters(), model.grads(), 0.1)
        model(x)
        model.backward(x)
        optimizer.step()
        state = {k: p.clone() for k, p in model.state_dict().items()}
        before = [t.clone() for t in (*model.parameters(), *model.grads())]
    model[1](x)
    for name, call in (
        ("Linear.backward", lambda: model[1].backward(x)),
        ("SGD.step", optimizer.step),
        ("SGD.zero_grad", optimizer.zero_grad),
        ("Sequential.zero_grad", model.zero_grad),
        (
            "Sequential.load_state_dict",
            lambda: model.load_state_dict({k: p + 1 for k, p in state.items()}),
        ),
    ):
        said = f"^{name}: expected to be called under torch.inference_mode, in which the tensors"
        with pytest.raises(RuntimeError, match=said):
            call()
    assert all(map(torch.equal, (*model.parameters(), *model.grads()), before))
    with torch.inference_mode():
        model.load_state_dict({k: p + 1 for k, p in state.items()})
        model.zero_grad()
    assert not any(g.any() for g in model.grads())


@pytest.mark.parametrize("name", ["LeakyReLU", "GELU", "Dropout"])
def test_a_layer_has_pytorchs_defaults(name: str) -> None:
    ours, theirs = getattr(compat, name)(), getattr(nn, name)()
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("name", ["L1Loss", "HuberLoss", "BCEWithLogitsLoss", "CrossEntropyLoss"])
def test_a_loss_has_pytorchs_defaults(name: str) -> None:
    y, t = 3 * torch.randn(5, 4), torch.rand(5, 4)
    if name == "CrossEntropyLoss":
        t = torch.tensor([0, 1, 2, 3, 0])
    theirs = getattr(nn, name)()(y, t)
    torch.testing.assert_close(getattr(compat, name)()(y, t), theirs)  # others are far off
