"""What bench.py stands on: everybody trains the same, and the race is fair."""

import json
import os
import random
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

import bench
import cli
import figures
from classifier.networks import CNN, MLP
from classifier.networks import Network as DigitsNetwork
from conftest import assert_refused
from language.plan import Plan
from racing import digits_contestants, gpt_contestants
from racing.contestants import (
    COMPILED_MODEL,
    CONTESTANTS,
    CORE_COMPILED_ALL,
    CORE_COMPILED_EPOCH,
    CORE_COMPILED_STEP,
    JAX_ALL,
    JAX_EPOCH,
    PYTORCH,
    TORCH_FUNC,
    on_report,
)
from racing.race import Entry, compare, contest, rows, start
from racing.section import Section
from racing.sections import (
    digits_seeds,
    gpt_memory,
    growth,
    memory,
    per_sample,
    seeds,
    threads,
)
from report.contestant import Contestant, Whose
from report.experiment import NETWORKS, Network

COMPILED = {COMPILED_MODEL, CORE_COMPILED_ALL, CORE_COMPILED_EPOCH, CORE_COMPILED_STEP}
SLOW = COMPILED | {JAX_ALL, JAX_EPOCH, TORCH_FUNC}  # to compile
DIGITS_NETWORKS = (MLP, CNN)
EAGER = [c for c in CONTESTANTS if c not in SLOW]


@pytest.mark.parametrize("network", NETWORKS, ids=str)
@pytest.mark.parametrize("contestant", EAGER, ids=lambda c: c.name)
@pytest.mark.usefixtures("exported_once")
def test_a_contestant_trains_as_pytorch_does(network: Network, contestant: Contestant) -> None:
    theirs = start(on_report(PYTORCH, network, 5))()
    ours = start(on_report(contestant, network, 5))()
    right, what = compare(ours, theirs, contestant.exact)
    assert right, what


@pytest.mark.parametrize("contestant", memory.CONTESTANTS[1:], ids=lambda c: c.name)
def test_who_is_measured_for_memory_trains_as_pytorch_does(
    contestant: Contestant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "SIZES", [5, 4, 3])
    batch = torch.rand(7, 5), torch.rand(7, 3)

    def losses(who: Contestant) -> list[Tensor]:
        torch.manual_seed(0)
        step = who.begin()
        return [step(*batch) for _ in range(3)]

    assert losses(contestant) == losses(memory.PYTORCH)


@pytest.mark.parametrize("network", DIGITS_NETWORKS, ids=str)
@pytest.mark.parametrize("contestant", digits_contestants.QUICK[1:], ids=lambda c: c.name)
def test_a_contestant_trains_on_digits_as_pytorch_does(
    network: DigitsNetwork, contestant: Contestant
) -> None:
    theirs, ours = (
        start(digits_contestants.on_digits(c, network))()
        for c in (digits_contestants.PYTORCH, contestant)
    )
    right, what = compare(ours, theirs, contestant.exact)
    assert right, what


@pytest.mark.parametrize("plan", gpt_contestants.PLANS[:2], ids=lambda p: p.style)
@pytest.mark.parametrize("contestant", gpt_contestants.QUICK[1:], ids=lambda c: c.name)
def test_a_contestant_trains_a_gpt_as_pytorch_does(plan: Plan, contestant: Contestant) -> None:
    small = replace(plan, width=8, block=9, batch=2)
    theirs, ours = (
        start(gpt_contestants.on_text(c, small))() for c in (gpt_contestants.PYTORCH, contestant)
    )
    right, what = compare(ours, theirs, contestant.exact)
    assert right, what


@pytest.mark.parametrize("contestant", digits_seeds.EAGER, ids=lambda c: c.name)
def test_seeds_of_digits_train_side_by_side_as_one_by_one(
    contestant: Contestant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digits_seeds, "SEEDS", 2)
    theirs, ours = (start(c)() for c in (digits_seeds.PYTORCH, contestant))
    right, what = compare(ours, theirs, contestant.exact)
    assert right, what


@pytest.mark.parametrize("network", DIGITS_NETWORKS, ids=str)
def test_gradients_of_each_sample_are_those_of_torch_func(network: DigitsNetwork) -> None:
    theirs, ours = (
        start(per_sample.on_digits(c, network))() for c in (per_sample.FUNC, per_sample.CORE)
    )
    right, what = compare(ours, theirs, exact=False)
    assert right, what


def test_large_networks_train_as_pytorch_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "WIDTHS", (16, 64))
    monkeypatch.setattr(threads.cli, "use_threads", lambda _: None)
    entries = threads.measure(Namespace(rounds=1, seed=0, threads=1))
    assert {e.losses for e in entries} == {"equal bits"}
    assert [e.case["width"] for e in entries] == 3 * [16] + 3 * [64]


def drawn(section: Section) -> list[Entry]:
    """Entries of a section, with values drawn."""
    rng = random.Random(0)
    pair = (("PyTorch", Whose.PYTORCH), ("core", Whose.OURS))
    of_seeds = [(c.name, c.whose) for c in (*seeds.CONTESTANTS, *seeds.EXPORTED)]
    cases = {
        "growth": [{"width": w, "batch": n} for w in growth.WIDTHS for n in growth.BATCHES],
        "threads": [{"width": w, "threads": n} for w in growth.WIDTHS for n in (1, 2)],
        "seeds": [{"network": str(n), "seeds": s} for n in NETWORKS for s in seeds.SEEDS],
        "memory": [{"malloc": "as it is"}],
        "gpt-memory": [gpt_contestants.case_of(plan) for plan in gpt_contestants.PLANS],
    }.get(section.name, [{"network": str(n)} for n in NETWORKS])
    names = of_seeds if section is seeds.SECTION else pair
    return [
        Entry(case, who, whose, "equal bits", [rng.random()])
        for case in cases
        for who, whose in names
    ]


