"""Whatever keeps to the contract is exported, and refused if it can't be."""

import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from in_onnx_runtime import fed, session, step_of
from torch import Tensor

import functional_dl as fdl
from cases import LAYERS, LOSSES, small
from functional_dl.export import export, to_onnx

pytestmark = [pytest.mark.builds, pytest.mark.usefixtures("quick_exports")]

MODEL = fdl.sequential(fdl.linear(3, 4), fdl.relu(), fdl.linear(4, 4), fdl.tanh(), fdl.linear(4, 2))
STEP = step_of(MODEL)
PARAMS = MODEL.init(torch.Generator().manual_seed(0))
X, T = torch.rand(7, 3), torch.rand(7, 2)
EXAMPLE = PARAMS, X, T, 0.1


def exported(step: Callable[..., Any], example: tuple[Any, ...], path: Path, **how: Any) -> Any:
    """The file, ready to run."""
    to_onnx(step, example, path / "step.onnx", **how)
    return session(path / "step.onnx")


# Every layer and loss


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "sequential"])
def test_every_layer_and_its_gradient_are_exported_in_double_precision(
    name: str, tmp_path: Path
) -> None:
    d = small(2)
    layer, _, params, x = LAYERS[name].drawn(d)
    a = x.shape[-1]
    model = fdl.sequential(fdl.linear(a, a), layer)  # whose new params tell of the cotangent
    params = {**model.init(dtype=x.dtype), "1": params}
    t, step = d.tensor(*model.apply(params, x).shape), step_of(model)
    file = exported(step, (params, x[:3], t[:3], 0.1), tmp_path)
    results = file.run(None, fed(params, inputs=x, targets=t, lr=np.float64(0.1)))
    new, loss = step(params, x, t, 0.1)
    for ours, theirs in zip([*fdl.tree_leaves(new), loss], results, strict=True):
        assert np.abs(ours.numpy() - theirs).max() < 1e-14  # some units in the last place


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_and_its_gradient_are_exported_in_double_precision(
    name: str, tmp_path: Path
) -> None:
    loss, _, y, t = LOSSES[name].drawn(small(0))

    def step(params: fdl.Params, y: Tensor, t: Tensor) -> tuple[fdl.Params, Tensor]:
        value, pullback = loss.vjp(y + params["bias"], t)
        return {"bias": params["bias"] - pullback().sum(0)}, value

    params = {"bias": torch.zeros_like(y[0])}
    file = exported(step, (params, y[:3], t[:3]), tmp_path)
    new, value = step(params, y, t)
    results = file.run(None, fed(params, inputs=y, targets=t))
    for ours, theirs in zip([new["bias"], value], results, strict=True):
        assert np.abs(ours.numpy() - theirs).max() < 1e-14


# What a step may be


def test_an_example_may_hold_a_single_sample_and_inputs_more_dimensions(tmp_path: Path) -> None:
    model = fdl.linear(3, 2)
    params, x = model.init(), torch.rand(5, 4, 3)
    file = exported(model.apply, (params, x[:1]), tmp_path)
    (outputs,) = file.run(["outputs"], fed(params, inputs=x))
    torch.testing.assert_close(torch.from_numpy(outputs), model.apply(params, x))


def test_the_forward_pass_exports_by_the_same_call(tmp_path: Path) -> None:
    (outputs,) = exported(MODEL.apply, (PARAMS, X), tmp_path).run(None, fed(PARAMS, inputs=X))
    torch.testing.assert_close(torch.from_numpy(outputs), MODEL.apply(PARAMS, X))


def test_params_from_inference_mode_are_exported_too(tmp_path: Path) -> None:
    with torch.inference_mode():
        params, _ = STEP(*EXAMPLE)
    exported(STEP, (params, X, T, 0.1), tmp_path)


