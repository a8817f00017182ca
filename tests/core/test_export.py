"""Whatever keeps to the contract is exported, and refused if it can't be."""

import errno
import logging
import os
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
from torch.compiler import is_exporting

import functional_dl as fdl
from cases import LAYERS, LOSSES, beside_linear, same_trees, small
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

# ONNX Runtime has no kernels in double precision, or torch.onnx rounds ε or the mean to single.
SINGLE = {"conv2d", "gelu", "layer_norm", "rms_norm"}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in LAYERS if name != "sequential"])
def test_every_layer_and_its_gradient_are_exported_in_the_largest_precision(
    name: str, tmp_path: Path
) -> None:
    d = small(2, torch.float32 if name in SINGLE else torch.float64)
    model, _, params, x = beside_linear(name, d)  # whose new params tell of the cotangent
    t, step = d.tensor(*model.apply(params, x).shape), step_of(model)
    file = exported(step, (params, x[:3], t[:3], 0.1), tmp_path)
    lr = torch.tensor(0.1, dtype=d.dtype)
    results = file.run(None, fed(params, inputs=x, targets=t, lr=lr))
    new, loss = step(params, x, t, 0.1)
    some_units_in_the_last_place = 50 * torch.finfo(d.dtype).eps
    for ours, theirs in zip([*fdl.tree_leaves(new), loss], results, strict=True):
        assert np.abs(ours.numpy() - theirs).max() < some_units_in_the_last_place


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


def test_what_is_translated_here_is_so_with_all_its_arguments(tmp_path: Path) -> None:
    def f(_: fdl.Params, x: Tensor) -> Tensor:
        y = torch.addcmul(x, x, x - 1, value=0.5) + x.mean(dtype=torch.float64)
        return y.masked_fill(x > 0.5, 0) + x.masked_fill(x <= 0.5, 3)

    (outputs,) = exported(f, ({}, X), tmp_path).run(None, {"inputs": X[:3].numpy()})
    torch.testing.assert_close(torch.from_numpy(outputs), f({}, X[:3]))


def test_a_prediction_may_be_of_whole_numbers(tmp_path: Path) -> None:
    (classes,) = exported(lambda _, x: x.argmax(1), ({}, X), tmp_path).run(
        None, {"inputs": X.numpy()}
    )
    assert np.array_equal(classes, X.argmax(1))


def telling(params: fdl.Params, x: Tensor, t: Tensor, lr: Any) -> Any:
    """A step that tells its gradients, what it predicts, and that again."""
    loss, grads = fdl.value_and_grad(MODEL, fdl.mse())(params, x, t)
    y = MODEL.apply(params, x)
    told = {"gradients": grads, "outputs": {"1": y, "2": y, "class": y.argmax(1)}}
    return fdl.sgd(params, grads, lr), loss, told


def test_a_step_may_tell_more_than_its_loss(tmp_path: Path) -> None:
    file = exported(telling, EXAMPLE, tmp_path)
    new, loss, told = telling(PARAMS, X[:3], T[:3], 0.1)
    expected = fdl.to_state_dict({"new_params": new, "loss": loss, **told})
    names = [output.name for output in file.get_outputs()]
    assert names == [*expected]
    lr = torch.tensor(0.1)
    results = file.run(names, fed(PARAMS, inputs=X[:3], targets=T[:3], lr=lr))
    for ours, theirs in zip(expected.values(), results, strict=True):
        torch.testing.assert_close(torch.from_numpy(theirs), ours)
    program = export(telling, EXAMPLE).module()
    assert fdl.to_state_dict(program(PARAMS, X, T, lr)[2]).keys() == fdl.to_state_dict(told).keys()


def test_what_a_step_tells_may_be_named_as_an_operation_within_it(tmp_path: Path) -> None:
    def step(params: fdl.Params, x: Tensor, _: Tensor) -> Any:
        y = torch.tanh(x) + 1
        return params, y.sum(), {"tanh": y, "add": y * 2, "val_0": y * 3}

    file = exported(step, ({}, X, T), tmp_path)
    _, tanh, add, val_0 = file.run(None, fed({}, inputs=X, targets=T))
    for got, times in zip((tanh, add, val_0), (1, 2, 3), strict=True):
        torch.testing.assert_close(torch.from_numpy(got), (torch.tanh(X) + 1) * times)


