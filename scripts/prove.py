"""Proves that functional_dl equals PyTorch in every bit, and that check_vjp misses nothing.

Prints three tables: cases drawn by parity.py, the faults of faults.py, and the report's training
over many seeds. Exits with status 1 when anything falls short.
"""

import math
import sys
from random import Random
from typing import Any, TypeAlias

import cli
import torch
from experiment import CONTESTANTS, NETWORKS, Points, train
from faults import FAULTS, draw_right
from parity import CASES, Triples, same_bits
from textbook import FORMULAS
from torch import Tensor
from tqdm import tqdm

import functional_dl as fdl
from functional_dl._numerics import BITS

Rows = list[dict[str, str]]
Progress: TypeAlias = "tqdm[Any]"


class Tally:
    """Counts cases, and how many of them are equal in every bit."""

    def __init__(self) -> None:
        self.cases, self.equal, self.distance = 0, 0, 0.0

    def add(self, case: Triples) -> list[Tensor]:
        """Counts a case; returns what PyTorch makes of it."""
        triples = list(case)
        self.cases += 1
        self.equal += all(same_bits(ours, theirs) for _, ours, theirs in triples)
        self.distance = max(self.distance, *(ulps(ours, theirs) for _, ours, theirs in triples))
        return [theirs for _, _, theirs in triples]


def ulps(a: Tensor, b: Tensor) -> float:
    """The largest distance of two elements in units in the last place; ∞ to what isn't finite."""
    if a.shape != b.shape or a.dtype != b.dtype or not torch.equal(a.isfinite(), b.isfinite()):
        return math.inf
    bits = BITS[a.element_size()]
    places: list[Tensor] = []
    for t in (a, b):
        place = t.nan_to_num(0, 0, 0).abs().view(bits).double()
        places.append(torch.where(t < 0, -place, place))  # in the order of the numbers
    return (places[0] - places[1]).abs().amax().item() if a.numel() else 0.0


def parity_table(cases: int, seed: int, progress: Progress) -> tuple[Rows, bool]:
    """Each case on one thread and on two, with our formulas and with the textbook's."""
    rows: Rows = []
    holds = True
    before = torch.get_num_threads()
    for name, case in CASES.items():
        ours, textbook = Tally(), {formula: Tally() for formula in FORMULAS.get(name, {})}
        unlike = 0
        for i in range(cases):
            progress.set_description(f"parity: {name}")
            theirs: list[list[Tensor]] = []
            for threads in (1, 2):
                torch.set_num_threads(threads)
                theirs.append(ours.add(case(Random(f"{seed} {name} {i}"))))
                for formula, tally in textbook.items():
                    tally.add(case(Random(f"{seed} {name} {i}"), FORMULAS[name][formula]))
            unlike += not all(map(same_bits, *theirs))
            progress.update()
        holds &= ours.equal == ours.cases
        for formula, tally in {"functional_dl's": ours, **textbook}.items():
            rows.append(
                {
                    "of": name,
                    "formula": formula,
                    "cases": f"{tally.cases:,}",
                    "equal to PyTorch in every bit": f"{tally.equal:,}",
                    "that differ": f"{tally.cases - tally.equal:,}",
                    "largest distance, ulp": f"{tally.distance:,.0f}".replace("inf", "∞"),
                    "PyTorch unlike itself on 2 threads": f"{unlike:,}" if tally is ours else "",
                }
            )
    torch.set_num_threads(before)
    return rows, holds


def verdict(f: fdl.Layer | fdl.Loss, primals: tuple[Any, Tensor]) -> str:
    """What check_vjp says breaks, and where; nothing if all holds."""
    try:
        fdl.check_vjp(f, *primals)
    except fdl.VjpError as error:
        return str(error).removeprefix("check_vjp: ").split(": analytic")[0].splitlines()[0][:90]
    return ""


def checker_table(draws: int, seed: int, progress: Progress) -> tuple[Rows, bool]:
    """Each planted fault, and right layers and losses."""
    rows: Rows = []
    caught, flagged = 0, 0
    for name, fault in FAULTS.items():
        progress.set_description("planted faults")
        said = verdict(fault.broken(), fault.primals())
        found = said.startswith(f"{fault.breaks}, ")
        caught += found
        rows.append({"planted fault": name, "caught": "yes" if found else "no", "as": said})
        progress.update()
    for i in range(draws):
        progress.set_description("right layers and losses")
        flagged += verdict(*draw_right(Random(f"{seed} {i}"))) != ""
        progress.update()
    rows.append({"planted fault": "all", "caught": f"{caught} of {len(FAULTS)}", "as": ""})
    rows.append({"planted fault": "none", "caught": f"{flagged} of {draws:,}", "as": ""})
    return rows, caught == len(FAULTS) and flagged == 0


def training_table(seeds: int, epochs: int, progress: Progress) -> tuple[Rows, bool]:
    """The report's networks, trained from many seeds."""
    rows: Rows = []
    short = 0
    for network in NETWORKS:
        differ: dict[str, tuple[list[bool], list[bool]]] = {who: ([], []) for who in CONTESTANTS}
        for seed in range(seeds):
            runs: dict[str, list[Tensor]] = {}
            for who, contestant in CONTESTANTS.items():
                progress.set_description(f"training: {network}, {who}")
                torch.manual_seed(seed)
                points = Points.draw(1000)
                torch.manual_seed(seed)
                trained = contestant(network)
                runs[who] = [*train(trained, points, epochs).flatten(), *trained.parameters()]
                progress.update()
            for who, (losses, parameters) in differ.items():
                for ours, theirs in zip(runs[who], runs["PyTorch"], strict=True):
                    kind = parameters if ours.dim() else losses
                    kind.append(not same_bits(ours, theirs))
        del differ["PyTorch"]
        for who, (losses, parameters) in differ.items():
            short += sum(losses) + sum(parameters)
            rows.append(
                {
                    "network": network,
                    "trained by": who,
                    "seeds": f"{seeds}",
                    "losses that differ from PyTorch's": f"{sum(losses):,} of {len(losses):,}",
                    "parameters that do": f"{sum(parameters):,} of {len(parameters):,}",
                }
            )
    return rows, short == 0


def main(args: list[str] | None = None) -> None:
    """Prints the tables; exits with status 1 when anything falls short."""
    parser = cli.parser(str(__doc__).splitlines()[0])
    parser.add_argument("--cases", type=cli.whole(1), default=850, help="drawn of each kind")
    parser.add_argument("--draws", type=cli.whole(1), default=1000, help="of right layers")
    parser.add_argument("--seeds", type=cli.whole(1), default=20, help="trained from")
    parser.add_argument("--epochs", type=cli.whole(1), default=500, help="of training")
    options = parser.parse_args(args)

    runs = options.seeds * len(NETWORKS) * len(CONTESTANTS)
    total = options.cases * len(CASES) + len(FAULTS) + options.draws + runs
    with tqdm(total=total, unit="") as progress:
        tables = {
            "Parity": parity_table(options.cases, options.seed, progress),
            "Checker": checker_table(options.draws, options.seed, progress),
            "Training": training_table(options.seeds, options.epochs, progress),
        }
    cli.show({name: rows for name, (rows, _) in tables.items()}, options.format)
    sys.exit(0 if all(holds for _, holds in tables.values()) else 1)


if __name__ == "__main__":
    main()
