"""The tables of prove: cases against autograd, planted faults, and the report's training."""

import math
from random import Random
from typing import Any, TypeAlias

import torch
from torch import Tensor
from tqdm import tqdm

import functional_dl as fdl
from proof.faults import FAULTS, draw_right
from proof.parity import ALL, BITS, CASES, TIERS, Triples, distances, laid_out_alike, same_bits
from proof.textbook import FORMULAS
from report.contestant import Contestant
from report.experiment import NETWORKS, POINTS, Points
from report.trainers import CONTESTANTS, PYTORCH, train

Rows = list[dict[str, str]]
Progress: TypeAlias = "tqdm[Any]"


class Tally:
    """Counts cases, and how many of them are equal in every bit, and laid out alike."""

    def __init__(self) -> None:
        self.cases, self.equal, self.alike, self.distance = 0, 0, 0, 0.0

    def add(self, case: Triples) -> list[Tensor]:
        """Counts a case; returns what PyTorch makes of it."""
        triples = list(case)
        self.cases += 1
        self.equal += all(same_bits(ours, theirs) for _, ours, theirs in triples)
        self.alike += all(laid_out_alike(ours, theirs) for _, ours, theirs in triples)
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


def from_float64(name: str, cases: int, seed: int) -> str:
    """How far what isn't PyTorch's to the bit is from double precision, and PyTorch's own."""
    rngs = [Random(f"{seed} {name} {i}") for i in range(cases)]
    case = ALL.get(name)
    found = distances(case, rngs, torch.float32) if hasattr(case, "inexact") else {}
    return ", ".join(f"{k} {ours:.1e} ({theirs:.1e})" for k, (ours, theirs) in found.items())


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
        holds &= ours.equal == ours.alike == ours.cases
        off = from_float64(name, cases, seed)
        for formula, tally in {"functional_dl's": ours, **textbook}.items():
            rows.append(
                {
                    "of": name,
                    "formula": formula,
                    "tier": TIERS[name] if tally is ours else "",
                    "cases": f"{tally.cases:,}",
                    "equal to PyTorch in every bit": f"{tally.equal:,}",
                    "that differ": f"{tally.cases - tally.equal:,}",
                    "laid out otherwise": f"{tally.cases - tally.alike:,}",
                    "largest distance, ulp": f"{tally.distance:,.0f}".replace("inf", "∞"),
                    "PyTorch unlike itself on 2 threads": f"{unlike:,}" if tally is ours else "",
                    "distance to float64 (PyTorch's)": off if tally is ours else "",
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
        differ: dict[Contestant, tuple[list[bool], list[bool]]] = {
            contestant: ([], []) for contestant in CONTESTANTS if contestant is not PYTORCH
        }
        for seed in range(seeds):
            runs: dict[Contestant, list[Tensor]] = {}
            for contestant in CONTESTANTS:
                progress.set_description(f"training: {network}, {contestant.name}")
                torch.manual_seed(seed)
                points = Points.draw(POINTS)
                torch.manual_seed(seed)
                trainer = contestant.begin(network)
                with contestant.context():
                    losses = train(trainer, points, epochs).flatten()
                runs[contestant] = [*losses, *trainer.parameters()]
                progress.update()
            for contestant, (losses, parameters) in differ.items():
                for ours, theirs in zip(runs[contestant], runs[PYTORCH], strict=True):
                    kind = parameters if ours.dim() else losses
                    kind.append(not same_bits(ours, theirs))
        for contestant, (losses, parameters) in differ.items():
            short += sum(losses) + sum(parameters)
            rows.append(
                {
                    "network": str(network),
                    "trained by": contestant.name,
                    "seeds": f"{seeds}",
                    "losses that differ from PyTorch's": f"{sum(losses):,} of {len(losses):,}",
                    "parameters that do": f"{sum(parameters):,} of {len(parameters):,}",
                }
            )
    return rows, short == 0
