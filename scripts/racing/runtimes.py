"""The functional core's step from exported files, trained by ONNX Runtime and OpenVINO."""

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

import functional_dl as fdl
from exported.files import arrays, feeds, step_of, write
from exported.reference import Arrays
from functional_dl.export import to_onnx
from report.experiment import LEARNING_RATE, Batches, Network


@cache
def exported(network: Network, loop: Literal["steps"] | None = None) -> bytes:
    """The file that holds the step, or the whole training."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "training.onnx")
        write(network, file, loop)
        return file.read_bytes()


def stepwise(network: Network, batches: Batches) -> Callable[[int], Tensor]:
    """A step for each call of ONNX Runtime."""
    from exported.runtime import Training

    params = arrays(network.core().init())
    each = feeds(zip(*batches, strict=True), LEARNING_RATE)
    training = Training(exported(network), params, each, torch.get_num_threads())
    return lambda epochs: torch.from_numpy(training.run(epochs * len(each)))


def looped(network: Network, batches: Batches, at_once: bool) -> Callable[[int], Tensor]:
    """An epoch, or all of them, for each call of ONNX Runtime."""
    from exported.runtime import Training

    params = arrays(network.core().init())
    inputs, targets = batches
    feed = arrays({}, inputs=inputs, targets=targets, lr=LEARNING_RATE)
    file = exported(network, loop="steps")

    @cache
    def training(steps: int) -> Training:
        whole = feed | {"steps": np.array(steps)}
        return Training(file, params, [whole], torch.get_num_threads())

    def train(epochs: int) -> Tensor:
        times, calls = (epochs, 1) if at_once else (1, epochs)
        return torch.from_numpy(training(times * len(inputs)).run(calls)).flatten()

    return train


def side_by_side(
    network: Network, params: fdl.Params, batches: Batches, run_by: Callable[..., Any]
) -> Callable[[], Tensor]:
    """An epoch of many networks as one, from a single file, a step for each call of run_by's."""
    seeds = len(params["0"]["weight"])
    rates = torch.full((seeds,), LEARNING_RATE)
    steps = torch.vmap(step_of(network), in_dims=(0, None, None, 0))
    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "step.onnx")
        to_onnx(steps, (params, batches[0][0], batches[1][0], rates), file)
        run = run_by(file, arrays(params), feeds(zip(*batches, strict=True), rates), threads)
    return lambda: torch.from_numpy(run())


def in_onnx_runtime(
    file: Path, params: Arrays, feeds: list[Arrays], threads: int
) -> Callable[[], Any]:
    """Runs the file for each feed, and gives the losses."""
    from exported.runtime import Training

    training = Training(file, params, feeds, threads)
    return lambda: training.run(len(feeds))


def in_openvino(file: Path, params: Arrays, feeds: list[Arrays], threads: int) -> Callable[[], Any]:
    """As `in_onnx_runtime`."""
    import openvino as ov

    core = ov.Core()
    model = core.read_model(file)
    model.reshape({k: feeds[0][k].shape for k in ("inputs", "targets")})  # twice as fast
    compiled = core.compile_model(
        model,
        "CPU",
        {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",  # bfloat16 otherwise, on some CPUs
        },
    )
    places = [{k: ov.Tensor(p.copy()) for k, p in params.items()} for _ in range(2)]
    requests = [compiled.create_infer_request() for _ in feeds]
    for i, (request, feed) in enumerate(zip(requests, feeds, strict=True)):
        old, new = places[i % 2], places[1 - i % 2]
        for k, v in feed.items():
            request.set_tensor(k, ov.Tensor(v))
        for k in params:
            request.set_tensor(k, old[k])
            request.set_tensor(f"new_{k}", new[k])

    def run() -> Any:
        losses: list[Any] = []
        for request in requests:
            request.infer()
            losses.append(request.get_tensor("loss").data.copy())
        return np.stack(losses)

    return run
