"""What is exported trains as Python does, runs elsewhere, and is refused if it can't."""

import json
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor

import functional_dl as fdl
from exported.files import step_of
from functional_dl.export import export, to_onnx
from report.experiment import LEARNING_RATE, NETWORKS, TANH, Network, Points


def start(network: Network) -> tuple[fdl.Params, Tensor, Tensor]:
    """The report's params, and its batches, stacked."""
    torch.manual_seed(0)
    inputs, targets = zip(*Points.draw(1000).batches(), strict=True)
    params = network.core().init()
    return params, torch.stack(inputs), torch.stack(targets)


def fed(params: fdl.Params, **more: Any) -> dict[str, np.ndarray]:
    """What the file takes."""
    named = {f"params.{k}": p.numpy() for k, p in fdl.to_state_dict(params).items()}
    return named | {k: np.asarray(v) for k, v in more.items()}


def session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report's networks: a step, the whole training and the prediction of each."""
    folder = tmp_path_factory.mktemp("onnx")
    for network in NETWORKS:
        params, inputs, targets = start(network)
        example = (params, inputs[0], targets[0], LEARNING_RATE)
        to_onnx(step_of(network), example, folder / f"{network}-step.onnx")
        to_onnx(step_of(network), example, folder / f"{network}-steps.onnx", loop="steps")
        predict = network.core().apply
        to_onnx(predict, (params, inputs[0]), folder / f"{network}-predict.onnx")
    return folder


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_a_client_can_loop_by_name(network: Network, files: Path) -> None:
    params = [f"{i}.{k}" for i in (0, 2, 4, 6) for k in ("weight", "bias")]
    for kind, more in (("step", []), ("steps", ["steps"])):
        file = session(files / f"{network}-{kind}.onnx")
        takes = [*(f"params.{k}" for k in params), "inputs", "targets", "lr", *more]
        assert [i.name for i in file.get_inputs()] == takes
        gives = [*(f"new_params.{k}" for k in params), "loss"]
        assert [o.name for o in file.get_outputs()] == gives
        shapes = {i.name: i.shape for i in file.get_inputs()}
        stacked = ["batches"] if more else []
        assert shapes["inputs"] == shapes["targets"] == [*stacked, "batch", 2]


@pytest.mark.parametrize("network", NETWORKS, ids=str)
@pytest.mark.parametrize("kind", ["step", "steps"])
def test_a_step_from_25_points_of_training_is_pythons(
    network: Network, kind: str, files: Path
) -> None:
    params, inputs, targets = start(network)
    step, file = step_of(network), session(files / f"{network}-{kind}.onnx")
    for i in range(25 * 40):
        x, t = inputs[i % 10], targets[i % 10]
        new, _ = step(params, x, t, LEARNING_RATE)
        if i % 40 == 0:
            more = {"steps": 1, "inputs": x[None], "targets": t[None]}
            feed = fed(params, lr=np.float32(LEARNING_RATE), inputs=x, targets=t)
            theirs = file.run(None, feed | (fed({}, **more) if kind == "steps" else {}))
            for ours, p in zip(fdl.to_state_dict(new).values(), theirs, strict=False):
                assert np.abs(ours.numpy() - p).max() < 2e-7
        params = new


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_the_whole_training_is_that_of_the_steps_and_of_python(
    network: Network, files: Path
) -> None:
    params, inputs, targets = start(network)
    file = session(files / f"{network}-steps.onnx")
    feed = fed(params, lr=np.float32(LEARNING_RATE), inputs=inputs, targets=targets, steps=200)
    *_, losses = file.run(None, feed)
    step, ours = step_of(network), []
    by_steps, theirs = session(files / f"{network}-step.onnx"), []
    names = [o.name for o in by_steps.get_outputs()]
    feed = fed(params, lr=np.float32(LEARNING_RATE))
    for i in range(200):
        x, t = inputs[i % 10], targets[i % 10]
        params, loss = step(params, x, t, LEARNING_RATE)
        ours.append(loss.item())
        results = dict(
            zip(names, by_steps.run(None, feed | fed({}, inputs=x, targets=t)), strict=True)
        )
        theirs.append(results.pop("loss"))
        feed |= {k.removeprefix("new_"): p for k, p in results.items()}
    assert np.array_equal(losses, np.stack(theirs))
    assert np.abs(losses / np.array(ours) - 1).max() < 1e-6


def test_500_epochs_with_tanh_end_as_in_python(files: Path) -> None:
    params, inputs, targets = start("Tanh")
    feed = fed(params, lr=np.float32(LEARNING_RATE), inputs=inputs, targets=targets, steps=5000)
    *_, losses = session(files / "Tanh-steps.onnx").run(None, feed)
    step = step_of("Tanh")
    with torch.inference_mode():
        for i in range(5000):
            params, loss = step(params, inputs[i % 10], targets[i % 10], LEARNING_RATE)
    assert abs(losses[-1] / loss.item() - 1) < 1e-4


PAGE = Path(__file__).parent.parent / "playground"


