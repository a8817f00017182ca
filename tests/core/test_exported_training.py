"""The report's networks, exported, train elsewhere as Python does: step by step and as a loop."""

import json
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from filelock import FileLock
from in_onnx_runtime import fed, session, step_of
from torch import Tensor

import functional_dl as fdl
from report.experiment import NETWORKS as REPORTS

pytestmark = pytest.mark.builds
ROOT = Path(__file__).parents[2]
LR = 0.1
NETWORKS = {str(network): network for network in REPORTS}


def start(name: str) -> tuple[fdl.Params, Tensor, Tensor]:
    """The params, and the batches of points inside and outside the disk, stacked."""
    torch.manual_seed(0)
    inputs = torch.rand(1000, 2)
    inside = (inputs - 0.5).square().sum(1) < 1 / (2 * torch.pi)
    targets = torch.eye(2)[inside.long()]
    return NETWORKS[name].core().init(), inputs.view(10, 100, 2), targets.view(10, 100, 2)


class Exported(NamedTuple):
    """A network's name, its step in Python, and the files of that and of the whole training."""

    name: str
    python: Callable[..., tuple[fdl.Params, Tensor]]
    files: dict[str, Path]


@pytest.fixture(params=NETWORKS)
def exported(request: pytest.FixtureRequest, export_once: Callable[..., Path]) -> Exported:
    """Each network."""
    network = NETWORKS[request.param]
    files = {"step": export_once(network), "steps": export_once(network, "steps")}
    return Exported(request.param, step_of(network.core()), files)


def test_a_client_can_loop_by_name(exported: Exported) -> None:
    params = [f"{i}.{k}" for i in (0, 2, 4, 6) for k in ("weight", "bias")]
    for kind, more in (("step", []), ("steps", ["steps"])):
        file = session(exported.files[kind])
        takes = [*(f"params.{k}" for k in params), "inputs", "targets", "lr", *more]
        assert [i.name for i in file.get_inputs()] == takes
        gives = [*(f"new_params.{k}" for k in params), "loss"]
        assert [o.name for o in file.get_outputs()] == gives
        shapes = {i.name: i.shape for i in file.get_inputs()}
        stacked = ["batches"] if more else []
        assert shapes["inputs"] == shapes["targets"] == [*stacked, "batch", 2]


class InPython(NamedTuple):
    """A training: its losses, and params at 25 points of it, before and after a first batch."""

    losses: np.ndarray
    points: list[tuple[fdl.Params, fdl.Params]]


