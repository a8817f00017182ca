"""Writes what the page that trains needs: its networks, its data, PyTorch's losses, formulas.

The folder holds, for each network, the step and what all units give, as ONNX files; for each seed,
the arrays named in page.json, one after the other in float32; and page.json, which says the rest.
"""

import torch
from torch import Tensor
from tqdm import tqdm

import cli
from exported.files import write
from exported.formulas import explained
from exported.page_data import arrays_of, units_of
from functional_dl.export import to_onnx
from report.experiment import BATCH_SIZE, LEARNING_RATE, NETWORKS, SIZES


def main(args: list[str] | None = None) -> None:
    """Writes everything."""
    parser = cli.Parser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--seeds", type=cli.whole(1), default=10, help="from 0 on, so many")
    parser.add_argument("--epochs", type=cli.whole(1), default=500, help="that PyTorch trains")
    cli.add_out(parser, "playground/public")
    options = parser.parse_args(args)
    cli.use_threads(1)
    with cli.all_or_nothing(options.out) as folder:
        arrays: dict[str, Tensor] = {}
        for seed in tqdm(range(options.seeds), unit="seed", desc="PyTorch trains"):
            arrays = arrays_of(seed, options.epochs)
            flat = torch.cat([a.flatten() for a in arrays.values()])
            (folder / f"seed-{seed}.bin").write_bytes(flat.numpy().astype("<f4").tobytes())
        for network in NETWORKS:
            write(network, folder / f"{network}-step.onnx")
            example = (network.core().init(), torch.rand(2, 2))
            to_onnx(units_of(network), example, folder / f"{network}-units.onnx")
        page = {
            "networks": [str(network) for network in NETWORKS],
            "sizes": SIZES,
            "seeds": options.seeds,
            "batch": BATCH_SIZE,
            "lr": LEARNING_RATE,
            "arrays": {k: list(a.shape) for k, a in arrays.items()},
            "layers": explained(),
        }
        cli.write_json(folder / "page.json", page)


if __name__ == "__main__":
    main()
