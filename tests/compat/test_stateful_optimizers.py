"""Optimizers on lists, in place, as PyTorch's; and resumed."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import functional_dl as fdl
from cases import same_bits
from functional_dl import compat

OPTIONS: dict[str, list[dict[str, Any]]] = {
    "SGD": [
        {"weight_decay": 0.1},
        {"momentum": 0.9, "nesterov": True},
        {"momentum": 0.9, "dampening": 0.5},
    ],
    "Adam": [{}, {"betas": (0.8, 0.9), "eps": 1e-6, "weight_decay": 0.1}],
    "AdamW": [{}, {"betas": (0.8, 0.9), "eps": 1e-6, "weight_decay": 0.1}],
    "RMSprop": [{}, {"momentum": 0.9, "centered": True, "alpha": 0.9, "weight_decay": 0.1}],
    "Adagrad": [{}, {"lr_decay": 0.1, "initial_accumulator_value": 0.1, "weight_decay": 0.1}],
}
CASES = [(name, options) for name, each in OPTIONS.items() for options in each]


def some() -> list[Tensor]:
    return [torch.randn(3, 2), torch.randn(2)]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_equals_pytorchs_in_every_bit_and_is_resumed_so(name: str, options: dict[str, Any]) -> None:
    params, grads = some(), some()
    leaves = [p.clone().requires_grad_() for p in params]
    lr = {} if name != "SGD" else {"lr": 0.1}
    ours = getattr(compat, name)(params, grads, **lr, **options)
    theirs = getattr(torch.optim, name)(leaves, **lr, **options)

    def step() -> None:
        for leaf, g, new in zip(leaves, grads, some(), strict=True):
            g.copy_(new)
            leaf.grad = g.clone()
        ours.step()
        theirs.step()
        assert all(map(same_bits, params, map(Tensor.detach, leaves)))

    step()
    step()
    ours.lr = theirs.param_groups[0]["lr"] = 0.05
    step()
    kept = {k: t.clone() for k, t in ours.state_dict().items()}
    ours = getattr(compat, name)(params, grads, lr=0.5, **options)
    ours.load_state_dict(kept)
    assert ours.lr == 0.05
    step()
    ours.zero_grad()
    assert not any(g.any() for g in grads)


def test_what_is_loaded_has_memory_the_dtypes_and_a_rate_of_its_own() -> None:
    for lr, given in ((0.1, 0.5), (torch.tensor(0.1), torch.tensor(0.5))):
        first, second = (compat.Adam(some(), some(), lr=rate) for rate in (lr, given))
        first.step()
        kept = {k: t.float() if t.dim() else t for k, t in first.state_dict().items()}
        before = {k: t.clone() for k, t in kept.items()}
        second.load_state_dict(kept)
        second.step()
        kept["lr"].zero_()
        assert all(same_bits(kept[k], before[k]) for k in kept.keys() - {"lr"})
        assert type(second.lr) is type(lr)
        assert float(second.lr) == float(lr)
        dtypes = [{k: t.dtype for k, t in o.state_dict().items()} for o in (first, second)]
        assert dtypes[0] == dtypes[1]
        doubled = {k: t.double() for k, t in before.items()}
        second.load_state_dict(doubled)
        assert {k: t.dtype for k, t in second.state_dict().items()} == dtypes[0]
        again = {k: t.clone() for k, t in before.items()}
        second.load_state_dict(again)
        for t in again.values():
            t.zero_()
        assert all(same_bits(t, before[k]) for k, t in second.state_dict().items() if t.dim())


def test_a_state_dict_has_the_names_of_the_core_and_of_parameters_numbers() -> None:
    optimizer = compat.Adam(some(), some(), lr=0.25)
    state = optimizer.state_dict()
    names = ["lr", "step", "exp_avg.0", "exp_avg.1", "exp_avg_sq.0", "exp_avg_sq.1"]
    assert [*state] == names
    assert state["lr"].item() == 0.25


def test_any_optimizer_of_the_core_is_taken() -> None:
    params, grads = some(), some()
    start = {str(i): p.clone() for i, p in enumerate(params)}
    flat = fdl.flat(fdl.adam())
    compat.Optimizer(params, grads, 0.1, flat).step()
    new, _ = flat.update(start, dict(zip("01", grads, strict=True)), flat.init(start), 0.1)
    assert all(map(same_bits, params, new.values()))


def test_complex_parameters_are_taken_where_nothing_is_remembered() -> None:
    p, g = torch.tensor([1 + 2j]), torch.tensor([2 - 2j])
    compat.SGD([p], [g], lr=0.5).step()
    assert torch.equal(p, torch.tensor([0 + 3j]))


def test_a_parameter_that_comes_twice_is_changed_once() -> None:
    p, g = torch.ones(2), torch.ones(2)
    compat.Adam([p, p], [g, g], lr=0.5).step()
    assert torch.allclose(p, torch.full((2,), 0.5))


@pytest.mark.refuses
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: compat.Adam([], []), ValueError, "Adam: expected at least one parameter, got"),
        (
            lambda: compat.AdamW(some(), some(), lr=-1),
            ValueError,
            "AdamW: expected lr to be finite",
        ),
        (
            lambda: compat.Adam(some(), some(), betas=(1, 0.5)),
            ValueError,
            "adam: expected beta1 in",
        ),
        (
            lambda: compat.Adam(some(), some()).load_state_dict({"lr": torch.ones(())}),
            ValueError,
            "Adam.load_state_dict: expected what fits, got missing 'step' of shape (); missing",
        ),
        (
            lambda: compat.Adam(some(), some()).load_state_dict(
                compat.RMSprop(some(), some()).state_dict()
            ),
            ValueError,
            "Adam.load_state_dict: expected what fits, got missing 'step'",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    call: Callable[[], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value).startswith(message)


@pytest.mark.refuses
def test_a_state_dict_that_does_not_fit_changes_nothing() -> None:
    params = some()
    optimizer = compat.Adam(params, some(), lr=0.1)
    optimizer.step()
    before = {k: t.clone() for k, t in optimizer.state_dict().items()}
    with pytest.raises(ValueError, match=r"'exp_avg\.0' of shape"):
        optimizer.load_state_dict(before | {"exp_avg.0": torch.ones(1), "lr": torch.ones(())})
    after = optimizer.state_dict()
    assert all(same_bits(t, before[k]) for k, t in after.items())


def test_parameters_of_inference_mode_are_changed_there_alone() -> None:
    with torch.inference_mode():
        params, grads = some(), some()
        optimizer = compat.Adam(params, grads)
        optimizer.step()
    with pytest.raises(RuntimeError, match=r"^Adam.step: expected to be called under torch.infer"):
        optimizer.step()
    with pytest.raises(RuntimeError, match=r"^Adam.zero_grad: expected to be called under torch"):
        optimizer.zero_grad()


def test_pytorchs_own_optimizers_train_on_our_gradients_to_the_bit() -> None:
    model = fdl.sequential(fdl.linear(3, 4), fdl.relu(), fdl.linear(4, 2))
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    x, t = torch.randn(7, 3), torch.randn(7, 2)

    # The recipe, as it stands in the README
    params = fdl.tree_map(torch.clone, fdl.from_state_dict(model, theirs.state_dict()))
    leaves, loss_and_grads = fdl.tree_leaves(params), fdl.value_and_grad(model, fdl.mse())
    optimizer = torch.optim.AdamW(leaves, lr=0.1)
    for _ in range(5):
        _, grads = loss_and_grads(params, x, t)
        for leaf, g in zip(leaves, fdl.tree_leaves(grads), strict=True):
            leaf.grad = g
        optimizer.step()  # in place: params are new

    reference = torch.optim.AdamW(theirs.parameters(), lr=0.1)
    for _ in range(5):
        reference.zero_grad()
        torch.nn.MSELoss()(theirs(x), t).backward()
        reference.step()
    assert all(map(same_bits, leaves, map(Tensor.detach, theirs.parameters())))
