"""Parameters go to PyTorch's modules and come back, to the last bit."""

from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import functional_dl as fdl
from cases import LAYERS, Draw, same_bits, same_trees


@pytest.mark.parametrize("name", LAYERS)
@given(rng=st.randoms(use_true_random=False))
def test_predictions_are_equal_both_ways(name: str, rng: Random) -> None:
    layer, equal = LAYERS[name], same_bits
    is_finite = layer.finite or name == "gelu"  # with AVX-512, PyTorch's of infinity is NaN
    model, module, params, x = layer.drawn(Draw(rng, torch.float32, finite=is_finite))
    if "y" in layer.unequal:  # one of the two may have no digits of what is nearly zero
        equal = partial(torch.allclose, atol=1e-6, equal_nan=True)
    back = fdl.from_state_dict(model, module.state_dict())
    assert equal(model.apply(back, x), module(x).detach())

    flat = fdl.to_state_dict(params)
    assert [*flat] == [*module.state_dict()]
    module.load_state_dict(flat)
    back = fdl.from_state_dict(model, module.state_dict())
    assert same_trees(back, params)
    assert equal(model.apply(back, x), module(x).detach())


def test_more_than_ten_layers_keep_their_order() -> None:
    model = fdl.sequential(*(fdl.linear(1, 1) for _ in range(12)))
    params = model.init()
    assert [*params] == [str(i) for i in range(12)]
    back = fdl.from_state_dict(model, dict(reversed(fdl.to_state_dict(params).items())))
    assert [*back] == [*params]


def test_what_is_loaded_and_saved_is_detached_and_shares_memory() -> None:
    module = nn.Linear(2, 3)
    params = fdl.from_state_dict(fdl.linear(2, 3), dict(module.named_parameters()))
    assert not params["weight"].requires_grad
    assert params["weight"].data_ptr() == module.weight.data_ptr()
    flat = fdl.to_state_dict({"weight": module.weight})
    assert not flat["weight"].requires_grad
    assert flat["weight"].data_ptr() == module.weight.data_ptr()


def test_many_networks_that_torch_func_has_stacked_are_loaded_as_they_are() -> None:
    def made() -> nn.Module:
        return nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 3, bias=False))

    model = fdl.sequential(fdl.linear(2, 3), fdl.tanh(), fdl.linear(3, 3, bias=False))
    for n in (1, 2, 3):
        modules = [made() for _ in range(n)]
        stacked, _ = torch.func.stack_module_state(modules)
        params = fdl.from_state_dict(model, stacked)
        each = [fdl.from_state_dict(model, m.state_dict()) for m in modules]
        assert same_trees(params, fdl.stack(each))
    stacked["0.bias"] = stacked["0.bias"][:2]
    message = r"got '0.weight' of shape \(3, 3, 2\), not \(3, 2\); '0.bias' of shape"
    with pytest.raises(ValueError, match=message):
        fdl.from_state_dict(model, stacked)


def test_a_checkpoint_is_loaded_in_the_structure_of_a_tree(tmp_path: Path) -> None:
    model = fdl.sequential(fdl.linear(2, 3), fdl.relu())
    params = model.init()
    tree = {
        "params": params,
        "state": {"step": torch.tensor(3.0), "mean": fdl.tree_map(torch.ones_like, params)},
        "generator": torch.Generator().manual_seed(5).get_state(),
    }
    safetensors.torch.save_file(fdl.to_state_dict(tree), tmp_path / "it")
    flat = safetensors.torch.load_file(tmp_path / "it")
    like = fdl.tree_map(torch.zeros_like, tree)
    back = fdl.from_state_dict(like, flat)
    assert torch.equal(back.pop("generator"), tree.pop("generator"))
    assert same_trees(back, tree)
    flat["generator"] = flat["generator"].long()
    del flat["state.step"]
    message = "got missing 'state.step' of shape .*; 'generator' is no torch.uint8 tensor"
    with pytest.raises(ValueError, match=message):
        fdl.from_state_dict(like, flat)


def test_loading_and_summary_draw_no_random_number() -> None:
    def users() -> fdl.Layer:
        def init(generator: Any = None, *, dtype: Any = None, device: Any = None) -> fdl.Params:
            weight = torch.empty(2, 3, dtype=dtype, device=device)
            return {"weight": weight.normal_(generator=generator), "bias": torch.rand(3)}

        def vjp(params: fdl.Params, x: torch.Tensor) -> None: ...

        return fdl.Layer(init, fdl.relu().apply, vjp)

    for layer in (fdl.linear(3, 2), users(), fdl.sequential(fdl.linear(3, 2), users())):
        params = layer.init()
        before = torch.get_rng_state()
        fdl.from_state_dict(layer, fdl.to_state_dict(params))
        fdl.summary(layer, params)
        assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_dtype_is_that_of_the_state_dict(dtype: torch.dtype) -> None:
    module = nn.Linear(2, 3, dtype=dtype)
    params = fdl.from_state_dict(fdl.linear(2, 3), module.state_dict())
    assert params["weight"].dtype == params["bias"].dtype == dtype


