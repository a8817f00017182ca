"""A layer and a loss are pickled and printed as the call that made them."""

import io
import multiprocessing
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import pytest
import torch
from joblib.externals.loky import get_reusable_executor
from torch import Tensor

import functional_dl as fdl
from cases import LAYERS, LOSSES, same_trees, small

CASES = LAYERS | LOSSES


@fdl.layer
def residual(inner: fdl.Layer, *, factor: float = 1.0) -> fdl.Maths:
    """A user's composite: Y = X + factor · inner(X)."""

    def vjp(params: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
        y, pullback_of_inner = inner.vjp(params["inner"], x)

        def pullback(gy: Tensor, *, wrt_input: bool = True) -> Any:
            grads, gx = pullback_of_inner(gy * factor)
            return {"inner": grads}, gy + gx if wrt_input else None

        return x + factor * y, pullback

    return fdl.Maths(vjp, layers={"inner": inner})


@fdl.loss
def sum_of_errors(power: int) -> fdl.LossVjp:
    """A user's loss."""

    def vjp(y: Tensor, t: Tensor) -> tuple[Tensor, fdl.LossPullback]:
        return (y - t).pow(power).sum(), lambda: power * (y - t).pow(power - 1)

    return vjp


MODEL = fdl.sequential(
    fdl.linear(2, 4), residual(fdl.sequential(fdl.linear(4, 4), fdl.tanh()), factor=0.5), fdl.relu()
)


def again(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))


def trained(model: fdl.Layer, loss: fdl.Loss) -> fdl.Params:
    """What comes of some steps from a seed."""
    generator = torch.Generator().manual_seed(0)
    params = model.init(generator)
    x, t = torch.rand(5, 2, generator=generator), torch.rand(5, 4, generator=generator)
    loss_and_grads = fdl.value_and_grad(model, loss)
    for _ in range(10):
        _, grads = loss_and_grads(params, x, t)
        params = fdl.sgd(params, grads, 0.1)
    return params


@pytest.mark.parametrize("name", CASES)
def test_every_layer_and_loss_is_the_same_again(name: str) -> None:
    f, _, *primals = CASES[name].drawn(small(0))
    twin = again(f)
    assert repr(twin) == repr(f)
    assert same_trees(twin.apply(*primals), f.apply(*primals))
    (y, pullback), (twins_y, twins_pullback) = f.vjp(*primals), twin.vjp(*primals)
    cotangents = [y] if name in LAYERS else []
    assert same_trees([twins_y, twins_pullback(*cotangents)], [y, pullback(*cotangents)])


@pytest.mark.parametrize("loss", [fdl.mse(), sum_of_errors(2)], ids=repr)
def test_a_model_trains_to_the_same_bits(loss: fdl.Loss) -> None:
    assert same_trees(trained(again(MODEL), again(loss)), trained(MODEL, loss))


def test_its_functions_pickle_one_by_one() -> None:
    x = torch.rand(5, 2)
    params = again(MODEL.init)(torch.Generator().manual_seed(0))
    assert same_trees(params, MODEL.init(torch.Generator().manual_seed(0)))
    y = MODEL.apply(params, x)
    assert same_trees(again(MODEL.apply)(params, x), y)
    assert same_trees(again(MODEL.vjp)(params, x)[1](y), MODEL.vjp(params, x)[1](y))
    assert same_trees(again(fdl.mse().apply)(y, -y), fdl.mse().apply(y, -y))
    assert same_trees(again(fdl.mse().vjp)(y, -y)[1](), fdl.mse().vjp(y, -y)[1]())


def by_torch(thing: Any, folder: Path) -> Any:
    file = io.BytesIO()
    torch.save(thing, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def by_joblib(thing: Any, folder: Path) -> Any:
    joblib.dump(thing, folder / "model")
    return joblib.load(folder / "model")


@pytest.mark.parametrize("saved", [by_torch, by_joblib])
def test_a_file_holds_a_model_and_its_params(
    saved: Callable[[Any, Path], Any], tmp_path: Path
) -> None:
    model, params = saved((MODEL, MODEL.init()), tmp_path)
    assert repr(model) == repr(MODEL)
    assert same_trees(trained(model, fdl.mse()), trained(MODEL, fdl.mse()))
    model.apply(params, torch.rand(5, 2))


@pytest.mark.slow
def test_a_process_that_is_spawned_takes_a_model() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        ours = pool.apply(trained, (MODEL, fdl.mse()))
    assert same_trees(ours, trained(MODEL, fdl.mse()))


@pytest.mark.slow
def test_joblibs_workers_take_a_model() -> None:
    with get_reusable_executor(max_workers=1) as executor:
        ours = executor.submit(trained, MODEL, fdl.mse()).result()
    assert same_trees(ours, trained(MODEL, fdl.mse()))


def test_a_model_is_printed_as_its_network() -> None:
    assert str(MODEL) == repr(MODEL)
    assert (
        repr(MODEL)
        == """\
sequential(
  0: linear(2, 4)
  1: residual(factor=0.5
    inner: sequential(
      0: linear(4, 4)
      1: tanh()
    )
  )
  2: relu()
)"""
    )
    assert repr(fdl.linear(2, 3, bias=False)) == "linear(2, 3, bias=False)"
    assert repr(fdl.sequential()) == "sequential()"
    assert [repr(loss) for loss in (fdl.mse(), sum_of_errors(2))] == ["mse()", "sum_of_errors(2)"]


def test_what_somebody_made_of_functions_is_printed_by_its_name() -> None:
    def doubled() -> fdl.Layer:
        def vjp(params: fdl.Params, x: Tensor) -> None: ...

        return fdl.Layer(lambda *_, **__: {}, lambda _, x: 2 * x, vjp)

    assert repr(fdl.sequential(doubled())) == "sequential(\n  0: doubled()\n)"
    assert doubled().layers == {}


@pytest.mark.parametrize("name", LAYERS)
def test_no_address_is_printed(name: str) -> None:
    for seed in range(5):
        layer, *_ = LAYERS[name].drawn(small(seed))
        kind = "sequential" if name == "self_attention" else name
        assert repr(layer).startswith(f"{kind}(")
        assert " at 0x" not in repr(layer)
