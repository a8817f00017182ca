"""Trains the report's networks in ONNX Runtime, from exported files and without torch.

PyTorch, which the files are made with and which trains beside, is in a process of its own.
"""

import sys
import time
from typing import Any

import onnxruntime
from tqdm import tqdm

import cli
import figures
from exported import reference
from exported.reference import Reference
from exported.runtime import Training
from exported.tables import STEPS_A_TURN, agreement, draw, error_rate, result


def main(args: list[str] | None = None) -> None:
    """Runs everything."""
    parser = cli.parser(str(__doc__).splitlines()[0])
    parser.add_argument("--epochs", type=cli.whole(1), default=500, help="epochs of training")
    parser.add_argument("--rounds", type=cli.whole(1), default=20, help="timed turns of each")
    cli.add_out(parser)
    options = parser.parse_args(args)
    cli.pin(1)
    agreements: list[dict[str, str]] = []
    results: list[dict[str, str]] = []
    losses: list[tuple[Any, Reference]] = []
    with cli.all_or_nothing(options.out) as folder:
        with cli.other_process() as pool, tqdm(unit="turn") as progress:
            progress.set_description("exported, and trained by PyTorch")
            prepared = pool.submit(reference.prepare, options.seed, options.epochs, folder).result()
            progress.reset(len(prepared) * options.rounds)
            for theirs in prepared:
                progress.set_description(f"{theirs.network}: trained")
                step, predict = (
                    folder / f"{theirs.network}-{kind}.onnx" for kind in ("step", "predict")
                )
                training = Training(step, theirs.params, theirs.feeds, 1)
                ours = training.run(len(theirs.losses))
                losses.append((ours, theirs))
                agreements.append(agreement(step, ours, theirs))
                points = theirs.points.items()
                errors = {k: error_rate(predict, training.params, p) for k, p in points}

                progress.set_description(f"{theirs.network}: timed")
                seconds: list[float] = []
                eager: list[float] = []
                for _ in range(options.rounds):
                    turn = pool.submit(reference.turn, theirs.network, STEPS_A_TURN)
                    eager.append(turn.result())
                    start = time.perf_counter()
                    training.run(STEPS_A_TURN)
                    seconds.append(time.perf_counter() - start)
                    progress.update()
                of_pytorch = (theirs.losses, theirs.errors, eager, eager)
                results.append(result(theirs.network, "PyTorch", *of_pytorch))
                of_runtime = (ours, errors, seconds, eager)
                results.append(result(theirs.network, "ONNX Runtime", *of_runtime))
            machine = pool.submit(cli.machine).result() | {"onnxruntime": onnxruntime.__version__}

        tables = {"What it comes to": results, "How far from PyTorch": agreements}
        cli.show(tables, options.format, machine)
        figures.save(draw(losses), folder / "onnx")
        cli.write_json(folder / "onnx.json", {"machine": machine, **tables})
    loaded = "is" if "torch" in sys.modules else "is not"
    print(f"\nIn the process that trained in ONNX Runtime, torch {loaded} imported.")
    print(f"The files, a figure and onnx.json are in {options.out}.")


if __name__ == "__main__":
    main()
