"""Times functional_dl beside what a user would pick instead, in turns, and checks all losses first.

Ratios are of medians, to the first contestant of each case: PyTorch eager. The quartiles follow in
brackets. Whose losses aren't PyTorch's is reported as wrong, and not timed.
"""

import importlib.metadata
import importlib.util
from argparse import Namespace
from typing import Any

import bench_figures
import cli
import race

SECTIONS = {
    "step": "The report's step",
    "seeds": "Many seeds, for a step of each network",
    "growth": "How the cost grows with width and batch",
    "threads": "How it grows with width on one thread and on two, batch 128",
    "big": "Big networks, 784 → width → width → width → 10",
    "memory": "The most memory beyond that before the first step, 8 layers of 2048, batch 1024",
    "cold": "From the command to the result of 500 epochs, with nothing compiled before",
}

PEERS = ("jax", "numpy", "onnxruntime", "openvino")


def measure(section: str, options: Namespace) -> tuple[list[race.Entry], dict[str, Any]]:
    """What a section comes to, on what machine; to be called in a process of its own."""
    module = importlib.import_module(f"bench_{section}")
    options.threads = options.threads or module.THREADS
    cli.use_threads(options.threads)
    entries = module.measure(options)
    peers = {p: importlib.metadata.version(p) for p in PEERS if importlib.util.find_spec(p)}
    return entries, {**cli.machine(), **peers}


def table(section: str, entries: list[race.Entry]) -> list[dict[str, Any]]:
    """A section's table."""
    return getattr(importlib.import_module(f"bench_{section}"), "table", race.rows)(entries)


def main(args: list[str] | None = None) -> None:
    """Runs the sections."""
    parser = cli.parser(str(__doc__).splitlines()[0])
    parser.add_argument("--only", choices=SECTIONS, nargs="+", default=[*SECTIONS], help="sections")
    parser.add_argument(
        "--rounds", type=cli.whole(1), help="turns of each; else as fits the section"
    )
    parser.add_argument("--threads", type=cli.whole(1), help="for all; else as fits the section")
    cli.add_out(parser)
    options = parser.parse_args(args)

    report: dict[str, Any] = {"options": {k: str(v) for k, v in vars(options).items()}}
    with cli.all_or_nothing(options.out) as folder:
        for section in options.only:
            # A process of its own: its threads, and what it compiles, are no other section's.
            with cli.other_process() as pool:
                entries, machine = pool.submit(measure, section, options).result()
            if not entries:
                continue
            bench_figures.draw(section, entries, folder)
            report[section] = {"machine": machine, "entries": [e._asdict() for e in entries]}
            cli.show({SECTIONS[section]: table(section, entries)}, options.format, machine)
            print()
        cli.write_json(folder / "bench.json", report)
    print(f"Figures and bench.json are in {options.out}.")


if __name__ == "__main__":
    main()