@cache
def in_python(name: str, steps: int) -> InPython:
    step, (params, inputs, targets) = step_of(NETWORKS[name].core()), start(name)
    losses, points = [], []
    with torch.inference_mode():
        for i in range(steps):
            new, loss = step(params, inputs[i % 10], targets[i % 10], LR)
            losses.append(loss.item())
            if i % (steps // 25) == 0:
                points.append((params, new))
            params = new
    return InPython(np.array(losses), points)


@pytest.mark.parametrize("kind", ["step", "steps"])
def test_a_step_from_25_points_of_training_is_pythons(exported: Exported, kind: str) -> None:
    _, inputs, targets = start(exported.name)
    x, t = inputs[0], targets[0]
    file = session(exported.files[kind])
    more = {"steps": 1, "inputs": x[None], "targets": t[None]} if kind == "steps" else {}
    for params, new in in_python(exported.name, 1000).points:
        theirs = file.run(
            None, fed(params, lr=np.float32(LR), **({"inputs": x, "targets": t} | more))
        )
        for ours, p in zip(fdl.to_state_dict(new).values(), theirs, strict=False):
            assert np.abs(ours.numpy() - p).max() < 2e-7


def test_the_whole_training_is_that_of_the_steps_and_of_python(exported: Exported) -> None:
    params, inputs, targets = start(exported.name)
    file = session(exported.files["steps"])
    feed = fed(params, lr=np.float32(LR), inputs=inputs, targets=targets, steps=200)
    *_, losses = file.run(None, feed)
    step, ours = exported.python, []
    by_steps, theirs = session(exported.files["step"]), []
    names = [o.name for o in by_steps.get_outputs()]
    feed = fed(params, lr=np.float32(LR))
    for i in range(200):
        x, t = inputs[i % 10], targets[i % 10]
        params, loss = step(params, x, t, LR)
        ours.append(loss.item())
        results = dict(
            zip(names, by_steps.run(None, feed | fed({}, inputs=x, targets=t)), strict=True)
        )
        theirs.append(results.pop("loss"))
        feed |= {k.removeprefix("new_"): p for k, p in results.items()}
    assert np.array_equal(losses, np.stack(theirs))
    assert np.abs(losses / np.array(ours) - 1).max() < 1e-6


@pytest.mark.parametrize("exported", ["Tanh"], indirect=True)
def test_500_epochs_with_tanh_end_as_in_python(exported: Exported) -> None:
    params, inputs, targets = start(exported.name)
    feed = fed(params, lr=np.float32(LR), inputs=inputs, targets=targets, steps=5000)
    *_, losses = session(exported.files["steps"]).run(None, feed)
    assert abs(losses[-1] / in_python(exported.name, 5000).losses[-1] - 1) < 1e-4


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that trains with onnxruntime-web, under Node."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        pytest.skip("Node is not installed")
    with FileLock(tmp_path_factory.getbasetemp().parent / "npm.lock"):  # of all workers, one
        if not (ROOT / "playground" / "node_modules").exists():
            subprocess.run([npm, "ci"], cwd=ROOT / "playground", check=True, capture_output=True)
    return [node, str(ROOT / "playground" / "tests" / "train.mjs")]


def plain(tensors: Any) -> Any:
    """For JSON."""
    if isinstance(tensors, Tensor):
        return {"shape": tensors.shape, "data": tensors.flatten().tolist()}
    return {f"params.{k}": plain(p) for k, p in fdl.to_state_dict(tensors).items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("exported", "kind"), [("ReLU", "step"), ("Tanh", "steps")], indirect=["exported"]
)
def test_javascript_trains_as_python(
    exported: Exported, kind: str, web: list[str], tmp_path: Path
) -> None:
    params, inputs, targets = start(exported.name)
    steps = 5000 if kind == "steps" else 250
    losses, points = in_python(exported.name, steps)
    task = {
        "file": str(exported.files[kind]),
        "lr": LR,
        "inputs": plain(inputs) if kind == "steps" else [plain(x) for x in inputs],
        "targets": plain(targets) if kind == "steps" else [plain(t) for t in targets],
        "starts": [
            {"params": plain(params), "first": 0, "steps": steps},
            *({"params": plain(params), "first": 0, "steps": 1} for params, _ in points),
        ],
    }
    (tmp_path / "task.json").write_text(json.dumps(task))
    run = subprocess.run([*web, tmp_path / "task.json"], capture_output=True, text=True, check=True)
    whole, *single = json.loads(run.stdout)
    off = np.abs(np.array(whole["losses"]) / losses - 1)
    assert len(off) == steps
    assert off[:200].max() < 1e-6
    if exported.name == "Tanh":  # ReLU is chaotic: scripts/onnx_train.py draws how
        assert off[-1] < 1e-4
    for theirs, (_, new) in zip(single, points, strict=True):
        for a, p in zip(theirs["params"], fdl.to_state_dict(new).values(), strict=True):
            assert np.abs(np.array(a) - p.flatten().numpy()).max() < 2e-7


def test_batches_may_be_of_any_size(exported: Exported) -> None:
    params, inputs, targets = start(exported.name)
    for n in (1, 2, 7, 1000):
        x, t = inputs.view(1000, 2)[:n], targets.view(1000, 2)[:n]
        feed = fed(params, inputs=x, targets=t, lr=np.float32(LR))
        *_, loss = session(exported.files["step"]).run(None, feed)
        assert abs(loss / exported.python(params, x, t, LR)[1].item() - 1) < 1e-6


def test_the_file_names_nothing_of_the_machine_it_was_made_on(exported: Exported) -> None:
    for file in exported.files.values():
        assert b".py" not in file.read_bytes()
