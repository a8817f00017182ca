"""What bench.py stands on: everybody trains the same, and the race is fair."""

import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import bench
import bench_memory
import pytest
import torch
from contestants import WAYS, begin
from experiment import NETWORKS
from race import Contestant, compare, contest, rows
from torch import Tensor

EAGER = [name for name in WAYS if "compile" not in name and "JAX" not in name]


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", EAGER)
def test_a_contestant_trains_as_pytorch_does(network: str, name: str) -> None:
    theirs = begin(WAYS["PyTorch"], network, 5)()
    right, what = compare(begin(WAYS[name], network, 5)(), theirs, WAYS[name].exact)
    assert right, what


@pytest.mark.parametrize("name", [name for name in bench_memory.WAYS if name != "PyTorch"])
def test_who_is_measured_for_memory_trains_as_pytorch_does(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_memory, "SIZES", [5, 4, 3])
    batch = torch.rand(7, 5), torch.rand(7, 3)

    def losses(who: str) -> list[Tensor]:
        torch.manual_seed(0)
        step = bench_memory.WAYS[who]()
        return [step(*batch) for _ in range(3)]

    assert losses(name) == losses("PyTorch")


def test_memory_is_left_out_with_a_line_where_nothing_tells_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(bench_memory, "PEAK", tmp_path / "none")
    assert bench_memory.measure(Namespace()) == []
    assert capsys.readouterr().err.endswith("memory is left out: only Linux tells it\n")


def gives(value: float, turns: list[str], name: str) -> Callable[[], Callable[[], Tensor]]:
    def turn() -> Tensor:
        turns.append(name)
        return torch.full((2,), value)

    return lambda: turn


def test_whose_losses_are_wrong_is_told_so_and_not_timed() -> None:
    turns: list[str] = []
    contestants = {
        "PyTorch": Contestant(gives(1, turns, "PyTorch")),
        "near": Contestant(gives(1 + 2**-20, turns, "near"), exact=False),
        "near, but exact": Contestant(gives(1 + 2**-20, turns, "near, but exact")),
        "far": Contestant(gives(1.01, turns, "far"), exact=False),
        "not a number": Contestant(gives(float("nan"), turns, "not a number"), exact=False),
    }
    entries = {e.who: e for e in contest({}, contestants, steps=1, rounds=3)}
    assert {who: len(e.values) for who, e in entries.items()} == {
        "PyTorch": 3,
        "near": 3,
        "near, but exact": 0,
        "far": 0,
        "not a number": 0,
    }
    assert [e.losses for e in entries.values()] == [
        "equal bits",
        "within 1e-06",
        "wrong by 1e-06",
        "wrong by 1e-02",
        "wrong by nan",
    ]
    assert rows([*entries.values()])[-1]["times as fast"] == "–"
    assert turns.count("far") == 1


def test_in_each_round_everybody_has_a_turn() -> None:
    turns: list[str] = []
    names = ("PyTorch", "a", "b")
    contestants = {name: Contestant(gives(1, turns, name)) for name in names}
    contest({}, contestants, steps=1, rounds=4, checked=2)
    assert turns[:6] == [name for name in names for _ in range(2)]
    rounds = [turns[i : i + 3] for i in range(6, len(turns), 3)]
    assert len(rounds) == 1 + 4
    assert all(sorted(r) == sorted(names) for r in rounds)
    assert len(set(map(tuple, rounds))) > 1


def test_who_is_not_installed_is_left_out_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    def begin_without() -> Callable[[], Tensor]:
        raise ImportError("No module named 'jax'")

    contestants = {
        "PyTorch": Contestant(gives(1, [], "PyTorch")),
        "JAX": Contestant(begin_without),
    }
    assert [e.who for e in contest({}, contestants, steps=1, rounds=1)] == ["PyTorch"]
    assert "JAX is left out: No module named 'jax'; pip install '.[peers]'\n" in (
        capsys.readouterr().err
    )


def test_bench_prints_its_table_and_writes_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.main(["--only", "threads", "--threads=1", "--rounds=1", f"--out={tmp_path}"])
    printed = capsys.readouterr().out
    assert "threads 1" in printed
    assert "| 2048 " in printed
    assert {f.name for f in tmp_path.iterdir()} == {
        "bench.json",
        "bench-threads.png",
        "bench-threads.svg",
    }
    section = json.loads((tmp_path / "bench.json").read_text())["threads"]
    assert {"CPU", "threads", "torch", "numpy"} <= set(section["machine"])
    assert {e["losses"] for e in section["entries"]} == {"equal bits"}
    assert all(e["values"] for e in section["entries"])


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
    with pytest.raises(SystemExit) as stop:
        bench.main(args)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