@pytest.mark.refuses
@pytest.mark.parametrize(
    "more", [T, {"loss": T}, {"inputs": T}, {"new_params": T}, {"a.b": T}, {"a": 1}]
)
def test_what_a_step_tells_has_names_of_its_own(more: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^export: expected "):
        export(lambda *args: (*STEP(*args), more), EXAMPLE)


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


def test_leaves_that_are_one_tensor_are_inputs_of_their_own() -> None:
    one, rate, x = torch.zeros(2), torch.tensor(0.1), torch.rand(3, 2)

    def step(params: fdl.Params, x: Tensor, t: Tensor, lr: Tensor) -> Any:
        new = {
            "weight": params["weight"] + 2 * params["momentum"] - lr * (x - 3 * t).sum(0) + one,
            "momentum": params["momentum"] + 5 * params["view"],
            "view": params["view"] * params["rate"],
            "rate": params["rate"] - 7 * lr,
        }
        return new, (x * t).sum()

    params = {"weight": one, "momentum": one, "view": one.view(2), "rate": rate}
    program = export(step, (params, x, x, rate)).module()
    one.fill_(1)  # a constant, too, that the step holds is none of its arguments
    params = {k: torch.rand_like(p) for k, p in params.items()}
    others = params, torch.rand(5, 2), torch.rand(5, 2), torch.tensor(0.3)
    assert same_trees(program(*others), step(*others))


def test_an_example_stays_as_it_is_whatever_step_does_with_it() -> None:
    params = {"weight": torch.zeros(3)}
    export(lambda params, x: params["weight"].add_(x.sum(0)), (params, X))
    assert params["weight"].eq(0).all()


def test_new_params_are_known_by_their_names(tmp_path: Path) -> None:
    def step(params: fdl.Params, x: Tensor, _: Tensor) -> Any:
        a, b = params["0"]["weight"], params["0"]["bias"]
        new = {"bias": b + x.sum(0), "weight": a * b}
        return {"1": {}, "0": new}, a.sum()

    params = {"0": {"weight": torch.ones(2), "bias": torch.rand(2)}, "1": {}}
    new, _ = export(step, (params, X[:, :2], T)).module()(params, X[:, :2], T)
    assert [*new] == ["0", "1"]
    assert [*new["0"]] == ["weight", "bias"]
    file = exported(step, (params, X[:, :2], T), tmp_path, loop="steps")
    feed = fed(params, inputs=X[None, :, :2], targets=T[None], steps=2)
    got = dict(zip([o.name for o in file.get_outputs()], file.run(None, feed), strict=True))
    new, _ = step(step(params, X[:, :2], T)[0], X[:, :2], T)
    for k, leaf in fdl.to_state_dict(new).items():
        torch.testing.assert_close(torch.from_numpy(got[f"new_params.{k}"]), leaf)


def test_inputs_and_targets_may_be_whole_numbers(tmp_path: Path) -> None:
    def step(params: fdl.Params, tokens: Tensor, classes: Tensor, lr: Tensor) -> Any:
        y = params["embedding"][tokens].sum(1)
        t = torch.nn.functional.one_hot(classes, 2).to(y.dtype)
        loss, pullback = fdl.mse().vjp(y, t)
        grad = torch.zeros_like(params["embedding"])
        grad = grad.index_add(0, tokens.flatten(), pullback().repeat_interleave(2, 0))
        return fdl.sgd(params, {"embedding": grad}, lr), loss

    params = {"embedding": torch.rand(5, 2, dtype=torch.float64)}
    tokens, classes = torch.tensor([[1, 2], [0, 4], [3, 3]]), torch.tensor([1, 0, 1])
    file = exported(step, (params, tokens[:2], classes[:2], 0.1), tmp_path)
    feed = fed(params, inputs=tokens, targets=classes, lr=0.1)
    new, loss = step(params, tokens, classes, torch.tensor(0.1, dtype=torch.float64))
    for ours, theirs in zip([new["embedding"], loss], file.run(None, feed), strict=True):
        assert np.abs(ours.numpy() - theirs).max() < 1e-14


def test_without_any_floating_number_the_learning_rate_is_of_the_default_dtype() -> None:
    x = torch.tensor([1, 2])
    program = export(lambda params, x, _, lr: (params, lr * x.sum()), ({}, x, x, 0.5))
    assert program.module()({}, x, x, torch.tensor(0.5))[1] == 1.5


def test_a_leaf_may_have_no_element(tmp_path: Path) -> None:
    def step(params: fdl.Params, x: Tensor, t: Tensor) -> Any:
        return {"none": params["none"] * 2}, (x @ params["none"].mT).sum() + t.sum()

    params = {"none": torch.ones(0, 3)}
    file = exported(step, (params, X, T), tmp_path)
    none, loss = file.run(None, fed(params, inputs=X, targets=T))
    assert none.shape == (0, 3)
    assert loss == pytest.approx(T.sum())


def test_defaults_random_states_and_logs_stay_out_of_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    def step(params: fdl.Params, x: Tensor, _: Tensor, lr: Tensor) -> Any:
        return {"bias": params["bias"] - lr * x.sum(0)}, x.sum()

    random, log = torch.get_rng_state(), logging.getLogger("torch.onnx")
    params, level = {"bias": torch.ones(3)}, log.level
    with torch.device("meta"):
        to_onnx(step, (params, X, X, 0.1), tmp_path / "step.onnx", loop="steps")
    assert torch.equal(torch.get_rng_state(), random)
    assert log.level == level
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert capfd.readouterr() == ("", "")


# PyTorch's own runtimes


def test_pytorch_saves_and_runs_what_is_exported(tmp_path: Path) -> None:
    torch.export.save(export(STEP, EXAMPLE), tmp_path / "step.pt2")
    loaded = torch.export.load(tmp_path / "step.pt2").module()
    new, loss = loaded(PARAMS, X[:4], T[:4], torch.tensor(0.1))
    ours, value = STEP(PARAMS, X[:4], T[:4], 0.1)
    assert torch.equal(loss, value)
    assert torch.equal(new["4"]["weight"], ours["4"]["weight"])


@pytest.mark.slow
@pytest.mark.skipif(
    not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="no C++ compiler is installed"
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # torch's own
def test_a_step_compiled_ahead_of_time_runs_from_its_package(tmp_path: Path) -> None:
    path = str(tmp_path / "step.pt2")
    quick = {
        "aot_inductor.precompile_headers": False,
        "aot_inductor.enable_line_tables": False,
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
        (returned(), ([WEIGHT], WEIGHT), TypeError, r"nested dicts of tensors, got \[tensor"),
        (returned(), ({"a": None}, WEIGHT), TypeError, "nested dicts of tensors, got None"),
        (returned(), ({0: WEIGHT}, WEIGHT), TypeError, "keys that are strings, such as '0', got 0"),
        (
            returned([WEIGHT], WEIGHT),
            ({"a": WEIGHT}, WEIGHT, WEIGHT),
            TypeError,
            r"nested dicts of tensors, got \[tensor",
        ),
        (
            fdl.trace(lambda _, x: x, {}, WEIGHT),
            ({}, WEIGHT),
            TypeError,
            "step itself, got .*trace",
        ),
        (returned(), ({},), ValueError, r"an example of 2 to 5 parts, got \({},\)"),
        (returned(), [{}, WEIGHT], ValueError, "an example of 2 to 5 parts"),
        (returned(), ({}, *[WEIGHT] * 5), ValueError, "an example of 2 to 5 parts"),
        (returned(), ({}, *[WEIGHT] * 4), ValueError, "params, state if there is any, inputs, and"),
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
            returned({}, WEIGHT, {}, {}),
            ({}, WEIGHT, WEIGHT),
            TypeError,
            r"step to return \(new params, loss\)",
        ),
        (
            returned({"b": WEIGHT}, WEIGHT),
            ({"a": WEIGHT}, WEIGHT, WEIGHT),
            ValueError,
            "new params like params, {'params.a': .*float32.*}, got {'params.b': .*}",
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


def mean(y: Tensor, n: Any) -> tuple[fdl.Params, Tensor]:
    return {}, y.sum() / n


@pytest.mark.parametrize(
    "step",
    [
        lambda _, x, t, lr: mean(x, len(x)),
        lambda _, x, t, lr: mean(sum(x), 1),
        lambda _, x, t, lr: mean(x, 1 if x.shape[0] > 9 else 2),
        lambda _, x, t, lr: mean(x, 1 if lr > 0 else 2),
        lambda _, x, t, lr: mean(x, float(lr)),
        lambda _, x, t, lr: mean(x, 1 if x.any() else 2),
    ],
    ids=["len", "a loop", "if size", "if lr", "float", "if x"],
)
@pytest.mark.parametrize("door", ["export", "to_onnx"])
def test_a_step_that_fixes_the_batch_or_looks_at_values_is_told_what_to_write(
    door: str, step: Callable[..., Any], tmp_path: Path
) -> None:
    doors = {"export": export, "to_onnx": partial(to_onnx, path=tmp_path / "step.onnx")}
    message = (
        rf"^{door}: expected a step that looks at no values, as torch.where doesn't and if does, "
        r"and takes batches of any size, as with y.shape\[0\] and not len\(y\), got: (Cons|Could)"
    )
    with pytest.raises(ValueError, match=message):
        doors[door](step, ({}, X, T, 0.1))
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("when", ["run", "traced"])
def test_what_a_step_raises_itself_stays_as_it_is(when: str) -> None:
    def step(_: fdl.Params, x: Tensor) -> Tensor:
        if is_exporting() == (when == "traced"):
            raise ZeroDivisionError("its own")
        return x

    with pytest.raises(ZeroDivisionError, match=r"^its own$"):
        export(step, ({}, X))


@pytest.mark.parametrize("loop", ["epochs", "steps"])
def test_only_steps_of_training_loop(loop: Any, tmp_path: Path) -> None:
    example = (PARAMS, X, *[T, 0.1] * (loop == "epochs"))
    step = STEP if loop == "epochs" else MODEL.apply
    with pytest.raises(ValueError, match=f"^to_onnx: expected loop to be 'steps'.*'{loop}'"):
        to_onnx(step, example, tmp_path / "step.onnx", loop=loop)


def test_steps_that_tell_more_than_the_loss_do_not_loop(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^to_onnx: expected a step that gives the loss last"):
        to_onnx(telling, EXAMPLE, tmp_path / "step.onnx", loop="steps")


def test_constants_that_no_file_can_hold_are_refused_with_their_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functional_dl.export.LARGEST", 12)
    constant = torch.ones(3)
    message = r"^to_onnx: expected constants .* 1e\+01 .* 1.2e\+01; hand them over as params$"
    with pytest.raises(ValueError, match=message):
        to_onnx(lambda _, x: x + constant, ({}, X), tmp_path / "predict.onnx")


@pytest.mark.parametrize("missing", ["onnxruntime", "onnxscript"])
def test_a_missing_extra_is_named_with_the_command_that_installs_it(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=rf"to_onnx: {missing} .*'functional_dl\[export\]'"):
        to_onnx(fdl.relu().apply, ({}, WEIGHT), tmp_path / "predict.onnx")


# What is written


@pytest.mark.parametrize("where", ["no/such/folder/a.onnx", ".", "file/a.onnx", "pipe", "link"])
def test_a_path_that_can_not_be_written_is_named_and_nothing_left(
    where: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("no/such/file")
    before = {*tmp_path.iterdir()}
    with pytest.raises(OSError, match=f"^to_onnx: expected a file's path in .*{where}'"):
        to_onnx(fdl.relu().apply, ({}, WEIGHT), tmp_path / where)
    assert {*tmp_path.iterdir()} == before
    assert (tmp_path / "pipe").is_fifo()


def test_a_file_is_replaced_as_a_whole_with_its_mode_and_through_links(tmp_path: Path) -> None:
    file, mine = tmp_path / "step.onnx", tmp_path / ".step.onnx.part"
    file.write_text("as before")
    file.chmod(0o604)
    mine.write_text("mine")
    (tmp_path / "link").symlink_to(file.name)
    with file.open() as reader:
        to_onnx(fdl.relu().apply, ({}, WEIGHT), tmp_path / "link")
        assert reader.read() == "as before"
    assert file.stat().st_mode & 0o777 == 0o604
    assert session(file).run(None, {"inputs": -WEIGHT.numpy()}) == [0]
    assert mine.read_text() == "mine"
    assert (tmp_path / "link").is_symlink()
    assert len([*tmp_path.iterdir()]) == 3


def test_two_may_write_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, replace = tmp_path / "predict.onnx", os.replace

    def second(*paths: Any) -> None:
        monkeypatch.setattr(os, "replace", replace)
        to_onnx(lambda _, x: x + 2, ({}, WEIGHT), file)
        replace(*paths)

    monkeypatch.setattr(os, "replace", second)
    to_onnx(lambda _, x: x + 1, ({}, WEIGHT), file)
    assert session(file).run(None, {"inputs": WEIGHT.numpy()}) == [2]
    assert [*tmp_path.iterdir()] == [file]
    (tmp_path / "any").touch()
    assert file.stat().st_mode == (tmp_path / "any").stat().st_mode


def test_a_disk_that_is_full_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "predict.onnx").write_text("as before")
    monkeypatch.setattr(os, "replace", full)
    message = "to_onnx: expected a path to write to, got '.*predict.onnx': No space"
    with pytest.raises(OSError, match=message) as raised:
        to_onnx(fdl.relu().apply, ({}, WEIGHT), tmp_path / "predict.onnx")
    assert raised.value.errno == errno.ENOSPC
    assert (tmp_path / "predict.onnx").read_text() == "as before"
    assert len([*tmp_path.iterdir()]) == 1


# The comparison before it is written


@pytest.mark.parametrize(
    ("right", "planted", "example", "message"),
    [
        pytest.param(
            lambda _, x: x,
            lambda _, x: x * 1.001,
            ({}, X),
            "outputs within .e-05 of Python's, got .e-04$",
            id="by a thousandth",
        ),
        pytest.param(
            lambda p, x: x + p["a"],
            lambda p, x: x + p["b"],
            ({"a": torch.zeros(3), "b": torch.zeros(3)}, X),
            "outputs within",
            id="a zero that is another's like",
        ),
        pytest.param(
            lambda p, x, t: (p, (x * 2 + t).sum()),
            lambda p, x, t: (p, (x + t * 2).sum()),
            ({}, X, X),
            "loss within",
            id="targets that are inputs' like",
        ),
        pytest.param(
            lambda p, x: x + p["a"],
            lambda p, x: x + p["a"] + p["a"].isfinite() * 1e-3,
            ({"a": torch.tensor([torch.inf, torch.nan, 1.0])}, X),
            r"outputs within .e-0[56] of Python's, got 1e-03$",
            id="beside infinities",
        ),
        pytest.param(
            lambda _, x: x,
            lambda _, x: x * torch.nan,
            ({}, X),
            "outputs within .* got nan$",
            id="in what is NaN",
        ),
        pytest.param(
            lambda _, x: x,
            lambda _, x: x[None],
            ({}, X),
            r"outputs to be a float32 tensor of shape \(7, 3\), got .*\(1, 7, 3\)",
            id="in shape",
        ),
        pytest.param(
            lambda _, x: x,
            lambda _, x: x.double(),
            ({}, X),
            "outputs to be a float32 tensor of .*, got a float64",
            id="in dtype",
        ),
        pytest.param(
            lambda _, x: x > 9,
            lambda _, x: x > 0,
            ({}, X),
            "outputs within 0e",
            id="in what isn't floating",
        ),
    ],
)
def test_a_file_that_disagrees_with_python_is_not_written(
    right: Any, planted: Any, example: Any, message: str, tmp_path: Path
) -> None:
    (tmp_path / "step.onnx").write_text("as before")
    with pytest.raises((ValueError, TypeError), match=f"^to_onnx: expected {message}"):
        to_onnx(
            lambda *args: (planted if is_exporting() else right)(*args),
            example,
            tmp_path / "step.onnx",
        )
    assert (tmp_path / "step.onnx").read_text() == "as before"
    assert len([*tmp_path.iterdir()]) == 1


def adam(params: fdl.Params, x: Tensor, t: Tensor, lr: Tensor) -> Any:
    """As one writes it; the gradient of bias, which softmax ignores, is noise."""
    p, m, v = params["model"], params["m"], params["v"]
    h = x @ p["weight"] + p["hidden"]
    s = (h.relu() + p["bias"]).softmax(1)
    gy = s * (s - t - (s * (s - t)).sum(1, keepdim=True))
    gh = gy * (h > 0)
    grads = {"weight": x.mT @ gh, "hidden": gh.sum(0), "bias": gy.sum().view(1)}
    m = fdl.tree_map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
    v = fdl.tree_map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
    p = fdl.tree_map(lambda p, m, v: p - lr * m / (v.sqrt() + 1e-8), p, m, v)
    return {"model": p, "m": m, "v": v}, (s - t).square().sum() / 2


def adams(steps: int) -> tuple[Any, ...]:
    """An example after so many steps, with a unit of three that is dead."""
    draws = torch.Generator().manual_seed(0)
    weight, x = torch.rand(2, 3, generator=draws), torch.rand(16, 2, generator=draws)
    model = {"weight": weight, "hidden": torch.tensor([0.0, 0.0, -9.0]), "bias": torch.zeros(1)}
    zeros = fdl.tree_map(torch.zeros_like, model)
    params = {"model": model, "m": zeros, "v": zeros}
    batch = x, torch.rand(16, 3, generator=draws)
    for _ in range(steps):
        params, _ = adam(params, *batch, torch.tensor(0.01))
    return params, *batch, 0.01


@pytest.mark.parametrize("steps", [0, 50])
def test_a_step_that_divides_noise_by_noise_is_compared_where_it_can_be(
    steps: int, tmp_path: Path
) -> None:
    params, *_ = example = adams(steps)
    assert params["v"]["bias"].sqrt() < 1e-7

    def planted(*args: Any) -> Any:
        new, loss = adam(*args)
        return new, loss * (1.001 if is_exporting() else 1)  # compared last

    with pytest.raises(ValueError, match=r"^to_onnx: expected loss within .e-05 .* .e-0[34]$"):
        to_onnx(planted, example, tmp_path / "step.onnx")


def test_a_loop_that_is_right_for_one_step_alone_is_not_written(tmp_path: Path) -> None:
    def step(params: fdl.Params, x: Tensor, t: Tensor) -> Any:
        late = 0 if is_exporting() else params["steps"] > 0
        return {"steps": params["steps"] + 1}, x.sum() - t.sum() + late

    example = {"steps": torch.tensor(0)}, X, T
    with pytest.raises(ValueError, match=r"^to_onnx: expected loss within"):
        to_onnx(step, example, tmp_path / "training.onnx", loop="steps")
    assert not [*tmp_path.iterdir()]


def test_what_onnx_runtime_can_not_run_is_not_written(tmp_path: Path) -> None:
    half = torch.ones(1, dtype=torch.bfloat16)
    with pytest.raises(ValueError, match="to_onnx: expected a step that ONNX Runtime can run"):
        to_onnx(lambda _, x: x.tanh(), ({}, half), tmp_path / "predict.onnx")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    "generator", [torch.default_generator, torch.Generator()], ids=["global", "own"]
)
def test_a_step_that_draws_is_refused(generator: torch.Generator, tmp_path: Path) -> None:
    model = fdl.sequential(fdl.linear(3, 4), fdl.dropout(0.5))

    def step(params: fdl.Params, x: Tensor, t: Tensor) -> tuple[fdl.Params, Tensor]:
        loss, grads = fdl.value_and_grad(model, fdl.mse())(params, x, t, generator)
        return fdl.sgd(params, grads, 0.1), loss

    example = model.init(), torch.ones(5, 3), torch.ones(5, 4)
    with pytest.raises(ValueError, match=r"to_onnx: expected a step that draws no numbers, got"):
        to_onnx(step, example, tmp_path / "step.onnx")
    assert [*tmp_path.iterdir()] == []


def test_a_loss_of_logits_is_exported_as_it_is_far_from_0(tmp_path: Path) -> None:
    loss = fdl.bce_with_logits("sum")

    def value(params: fdl.Params, x: Tensor) -> Tensor:
        return loss.apply(x, params["t"].expand_as(x))

    params = {"t": torch.tensor([0.5])}
    to_onnx(value, (params, torch.ones(2, 1)), tmp_path / "loss.onnx")
    run = session(tmp_path / "loss.onnx").run
    for logit in (-100.0, -20.0, 20.0, 100.0):
        x = torch.full((2, 1), logit)
        (theirs,) = run(None, {"params.t": params["t"].numpy(), "inputs": x.numpy()})
        assert theirs == pytest.approx(value(params, x).item(), rel=1e-6)  # some roundings