@pytest.fixture(scope="module")
def web() -> list[str]:
    """The command that trains with onnxruntime-web, under Node."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        pytest.skip("Node is not installed")
    if not (PAGE / "node_modules").exists():
        subprocess.run([npm, "ci"], cwd=PAGE, check=True, capture_output=True)
    return [node, str(PAGE / "tests" / "train.mjs")]


def plain(tensors: Any) -> Any:
    """For JSON."""
    if isinstance(tensors, Tensor):
        return {"shape": tensors.shape, "data": tensors.flatten().tolist()}
    return {f"params.{k}": plain(p) for k, p in fdl.to_state_dict(tensors).items()}


@pytest.mark.parametrize("network", NETWORKS, ids=str)
@pytest.mark.parametrize("kind", ["step", "steps"])
def test_javascript_trains_as_python(
    network: Network, kind: str, files: Path, web: list[str], tmp_path: Path
) -> None:
    step = step_of(network)
    params, inputs, targets = start(network)
    task = {
        "file": str(files / f"{network}-{kind}.onnx"),
        "lr": LEARNING_RATE,
        "inputs": plain(inputs) if kind == "steps" else [plain(x) for x in inputs],
        "targets": plain(targets) if kind == "steps" else [plain(t) for t in targets],
        "starts": [{"params": plain(params), "first": 0, "steps": 5000}],
    }
    ours, new = [], []
    with torch.inference_mode():
        for i in range(5000):
            if i % 200 == 0:  # whose batch is the first, with which training begins
                task["starts"].append({"params": plain(params), "first": 0, "steps": 1})
            params, loss = step(params, inputs[i % 10], targets[i % 10], LEARNING_RATE)
            ours.append(loss.item())
            if i % 200 == 0:
                new.append([p.flatten() for p in fdl.to_state_dict(params).values()])
    (tmp_path / "task.json").write_text(json.dumps(task))
    run = subprocess.run([*web, tmp_path / "task.json"], capture_output=True, text=True, check=True)
    whole, *single = json.loads(run.stdout)
    off = np.abs(np.array(whole["losses"]) / np.array(ours) - 1)
    assert len(off) == 5000
    assert off[:200].max() < 1e-6
    if network == "Tanh":  # ReLU is chaotic: scripts/onnx_train.py draws how
        assert off[-1] < 1e-4
    for theirs, ours in zip(single, new, strict=True):
        for a, b in zip(theirs["params"], ours, strict=True):
            assert np.abs(np.array(a) - b.numpy()).max() < 2e-7


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has ONNX Runtime, NumPy and what they need, and nothing else."""
    home = tmp_path_factory.mktemp("bare")
    venv.create(home)
    site = next(home.glob("lib/python*/site-packages"))
    for module in ("flatbuffers", "google", "numpy", "numpy.libs", "onnxruntime", "packaging"):
        package = Path(np.__file__).parent.parent / module
        if package.exists():
            (site / module).symlink_to(package)
    return home / "bin" / "python"