def test_a_prediction_may_be_of_whole_numbers(tmp_path: Path) -> None:
    (classes,) = exported(lambda _, x: x.argmax(1), ({}, X), tmp_path).run(
        None, {"inputs": X.numpy()}
    )
    assert np.array_equal(classes, X.argmax(1))


@pytest.mark.parametrize("loop", [None, "steps"])
def test_a_step_without_a_learning_rate_and_with_a_frozen_layer(loop: Any, tmp_path: Path) -> None:
    def frozen(params: fdl.Params, inputs: Tensor, targets: Tensor) -> Any:
        new, loss = STEP(params, inputs, targets, 0.5)
        return {**new, "2": params["2"]}, loss

    file = exported(frozen, (PARAMS, X, T), tmp_path, loop=loop)
    assert "lr" not in {i.name for i in file.get_inputs()}
    more = {"inputs": X[None], "targets": T[None], "steps": 1} if loop else {}
    new = file.run(None, fed(PARAMS, **({"inputs": X, "targets": T} | more)))
    assert np.array_equal(new[2], PARAMS["2"]["weight"])
    assert not np.array_equal(new[4], PARAMS["4"]["weight"])


def test_networks_side_by_side_have_a_learning_rate_each(tmp_path: Path) -> None:
    params = fdl.stack([MODEL.init() for _ in range(3)])
    steps = torch.vmap(STEP, in_dims=(0, None, None, 0))
    lr = torch.tensor([0.0, 0.1, 1.0])
    file = exported(steps, (params, X, T, lr), tmp_path)
    *theirs, losses = file.run(None, fed(params, inputs=X, targets=T, lr=lr))
    new, ours = steps(params, X, T, lr)
    torch.testing.assert_close(torch.from_numpy(losses), ours)
    for p, leaf in zip(theirs, fdl.tree_leaves(new), strict=True):
        torch.testing.assert_close(torch.from_numpy(p), leaf)


# PyTorch's own runtimes


def test_pytorch_saves_and_runs_what_is_exported(tmp_path: Path) -> None:
    torch.export.save(export(STEP, EXAMPLE), tmp_path / "step.pt2")
    loaded = torch.export.load(tmp_path / "step.pt2").module()
    new, loss = loaded(PARAMS, X[:4], T[:4], torch.tensor(0.1))
    ours, value = STEP(PARAMS, X[:4], T[:4], 0.1)
    assert torch.equal(loss, value)
    assert torch.equal(new["4"]["weight"], ours["4"]["weight"])


