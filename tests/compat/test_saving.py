"""Saving, loading, copying and printing."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import functional_dl as fdl
from cases import same_bits
from functional_dl import compat
from functional_dl.compat import MSE, LayerModule, Linear, Module, ReLU, Sequential, Sigmoid, Tanh


class Residual(Module):
    """A user's module with a module and a parameter in it."""

    def __init__(self, inner: Module) -> None:
        self.inner, self.factor = inner, torch.tensor([2.0])
        self.grad = torch.zeros(1)

    def forward(self, x: Tensor) -> Tensor:
        self.y = self.inner(x)
        return x + self.factor * self.y

    def backward(self, gy: Tensor) -> Tensor:
        self.grad += (gy * self.y).sum()
        return gy + self.inner.backward(gy * self.factor)

    def parameters(self) -> list[Tensor]:
        return [self.factor, *self.inner.parameters()]

    def grads(self) -> list[Tensor]:
        return [self.grad, *self.inner.grads()]


class TheirResidual(nn.Module):
    """The same as PyTorch's."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.factor = inner, nn.Parameter(torch.tensor([2.0]))


def ours() -> Sequential:
    shared = Linear(2, 2)
    return Sequential(
        Linear(2, 2, bias=False),
        Sequential(Tanh(), shared),
        shared,
        Residual(Sequential(Sigmoid(), Linear(2, 2))),
        ReLU(),
        Sequential(),
    )


def theirs() -> nn.Sequential:
    shared = nn.Linear(2, 2)
    return nn.Sequential(
        nn.Linear(2, 2, bias=False),
        nn.Sequential(nn.Tanh(), shared),
        shared,
        TheirResidual(nn.Sequential(nn.Sigmoid(), nn.Linear(2, 2))),
        nn.ReLU(),
        nn.Sequential(),
    )


def test_state_dicts_have_pytorchs_keys_and_go_both_ways() -> None:
    model, their_model = ours(), theirs()
    before = [*map(id, model.parameters())]
    state = their_model.state_dict()
    assert [*model.state_dict()] == [*state]
    assert len(model.parameters()) == len([*their_model.parameters()])
    model.load_state_dict(state)
    assert all(same_bits(p, state[k]) for k, p in model.state_dict().items())
    assert [*map(id, model.parameters())] == before
    changed = {k: p + 1 for k, p in state.items()}
    model.load_state_dict(changed)
    their_model.load_state_dict(model.state_dict())
    assert all(same_bits(p, changed[k]) for k, p in their_model.state_dict().items())


def test_a_state_dict_lies_in_the_memory_of_the_parameters() -> None:
    for model in (Linear(2, 2), ours(), LayerModule(fdl.linear(2, 2)), Residual(Linear(2, 2))):
        for p in model.state_dict().values():
            p.fill_(7)
        assert all(p.eq(7).all() for p in model.parameters())


def test_it_loads_other_dtypes_nan_and_what_lies_in_its_own_memory() -> None:
    model = Sequential(Linear(2, 2), Linear(2, 2))
    state = {k: torch.full_like(p, torch.nan).double() for k, p in model.state_dict().items()}
    model.load_state_dict(state)
    assert all(p.isnan().all() and p.dtype == torch.float32 for p in model.parameters())
    model = Sequential(Linear(2, 2), Linear(2, 2))
    own = model.state_dict()
    swapped = {k: own[f"{1 - int(k[0])}{k[1:]}"] for k in own}
    expected = {k: p.clone() for k, p in swapped.items()}
    model.load_state_dict(swapped)
    assert all(same_bits(p, expected[k]) for k, p in model.state_dict().items())
    shared = Linear(2, 2)
    model = Sequential(shared, shared)
    model.load_state_dict({k: torch.full_like(p, torch.nan) for k, p in model.state_dict().items()})
    model.load_state_dict({k: torch.zeros_like(p) for k, p in model.state_dict().items()})
    model.load_state_dict(model.state_dict() | {"1.bias": torch.zeros(2).double()})


def test_all_faults_of_a_state_dict_are_in_one_error_and_nothing_changes() -> None:
    shared = Linear(2, 3)
    model = Sequential(shared, Linear(3, 2), shared, Linear(2, 2))
    before = [p.clone() for p in model.parameters()]
    state = {k: p + 1 for k, p in model.state_dict().items()}
    del state["1.bias"]
    state |= {"1.weight": torch.ones(2, 2), "3.bias": torch.ones(2).long(), "4.bias": torch.ones(2)}
    state["0.bias"].fill_(1e-3)
    state["2.bias"] = state["0.bias"].nextafter(torch.ones(3))
    state["2.weight"] = torch.full_like(state["2.weight"], torch.nan)
    with pytest.raises(ValueError, match=r"^Sequential\.load_state_dict: expected ") as caught:
        model.load_state_dict(state)
    assert str(caught.value).split("expected what fits, got ")[1].split("; ") == [
        "missing '1.bias' of shape (2,)",
        "'1.weight' of shape (2, 2), not (2, 3)",
        "'3.bias' is no floating tensor",
        "surplus '4.bias'",
        "'2.weight' unlike '0.weight', which is the same parameter",
        "'2.bias' unlike '0.bias', which is the same parameter",
    ]
    assert all(map(torch.equal, model.parameters(), before))


class Blocks(Module):
    """A user's module whose parameters no attribute holds."""

    def __init__(self) -> None:
        self.blocks = [Linear(2, 2), Linear(2, 2)]

    def parameters(self) -> list[Tensor]:
        return [p for block in self.blocks for p in block.parameters()]


