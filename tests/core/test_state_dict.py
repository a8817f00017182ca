"""Parameters go to PyTorch's modules and come back, to the last bit."""

import random
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

import functional_dl as fdl


def drawn(seed: int) -> tuple[fdl.Layer, nn.Module, int]:
    """An architecture for both, with sequentials in sequentials, and how many features it takes."""
    rng = random.Random(seed)

    def chain(features: int, depth: int) -> tuple[fdl.Layer, nn.Module, int]:
        ours, theirs = [], []
        for _ in range(rng.choice([0, 1, 2, 5, 13])):
            kind = rng.choice(["linear", "linear", "relu", "tanh", "chain"])
            if kind == "chain" and depth < 3:
                layer, module, features = chain(features, depth + 1)
            elif kind == "linear":
                out, bias = rng.choice([1, 2, 3, 17]), rng.random() < 0.8
                layer, module = fdl.linear(features, out, bias), nn.Linear(features, out, bias)
                features = out
            else:
                layer, module = (
                    (fdl.tanh(), nn.Tanh()) if kind == "tanh" else (fdl.relu(), nn.ReLU())
                )
            ours.append(layer)
            theirs.append(module)
        return fdl.sequential(*ours), nn.Sequential(*theirs), features

    features = rng.choice([1, 2, 5])
    model, module, _ = chain(features, 0)
    return model, module, features


@pytest.mark.parametrize("seed", range(100))
def test_predictions_are_equal_both_ways_on_100_architectures(seed: int) -> None:
    torch.manual_seed(seed)
    model, module, features = drawn(seed)
    x = torch.randn(7, features)
    theirs = module(x).detach()
    params = fdl.from_state_dict(model, module.state_dict())
    assert torch.equal(model.apply(params, x), theirs)

    flat = fdl.to_state_dict(params)
    assert [*flat] == [*module.state_dict()]
    for p in module.parameters():
        nn.init.zeros_(p)
    new = model.init()
    module.load_state_dict(fdl.to_state_dict(new))
    assert torch.equal(model.apply(new, x), module(x).detach())


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


def test_loading_draws_no_random_number() -> None:
    torch.manual_seed(0)
    module = nn.Linear(2, 3)
    before = torch.get_rng_state()
    fdl.from_state_dict(fdl.linear(2, 3), module.state_dict())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_dtype_is_that_of_the_state_dict(dtype: torch.dtype) -> None:
    module = nn.Linear(2, 3, dtype=dtype)
    params = fdl.from_state_dict(fdl.linear(2, 3), module.state_dict())
    assert params["weight"].dtype == params["bias"].dtype == dtype


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


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"a.b": torch.zeros(1)}, ValueError, "expected keys without dots, got 'a.b'"),
        ({"a": {"b": 1}}, TypeError, "expected a tree of tensors, got 1 in it"),
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
