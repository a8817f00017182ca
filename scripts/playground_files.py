"""Writes what the page that trains needs: its networks, its data, PyTorch's losses, formulas.

The folder holds, for each network, the step and what all units give, as ONNX files; for each seed,
the arrays named in page.json, one after the other in float32; and page.json, which says the rest.
"""

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import cli
import exported
import torch
from experiment import (
    BATCH_SIZE,
    LEARNING_RATE,
    NETWORKS,
    POINTS,
    SIZES,
    Points,
    functional_model,
    pytorch,
    train,
)
from torch import Tensor
from torch.compiler import is_exporting
from torch.utils._python_dispatch import TorchDispatchMode
from tqdm import tqdm

import functional_dl as fdl
from functional_dl.export import export, to_onnx

EXPLAINED = (fdl.linear, fdl.relu, fdl.tanh, fdl.mse, fdl.sgd)


def units_of(network: str) -> Callable[[fdl.Params, Tensor], Tensor]:
    """(params, inputs) ↦ what the units give, N×79: the inputs, the hidden ones, the outputs."""
    layers: dict[str, fdl.Layer] = functional_model(network).layers

    def units(params: fdl.Params, inputs: Tensor) -> Tensor:
        given = [inputs]
        for k, layer in layers.items():
            given.append(layer.apply(params[k], given[-1]))
        return torch.cat([*given[::2], given[-1]], 1)

    return units


def arrays_of(seed: int, epochs: int) -> dict[str, Tensor]:
    """What a page with this seed begins with, and the losses that PyTorch comes to."""
    torch.manual_seed(seed)
    points = {"training": Points.draw(POINTS), "test": Points.draw(POINTS)}
    arrays = {f"{kind}.{k}": v for kind, p in points.items() for k, v in p._asdict().items()}
    for network in NETWORKS:
        torch.manual_seed(seed)
        contestant = pytorch(network)
        if network == NETWORKS[0]:  # all begin with the same
            names = fdl.to_state_dict(functional_model(network).init(device="meta"))
            start = zip(names, contestant.parameters(), strict=True)
            arrays |= {f"params.{k}": p.clone() for k, p in start}
        arrays[f"{network}.losses"] = train(contestant, points["training"], epochs).flatten()
    return arrays


class Lines(TorchDispatchMode):
    """Notes which lines of some files compute something while torch.export looks on."""

    def __init__(self, files: set[str]) -> None:
        super().__init__()
        self.files = files
        self.seen: set[tuple[str, int]] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Notes the innermost such line, and computes."""
        frame: FrameType | None = inspect.currentframe()
        while frame and frame.f_code.co_filename not in self.files:
            frame = frame.f_back
        if frame and is_exporting():
            self.seen.add((frame.f_code.co_filename, frame.f_lineno))
        return func(*args, **(kwargs or {}))


def explained() -> dict[str, Any]:
    """The formulas of each layer, from its docstring, and its lines that the exported steps run."""
    files = {inspect.getfile(f): f for f in EXPLAINED}
    lines = Lines(set(files))
    for network in NETWORKS:
        step = exported.step_of(network)

        def noted(*args: Any, step: Callable[..., Any] = step) -> Any:
            with lines:
                return step(*args)

        export(noted, (functional_model(network).init(), *Points.draw(2), LEARNING_RATE))
    return {
        f.__name__: {
            "file": f"functional_dl/{Path(file).name}",
            "formulas": formulas(inspect.getdoc(f) or ""),
            "lines": [
                [n, Path(file).read_text().splitlines()[n - 1].strip()]
                for of, n in sorted(lines.seen)
                if of == file
            ],
        }
        for file, f in files.items()
    }


def formulas(doc: str) -> list[str]:
    """The first line of a docstring, and the block that follows the word Backward."""
    block = re.search(r"^Backward[^:]*:\n\n((?: {4}.+\n)+)", doc, re.MULTILINE)
    return [doc.splitlines()[0], *map(str.strip, block[1].splitlines() if block else ())]


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
            exported.write(network, folder / f"{network}-step.onnx")
            example = (functional_model(network).init(), torch.rand(2, 2))
            to_onnx(units_of(network), example, folder / f"{network}-units.onnx")
        page = {
            "networks": NETWORKS,
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