class Named(Blocks):
    """One that gives them names."""

    def state_dict(self) -> dict[str, Tensor]:
        return {f"blocks.{i}": p for i, p in enumerate(self.parameters())}


class Copying(Blocks):
    """One that gives copies of them, to which nothing can be loaded."""

    def state_dict(self) -> dict[str, Tensor]:
        return {f"blocks.{i}": p.clone() for i, p in enumerate(self.parameters())}


def test_no_parameter_is_left_out_in_silence() -> None:
    for model in (Blocks(), Sequential(Blocks())):
        with pytest.raises(ValueError, match=r"^Blocks\.state_dict: expected each parameter"):
            model.state_dict()
    state = {f"0.blocks.{i}": torch.ones(p.shape) for i, p in enumerate(Blocks().parameters())}
    model = Sequential(Named())
    model.load_state_dict(state)
    assert all(p.eq(1).all() for p in model.parameters())
    with pytest.raises(ValueError, match=r"^Sequential\.state_dict: expected each parameter"):
        Sequential(Copying()).load_state_dict(state)


def by_pickle(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))


@pytest.mark.parametrize("again", [copy.deepcopy, by_pickle])
def test_a_copy_between_forward_and_backward_has_weights_of_its_own(
    again: Callable[[Any], Any],
) -> None:
    torch.manual_seed(0)
    x = torch.randn(30, 2)
    for model in (ours(), Linear(2, 2), LayerModule(fdl.sequential(fdl.linear(2, 2))), ours()[:3]):
        y = model(x)
        twin = again(model)
        before = [t.clone() for t in (*model.parameters(), *model.grads())]
        with pytest.raises(RuntimeError, match="expected a forward before it"):
            twin.backward(y)  # which would go back through the original's weights
        assert repr(twin) == repr(model)
        for p in twin.parameters():
            p.mul_(2)
        twins_y = twin(x)
        twin.backward(y)
        assert any(g.any() for g in twin.grads())
        assert all(map(torch.equal, (*model.parameters(), *model.grads()), before))
        model.load_state_dict(twin.state_dict())
        assert same_bits(model(x), twins_y)
        assert len(twin.parameters()) == len(model.parameters())  # what was shared still is
        model.backward(y)
    criterion = MSE()
    criterion(x, x)
    with pytest.raises(RuntimeError, match="expected a forward before it"):
        again(criterion).backward()
    criterion.backward()
    with pytest.raises(ValueError, match=r"^HuberLoss: expected the target"):
        again(compat.HuberLoss(delta=2.0))(x, x[0])


def test_printed_as_pytorchs() -> None:
    plain = ours()[:3]
    assert repr(plain) == repr(theirs()[:3])
    assert (
        repr(ours()[3:])
        == """\
Sequential(
  (0): Residual(
    (inner): Sequential(
      (0): Sigmoid()
      (1): Linear(in_features=2, out_features=2, bias=True)
    )
  )
  (1): ReLU()
  (2): Sequential()
)"""
    )
    layer = fdl.sequential(fdl.linear(2, 3), fdl.relu())
    assert repr(LayerModule(layer)) == f"LayerModule({layer!r})"
    assert repr(MSE()) == "MSE()"
    assert repr(compat.CrossEntropyLoss()) == repr(nn.CrossEntropyLoss())
    assert repr(compat.LossModule(fdl.huber(2.0))) == "LossModule(huber(2.0))"


@pytest.mark.parametrize(
    "make",
    [
        lambda m: m.Conv2d(1, 4, 3),
        lambda m: m.Conv2d(2, 3, 5, 2, 1, bias=False),
        lambda m: m.Dropout(0.25),
        lambda m: m.Flatten(),
        lambda m: m.GELU("tanh"),
        lambda m: m.LeakyReLU(0.2),
        lambda m: m.Linear(3, 2, bias=False),
        lambda m: m.MaxPool2d(2),
        lambda m: m.SiLU(),
        lambda m: m.Tanh(),
    ],
)
def test_each_layer_is_printed_as_pytorchs(make: Callable[[Any], Any]) -> None:
    assert repr(make(compat)) == repr(make(nn))


def test_a_sequential_has_a_length_indices_and_an_order() -> None:
    modules = [Linear(2, 2), Tanh(), Linear(2, 2)]
    model = Sequential(*modules)
    assert len(model) == 3
    assert [*model] == modules
    assert [model[i] for i in (0, 1, -1)] == modules
    part = model[1:]
    assert isinstance(part, Sequential)
    assert [*part] == modules[1:]
    assert [*map(id, part.parameters())] == [*map(id, modules[2].parameters())]
    assert tuple(Sequential()) == ()
    with pytest.raises(IndexError):
        model[3]


def test_a_linear_has_weight_and_bias() -> None:
    linear = Linear(3, 2)
    assert [linear.weight, linear.bias] == linear.parameters()
    assert linear.weight is linear.parameters()[0]
    assert linear.bias is linear.parameters()[1]
    assert Linear(3, 2, bias=False).bias is None
    with pytest.raises(AttributeError):
        linear.weight = torch.ones(2, 3)  # type: ignore[misc]