def test_no_memory_is_taken_to_find_out_what_fits() -> None:
    with pytest.raises(ValueError, match=r"missing 'bias' of shape \(100000000,\)"):
        fdl.from_state_dict(fdl.linear(10**8, 10**8), {})


def test_a_state_dict_that_does_not_fit_is_refused_with_all_that_is_wrong() -> None:
    model = fdl.sequential(fdl.linear(2, 3), fdl.relu(), fdl.sequential(fdl.linear(3, 1)))
    other = {
        "0.weight": torch.zeros(3, 3),
        "0.bias": torch.zeros(3, dtype=torch.int64),
        "1.weight": torch.zeros(1),
        "2.0.weight": torch.zeros(1, 3),
    }
    with pytest.raises(ValueError, match="from_state_dict: expected what fits the model") as raised:
        fdl.from_state_dict(model, other)
    assert str(raised.value).split("got ")[1].split("; ") == [
        "missing '2.0.bias' of shape (1,)",
        "'0.weight' of shape (3, 3), not (3, 2)",
        "'0.bias' is no floating tensor",
        "surplus '1.weight'",
    ]


@pytest.mark.refuses
@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"a.b": torch.zeros(1)}, ValueError, "expected keys without dots, got 'a.b'"),
        ({1: torch.zeros(1)}, TypeError, "expected keys that are strings, such as '0', got 1"),
        ({"a": {"b": 1}}, TypeError, "expected nested dicts of tensors, got 1 in them"),
    ],
)
def test_params_without_a_way_back_are_refused(
    params: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"to_state_dict: {message}"):
        fdl.to_state_dict(params)


def test_safetensors_files_go_out_and_in(tmp_path: Path) -> None:
    model = fdl.sequential(fdl.linear(2, 25), fdl.sequential(fdl.tanh(), fdl.linear(25, 2)))
    params = model.init()
    safetensors.torch.save_file(fdl.to_state_dict(params), tmp_path / "network.safetensors")
    back = fdl.from_state_dict(model, safetensors.torch.load_file(tmp_path / "network.safetensors"))
    x = torch.randn(5, 2)
    assert torch.equal(model.apply(back, x), model.apply(params, x))


# Tied weights, which a step would tear apart

SQUARE = fdl.sequential(fdl.linear(3, 3), fdl.sequential(fdl.linear(3, 3)))
SAID = r"expected tensors of their own, got one as '0\.weight' and '1\.0\.weight', of which"


def test_tied_weights_of_a_module_are_not_loaded() -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.Linear(3, 3)))
    fdl.from_state_dict(SQUARE, module.state_dict())
    module[1][0].weight = module[0].weight
    with pytest.raises(ValueError, match=f"^from_state_dict: {SAID}"):
        fdl.from_state_dict(SQUARE, module.state_dict())


def test_tied_weights_are_not_updated() -> None:
    params, x = SQUARE.init(), torch.rand(2, 3)
    params["1"]["0"]["weight"] = params["0"]["weight"]
    _, grads = fdl.value_and_grad(SQUARE, fdl.mse())(params, x, x)
    with pytest.raises(ValueError, match=f"^sgd: {SAID}"):
        fdl.sgd(params, grads, 0.1)
    with pytest.raises(ValueError, match=f"^value_and_update: {SAID}"):
        fdl.value_and_update(SQUARE, fdl.mse(), partial(fdl.sgd, lr=0.1))(params, x, x)


def test_leaves_without_elements_and_gradients_are_not_taken_for_tied() -> None:
    params = {"a": torch.ones(0), "b": torch.ones(0), "c": torch.ones(2)}
    assert [*fdl.sgd(params, params, 0.1)] == ["a", "b", "c"]
    one = torch.ones(2)
    fdl.sgd({"a": torch.ones(2), "b": torch.ones(2)}, {"a": one, "b": one}, 0.1)
    with pytest.raises(ValueError, match="got one as 'c' and 'd'"):
        fdl.sgd(params | {"d": params["c"]}, params | {"d": one}, 0.1)