@pytest.mark.parametrize("section", bench.SECTIONS.values(), ids=lambda s: s.name)
def test_a_section_has_a_table_and_a_figure(section: Section, tmp_path: Path) -> None:
    entries = drawn(section)
    assert section.table(entries)
    figures.save(section.draw(entries), tmp_path / section.name)
    assert {f.suffix for f in tmp_path.iterdir()} == {".png", ".svg"}


@pytest.mark.parametrize("section", [memory, gpt_memory], ids=lambda m: m.SECTION.name)
def test_memory_is_left_out_with_a_line_where_nothing_tells_it(
    section: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(section, "PEAK", tmp_path / "none")
    assert section.measure(Namespace()) == []
    what = f"{section.SECTION.name} is left out: only Linux tells it\n"
    assert capsys.readouterr().err.endswith(what)


def gives(value: float, turns: list[str], name: str) -> Callable[[], Callable[[], Tensor]]:
    def turn() -> Tensor:
        turns.append(name)
        return torch.full((2,), value)

    return lambda: turn


def contestant(name: str, begin: Callable[[], Callable[[], Tensor]], exact: bool) -> Contestant:
    return Contestant(name, Whose.PEER, begin, exact)


def test_whose_losses_are_wrong_is_told_so_and_not_timed() -> None:
    turns: list[str] = []
    contestants = [
        contestant(name, gives(value, turns, name), exact)
        for name, value, exact in (
            ("PyTorch", 1, True),
            ("near", 1 + 2**-20, False),
            ("near, but exact", 1 + 2**-20, True),
            ("far", 1.01, False),
            ("not a number", float("nan"), False),
        )
    ]
    entries = contest({}, contestants, steps=1, rounds=3)
    assert {e.who: len(e.values) for e in entries} == {
        "PyTorch": 3,
        "near": 3,
        "near, but exact": 0,
        "far": 0,
        "not a number": 0,
    }
    assert [e.losses for e in entries] == [
        "equal bits",
        "within 1e-06",
        "wrong by 1e-06",
        "wrong by 1e-02",
        "wrong by nan",
    ]
    assert rows(entries)[-1]["times as fast"] == "–"
    assert turns.count("far") == 1


def test_in_each_round_everybody_has_a_turn() -> None:
    turns: list[str] = []
    names = ("PyTorch", "a", "b")
    contestants = [contestant(name, gives(1, turns, name), True) for name in names]
    contest({}, contestants, steps=1, rounds=4, checked=2)
    assert turns[:6] == [name for name in names for _ in range(2)]
    rounds = [turns[i : i + 3] for i in range(6, len(turns), 3)]
    assert len(rounds) == 1 + 4
    assert all(sorted(r) == sorted(names) for r in rounds)
    assert len(set(map(tuple, rounds))) > 1


def test_who_is_not_installed_is_left_out_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    def begin_without() -> Callable[[], Tensor]:
        raise ImportError("No module named 'jax'")

    contestants = [
        contestant("PyTorch", gives(1, [], "PyTorch"), True),
        contestant("JAX", begin_without, True),
    ]
    assert [e.who for e in contest({}, contestants, steps=1, rounds=1)] == ["PyTorch"]
    assert "JAX is left out: No module named 'jax'; pip install '.[peers]'\n" in (
        capsys.readouterr().err
    )


def measure_nothing(options: Namespace) -> list[Entry]:
    """Two entries at once."""
    return [Entry({"seed": options.seed}, w, w, "equal bits", [1.0, 2.0]) for w in Whose]


@pytest.mark.usefixtures("one_process", "unpinned")
def test_bench_prints_its_table_and_writes_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    section = Section("none", "Nothing", 1, measure_nothing, rows, bench.SECTIONS["step"].draw)
    monkeypatch.setitem(bench.SECTIONS, "none", section)
    bench.main(["--only", "none", f"--out={tmp_path}"])
    printed = capsys.readouterr().out
    assert "threads 1" in printed
    assert "Nothing\n" in printed
    assert "| PyTorch " in printed
    assert {f.name for f in tmp_path.iterdir()} == {
        "bench.json",
        "bench-none.png",
        "bench-none.svg",
    }
    report = json.loads((tmp_path / "bench.json").read_text())["none"]
    assert {"CPU", "threads", "torch", "numpy"} <= set(report["machine"])
    assert [e["whose"] for e in report["entries"]] == [*Whose]
    assert [row["trained by"] for row in report["rows"]] == [*Whose]
    assert report["title"] == "Nothing"


def test_what_is_measured_has_a_process_of_its_own() -> None:
    with cli.other_process() as pool:
        assert pool.submit(os.getpid).result() != os.getpid()


@pytest.mark.slow
def test_an_interrupt_leaves_a_line_and_no_process(interrupt: Callable[..., None]) -> None:
    interrupt("bench.py", "--only", "threads", until="checked")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--only", "steps"], "argument --only: invalid choice: 'steps'"),
        (["--rounds=0"], "argument --rounds: expected a whole number from 1, got '0'"),
        (["--threads=no"], "argument --threads: expected a whole number from 1, got 'no'"),
    ],
    ids=["section", "rounds", "threads"],
)
def test_wrong_arguments_get_one_clear_line_and_status_2(
    args: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_refused(bench.main, args, message, capsys)