@pytest.mark.skipif(
    not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="no C++ compiler is installed"
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # torch's own
def test_a_step_compiled_ahead_of_time_runs_from_its_package(tmp_path: Path) -> None:
    path = str(tmp_path / "step.pt2")
    quick = {
        "aot_inductor.precompile_headers": False,
        "aot_inductor.compile_wrapper_opt_level": "O0",
    }
    torch._inductor.aoti_compile_and_package(
        export(STEP, EXAMPLE), package_path=path, inductor_configs=quick
    )
    loaded = torch._inductor.aoti_load_package(path)
    torch.testing.assert_close(loaded(PARAMS, X, T, torch.tensor(0.1)), STEP(*EXAMPLE))


# What is refused


def returned(*results: Any) -> Callable[..., Any]:
    return lambda *_: results[0] if len(results) == 1 else results


WEIGHT = torch.ones(1)


@pytest.mark.parametrize(
    ("step", "example", "error", "message"),
    [
        (returned(), ({},), ValueError, r"an example of 2 to 4 parts, got \({},\)"),
        (returned(), [{}, WEIGHT], ValueError, "an example of 2 to 4 parts"),
        (returned(), ({}, [1]), TypeError, r"inputs to be a tensor, got \[1\]"),
        (returned(), ({}, WEIGHT, None), TypeError, "targets to be a tensor, got None"),
        (returned(), ({}, WEIGHT[:0]), ValueError, r"inputs to be a batch, not empty, got \(0,\)"),
        (returned(), ({}, WEIGHT[0]), ValueError, r"inputs to be a batch, not empty, got \(\)"),
        (
            returned(),
            ({}, WEIGHT, torch.ones(2)),
            ValueError,
            r"targets .* as large as inputs, .*\(2,\)",
        ),
        (returned((1,)), ({}, WEIGHT), TypeError, r"the prediction to be a tensor, got \(1,\)"),
        (
            returned(WEIGHT),
            ({}, WEIGHT, WEIGHT),
            TypeError,
            r"step to return \(new params, loss\), got t",
        ),
        (
            returned({}, 0.5),
            ({}, WEIGHT, WEIGHT),
            TypeError,
            r"step to return \(new params, loss\)",
        ),
        (
            returned({"b": WEIGHT}, WEIGHT),
            ({"a": WEIGHT}, WEIGHT, WEIGHT),
            ValueError,
            "new params like params, {'a': .*float32.*}, got {'b': .*}",
        ),
        (
            returned({"a": WEIGHT[None]}, WEIGHT),
            ({"a": WEIGHT}, WEIGHT, WEIGHT),
            ValueError,
            r"new params like params, .*\(1,\)\)}, got .*\(1, 1\)",
        ),
    ],
)
@pytest.mark.parametrize("door", ["export", "to_onnx"])
def test_what_can_not_be_exported_is_refused_and_no_file_written(
    door: str,
    step: Callable[..., Any],
    example: Any,
    error: type[Exception],
    message: str,
    tmp_path: Path,
) -> None:
    doors = {"export": export, "to_onnx": partial(to_onnx, path=tmp_path / "step.onnx")}
    with pytest.raises(error, match=f"^{door}: expected {message}"):
        doors[door](step, example)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("loop", ["epochs", "steps"])
def test_only_steps_of_training_loop(loop: Any, tmp_path: Path) -> None:
    example = (*(PARAMS, WEIGHT), WEIGHT) if loop == "epochs" else ({}, WEIGHT)
    with pytest.raises(ValueError, match=f"to_onnx: expected loop to be 'steps'.*'{loop}'"):
        to_onnx(returned(WEIGHT), example, tmp_path / "step.onnx", loop=loop)


@pytest.mark.parametrize("missing", ["onnxruntime", "onnxscript"])
def test_a_missing_extra_is_named_with_the_command_that_installs_it(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=rf"to_onnx: {missing} .*'functional_dl\[export\]'"):
        to_onnx(fdl.relu().apply, ({}, WEIGHT), tmp_path / "predict.onnx")


@pytest.mark.parametrize("where", ["no/such/folder/a.onnx", ".", "file/a.onnx"])
def test_a_path_that_can_not_be_written_is_named_and_nothing_left(
    where: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"to_onnx: expected a path to write to, got '.*'"):
        to_onnx(fdl.relu().apply, ({}, WEIGHT), tmp_path / where)
    assert [*tmp_path.iterdir()] == [tmp_path / "file"]


def test_a_file_that_disagrees_with_python_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "predict.onnx").write_text("as before")
    calls = iter([1.0, 1.001])  # when tried, and when traced
    with pytest.raises(ValueError, match="to_onnx: expected outputs within 1e-05 of Python's"):
        to_onnx(lambda _, x: x * next(calls), ({}, WEIGHT), tmp_path / "predict.onnx")
    assert (tmp_path / "predict.onnx").read_text() == "as before"
    assert len([*tmp_path.iterdir()]) == 1


def test_what_onnx_runtime_can_not_run_is_not_written(tmp_path: Path) -> None:
    half = torch.ones(1, dtype=torch.bfloat16)
    with pytest.raises(ValueError, match="to_onnx: expected a step that ONNX Runtime can run"):
        to_onnx(lambda _, x: x.tanh(), ({}, half), tmp_path / "predict.onnx")
    assert not [*tmp_path.iterdir()]
