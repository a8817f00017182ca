"""Writes what the page that trains needs: its networks, its data, PyTorch's losses, formulas.

The folder holds, for each activation and number of hidden layers, a step and its way forward, as
ONNX files; for each seed, the arrays named in page.json, one after the other in float32; and
page.json, which says the rest. With --probes it is what the page's tests compare with instead.
"""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

import cli
from exported.formulas import FORMULAS, html
from exported.lines import lines
from exported.page_data import REPORTS, arrays_of, probes
from exported.taken_apart import ACTIVATIONS, WIDTHS, write
from report.experiment import BATCH_SIZE, LEARNING_RATE, SIZES

FILES = [(activation, depth + 1) for activation in ACTIVATIONS for depth in range(len(WIDTHS))]
PROBED = (0, 100, 1000)
"""The steps of training that tests compare."""


def write_seed(seed: int, epochs: int, folder: Path) -> dict[str, Tensor]:
    """Writes the arrays of a seed."""
    arrays = arrays_of(seed, epochs)
    flat = torch.cat([a.flatten() for a in arrays.values()])
    (folder / f"seed-{seed}.bin").write_bytes(flat.numpy().astype("<f4").tobytes())
    return arrays


def write_rest(
    files: list[tuple[str, int]], seeds: Iterable[int], epochs: int, folder: Path
) -> None:
    """Writes the networks and the arrays of these seeds, beside who writes the others."""
    cli.use_threads(1)
    cli.pin(1, first=1)
    for activation, depth in files:
        write(activation, depth, folder)
    for seed in seeds:
        write_seed(seed, epochs, folder)


def write_page(folder: Path, seeds: int, epochs: int) -> None:
    """Writes all that the page needs, half of it in another process."""
    with cli.other_process() as pool:
        rest = pool.submit(write_rest, FILES, range(1, seeds, 2), epochs, folder)
        arrays: dict[str, Tensor] = {}
        for seed in tqdm(range(0, seeds, 2), unit="seed", desc="PyTorch trains"):
            arrays = write_seed(seed, epochs, folder)
        page = {
            "activations": [*ACTIVATIONS],
            "depth": len(WIDTHS),
            "seeds": seeds,
            "report": {
                "activations": [*REPORTS],
                "sizes": SIZES,
                "batch": BATCH_SIZE,
                "lr": LEARNING_RATE,
            },
            "arrays": {k: list(a.shape) for k, a in arrays.items()},
            "formulas": {name: html(name) for name in FORMULAS},
            "lines": lines(),
        }
        rest.result()
    cli.write_json(folder / "page.json", page)


def main(args: list[str] | None = None) -> None:
    """Writes everything, or the probes."""
    parser = cli.Parser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--seeds", type=cli.whole(1), default=10, help="from 0 on, so many")
    parser.add_argument("--epochs", type=cli.whole(1), default=500, help="that PyTorch trains")
    parser.add_argument("--probes", action="store_true", help="write what tests compare with")
    cli.add_out(parser, "playground/public")
    options = parser.parse_args(args)
    cli.use_threads(1)
    with cli.all_or_nothing(options.out) as folder:
        if options.probes:
            found = [probe for activation in REPORTS for probe in probes(activation, PROBED)]
            cli.write_json(folder / "probes.json", found)
        else:
            write_page(folder, options.seeds, options.epochs)


if __name__ == "__main__":
    main()
