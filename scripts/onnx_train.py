"""Trains the report's networks in ONNX Runtime, from exported files and without torch.

PyTorch, which the files are made with and which trains beside, is in a process of its own.
"""

import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

import cli
import numpy as np
import onnxruntime
from onnx_runtime import Arrays, Reference, Training, load
from tqdm import tqdm

NETWORKS = ("ReLU", "Tanh")
STEPS_A_TURN = 200


def elsewhere(pool: ProcessPoolExecutor, name: str, *args: Any) -> Any:
    """What a function, such as "onnx_files.turn", returns in the other process."""
    return pool.submit(_called, name, args).result()


def _called(name: str, args: tuple[Any, ...]) -> Any:
    module, function = name.split(".")
    return getattr(import_module(module), function)(*args)


def error_rate(file: Path, params: Arrays, points: tuple[Any, Any]) -> float:
    """The share of points whose predicted class is wrong."""
    (outputs,) = load(file, 1).run(None, params | {"inputs": points[0]})
    return float((np.asarray(outputs).argmax(1) != points[1].argmax(1)).mean())


def agreement(network: str, step: Path, losses: Any, theirs: Reference) -> dict[str, str]:
    """How far from PyTorch the runtime is, after a step and in the end."""
    after_a_step: list[float] = []
    for before, after in theirs.probes:
        once = Training(step, before, theirs.feeds[:1], 1)
        once.run(1)
        after_a_step += [np.abs(once.params[k] - p).max() for k, p in after.items()]
    off = np.abs(losses / theirs.losses - 1)
    nudged = np.abs(theirs.nudged / theirs.losses - 1)
    return {
        "network": network,
        f"parameters, one step from {len(theirs.probes)} points": f"{max(after_a_step):.0e}",
        "losses in 20 epochs": f"{off[:200].max():.0e}",
        "last loss": f"{off[-1]:.0e}",
        "PyTorch's own, a weight one unit up": f"{nudged[-1]:.0e}",
    }


def result(
    who: str, losses: Any, errors: dict[str, float], seconds: list[float], eager: list[float]
) -> dict[str, str]:
    """How well it has learnt, and how fast."""
    return {
        "trained by": who,
        "loss": f"{losses[-1]:.4f}",
        **{f"{k} error": f"{e:.3f}" for k, e in errors.items()},
        "steps per second": f"{STEPS_A_TURN / statistics.median(seconds):,.0f}",
        "times as fast": f"{statistics.median(eager) / statistics.median(seconds):.2f}",
    }


def main(args: list[str] | None = None) -> None:
    """Runs everything."""
    parser = cli.parser(str(__doc__).splitlines()[0])
    parser.add_argument("--epochs", type=cli.whole(1), default=500, help="epochs of training")
    parser.add_argument("--rounds", type=cli.whole(1), default=20, help="timed turns of each")
    cli.add_out(parser)
    options = parser.parse_args(args)
    cli.pin(1)
    agreements: list[Any] = []
    results: list[Any] = []
    differences: dict[str, Any] = {}
    with (
        cli.all_or_nothing(options.out) as folder,
        cli.other_process() as pool,
        tqdm(total=len(NETWORKS) * (1 + options.rounds), unit="turn") as progress,
    ):
        for network in NETWORKS:
            progress.set_description(f"{network}: exported, and trained by both")
            theirs: Reference = elsewhere(
                pool, "onnx_files.prepare", network, options.seed, options.epochs, folder
            )
            step, predict = (folder / f"{network}-{kind}.onnx" for kind in ("step", "predict"))
            training = Training(step, theirs.params, theirs.feeds, 1)
            losses = training.run(len(theirs.losses))
            agreements.append(agreement(network, step, losses, theirs))
            errors = {k: error_rate(predict, training.params, p) for k, p in theirs.points.items()}
            differences[network] = {
                "ONNX Runtime": np.abs(losses / theirs.losses - 1),
                "PyTorch, a weight one unit up": np.abs(theirs.nudged / theirs.losses - 1),
            }
            progress.update()

            progress.set_description(f"{network}: timed")
            seconds: list[float] = []
            eager: list[float] = []
            for _ in range(options.rounds):
                eager.append(
                    elsewhere(pool, "onnx_files.turn", network, theirs.feeds, STEPS_A_TURN)
                )
                start = time.perf_counter()
                training.run(STEPS_A_TURN)
                seconds.append(time.perf_counter() - start)
                progress.update()
            for row in (
                result("PyTorch", theirs.losses, theirs.errors, eager, eager),
                result("ONNX Runtime", losses, errors, seconds, eager),
            ):
                results.append({"network": network, **row})
        elsewhere(pool, "figures.apart", differences, folder)
        machine = elsewhere(pool, "cli.machine") | {"onnxruntime": onnxruntime.__version__}
        tables = {"What it comes to": results, "How far from PyTorch": agreements}
        report = {"machine": machine, **tables}
        cli.write_json(folder / "onnx.json", report)
    cli.show(tables, options.format, machine)
    loaded = "is" if "torch" in sys.modules else "is not"
    print(f"\nIn the process that trained in ONNX Runtime, torch {loaded} imported.")
    print(f"The files, a figure and onnx.json are in {options.out}.")


if __name__ == "__main__":
    main()
