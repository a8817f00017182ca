"""Times functional_dl beside what a user would pick instead, in turns, and checks all losses first.

Ratios are of medians, to the first contestant of each case: PyTorch eager. The quartiles follow in
brackets. Whose losses aren't PyTorch's is reported as wrong, and not timed.
"""

import importlib.metadata
import importlib.util
from argparse import Namespace
from typing import Any

import cli
import figures
from racing.race import Entry
from racing.section import Section
from racing.sections import (
    big,
    cold,
    digits,
    digits_seeds,
    gpt,
    gpt_memory,
    growth,
    memory,
    per_sample,
    seeds,
    step,
    threads,
)

MODULES = (
    *(step, seeds, growth, threads, big, memory),
    *(digits, digits_seeds, per_sample, gpt, gpt_memory, cold),
)
SECTIONS = {m.SECTION.name: m.SECTION for m in MODULES}
PEERS = ("jax", "numpy", "onnxruntime", "openvino")


def measure(section: Section, options: Namespace) -> tuple[list[Entry], dict[str, Any]]:
    """What a section comes to, on what machine; to be called in a process of its own."""
    options.threads = options.threads or section.threads
    cli.use_threads(options.threads)
    entries = section.measure(options)
    peers = {p: importlib.metadata.version(p) for p in PEERS if importlib.util.find_spec(p)}
    return entries, {**cli.machine(), **peers}


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

    measured: dict[Section, tuple[list[Entry], dict[str, Any]]] = {}
    for section in (SECTIONS[name] for name in options.only):
        # A process of its own: its threads, and what it compiles, are no other section's.
        with cli.other_process() as pool:
            entries, machine = pool.submit(measure, section, options).result()
        if entries:
            measured[section] = entries, machine
            cli.show({section.title: section.table(entries)}, options.format, machine)
            print(flush=True)

    report: dict[str, Any] = {"options": {k: str(v) for k, v in vars(options).items()}}
    with cli.all_or_nothing(options.out) as folder:
        for section, (entries, machine) in measured.items():
            figure = section.draw([e for e in entries if e.values])
            figures.save(figure, folder / f"bench-{section.name}")
            report[section.name] = {
                "title": section.title,
                "machine": machine,
                "rows": section.table(entries),
                "entries": [e._asdict() for e in entries],
            }
        cli.write_json(folder / "bench.json", report)
    print(f"Figures and bench.json are in {options.out}.")


if __name__ == "__main__":
    main()