def test_the_readmes_training_without_python_needs_numpy_and_onnxruntime_only(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    section = readme.split("\n## Training without Python\n")[1].split("\n## ")[0]
    exporting, training = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len([*filter(None, training.splitlines())]) <= 15
    monkeypatch.chdir(tmp_path)
    exec(exporting, {})
    no_torch = subprocess.run([bare, "-c", "import torch"], capture_output=True, text=True)
    assert "No module named 'torch'" in no_torch.stderr
    run = subprocess.run([bare, "-c", training], capture_output=True, text=True, check=True)
    assert float(re.fullmatch(r"loss ([\d.]+)\n", run.stdout)[1]) < 0.1


def test_batches_may_be_of_any_size(files: Path) -> None:
    params, inputs, targets = start("ReLU")
    for n in (1, 2, 7, 1000):
        x, t = inputs.view(1000, 2)[:n], targets.view(1000, 2)[:n]
        feed = fed(params, inputs=x, targets=t, lr=np.float32(LEARNING_RATE))
        *_, loss = session(files / "ReLU-step.onnx").run(None, feed)
        assert abs(loss / step_of("ReLU")(params, x, t, LEARNING_RATE)[1].item() - 1) < 1e-6


def test_an_example_may_hold_a_single_sample_and_inputs_more_dimensions(tmp_path: Path) -> None:
    model = fdl.linear(3, 2)
    params, x = model.init(), torch.rand(5, 4, 3)
    to_onnx(model.apply, (params, x[:1]), tmp_path / "predict.onnx")
    (outputs,) = session(tmp_path / "predict.onnx").run(["outputs"], fed(params, inputs=x))
    torch.testing.assert_close(torch.from_numpy(outputs), model.apply(params, x))


def test_the_forward_pass_exports_by_the_same_call(files: Path) -> None:
    params, inputs, _ = start(TANH)
    (outputs,) = session(files / "Tanh-predict.onnx").run(None, fed(params, inputs=inputs[0]))
    ours = TANH.core().apply(params, inputs[0])
    torch.testing.assert_close(torch.from_numpy(outputs), ours)


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_a_step_in_double_precision_is_pythons(network: Network, tmp_path: Path) -> None:
    torch.manual_seed(0)
    params = network.core().init(dtype=torch.float64)
    x, t = torch.rand(2, 7, 2, dtype=torch.float64)
    to_onnx(step_of(network), (params, x, t, 0.1), tmp_path / "step.onnx")
    feed = fed(params, inputs=x, targets=t, lr=np.float64(0.1))
    *theirs, _ = session(tmp_path / "step.onnx").run(None, feed)
    ours, _ = step_of(network)(params, x, t, 0.1)
    for a, b in zip(fdl.to_state_dict(ours).values(), theirs, strict=True):
        assert np.abs(a.numpy() - b).max() < 1e-15  # some units in the last place


def test_params_from_inference_mode_are_exported_too(tmp_path: Path) -> None:
    params, inputs, targets = start("ReLU")
    with torch.inference_mode():
        params, _ = step_of("ReLU")(params, inputs[0], targets[0], 0.1)
    to_onnx(step_of("ReLU"), (params, inputs[0], targets[0], 0.1), tmp_path / "step.onnx")


def test_a_prediction_may_be_of_whole_numbers(tmp_path: Path) -> None:
    x = torch.rand(5, 3)
    to_onnx(lambda _, x: x.argmax(1), ({}, x), tmp_path / "predict.onnx")
    (classes,) = session(tmp_path / "predict.onnx").run(None, {"inputs": x.numpy()})
    assert np.array_equal(classes, x.argmax(1))


def test_a_step_without_a_learning_rate_and_with_a_frozen_layer(tmp_path: Path) -> None:
    step = step_of("ReLU")

    def frozen(params: fdl.Params, inputs: Tensor, targets: Tensor) -> Any:
        new, loss = step(params, inputs, targets, 0.5)
        return {**new, "2": params["2"]}, loss

    params, inputs, targets = start("ReLU")
    for loop in (None, "steps"):
        to_onnx(frozen, (params, inputs[0], targets[0]), tmp_path / "step.onnx", loop=loop)
        more = fed({}, steps=1) if loop else {}
        x, t = (inputs[:1], targets[:1]) if loop else (inputs[0], targets[0])
        file = session(tmp_path / "step.onnx")
        assert "lr" not in {i.name for i in file.get_inputs()}
        new = file.run(None, fed(params, inputs=x, targets=t) | more)
        assert np.array_equal(new[2], params["2"]["weight"])
        assert not np.array_equal(new[4], params["4"]["weight"])


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_networks_side_by_side_have_a_learning_rate_each(network: Network, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = network.core()
    params = fdl.stack([model.init() for _ in range(3)])
    steps = torch.vmap(step_of(network), in_dims=(0, None, None, 0))
    x, t, lr = torch.rand(5, 2), torch.rand(5, 2), torch.tensor([0.0, 0.1, 1.0])
    to_onnx(steps, (params, x, t, lr), tmp_path / "steps.onnx")
    *theirs, losses = session(tmp_path / "steps.onnx").run(
        None, fed(params, inputs=x, targets=t, lr=lr)
    )
    new, ours = steps(params, x, t, lr)
    torch.testing.assert_close(torch.from_numpy(losses), ours)
    for p, leaf in zip(theirs, fdl.to_state_dict(new).values(), strict=True):
        torch.testing.assert_close(torch.from_numpy(p), leaf)


def test_the_file_names_nothing_of_the_machine_it_was_made_on(files: Path) -> None:
    for file in files.glob("*.onnx"):
        assert b".py" not in file.read_bytes()


def test_pytorch_saves_and_runs_what_is_exported(tmp_path: Path) -> None:
    params, inputs, targets = start("ReLU")
    step = step_of("ReLU")
    program = export(step, (params, inputs[0], targets[0], LEARNING_RATE))
    torch.export.save(program, tmp_path / "step.pt2")
    loaded = torch.export.load(tmp_path / "step.pt2").module()
    new, loss = loaded(params, inputs[0, :7], targets[0, :7], torch.tensor(LEARNING_RATE))
    ours, value = step(params, inputs[0, :7], targets[0, :7], LEARNING_RATE)
    assert torch.equal(loss, value)
    assert torch.equal(new["6"]["weight"], ours["6"]["weight"])


@pytest.mark.skipif(
    not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="no C++ compiler is installed"
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # torch's own
def test_a_step_compiled_ahead_of_time_runs_from_its_package(tmp_path: Path) -> None:
    params, inputs, targets = start("Tanh")
    step = step_of("Tanh")
    program = export(step, (params, inputs[0], targets[0], LEARNING_RATE))
    path = str(tmp_path / "step.pt2")
    torch._inductor.aoti_compile_and_package(program, package_path=path)
    loaded = torch._inductor.aoti_load_package(path)
    new, loss = loaded(params, inputs[0], targets[0], torch.tensor(LEARNING_RATE))
    ours, value = step(params, inputs[0], targets[0], LEARNING_RATE)
    torch.testing.assert_close(loss, value)
    torch.testing.assert_close(new, ours)


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
    example = (*(start("ReLU")[0], WEIGHT), WEIGHT) if loop == "epochs" else ({}, WEIGHT)
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
