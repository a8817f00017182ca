"""`average` is the mean over ranks; what one rank can't average is an error on all, at once.

The ranks are threads, each with a world of its own, connected by gloo as processes are.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import reduce
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
import torch
from torch import distributed as dist
from torch.testing._internal.distributed.multi_threaded_pg import ThreadLocalWorld

from cases import same_trees
from functional_dl import tree_map
from functional_dl.distributed import average

Run = Callable[..., list[Any]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs a function of the rank on all ranks: what it returns on each."""
    monkeypatch.setattr(dist.distributed_c10d, "_world", ThreadLocalWorld())
    isolate = torch._C._distributed_c10d._set_thread_isolation_mode
    isolate(True)

    def run(ranks: int, f: Callable[[int], Any], backend: str = "gloo") -> list[Any]:
        store = dist.HashStore()
        timeout = timedelta(seconds=5)
        done = Barrier(ranks)

        def on(rank: int) -> Any:
            dist.init_process_group(
                backend, store=store, rank=rank, world_size=ranks, timeout=timeout
            )
            try:
                result = f(rank)
                with suppress(BrokenBarrierError):
                    done.wait()  # nobody leaves while another is still at the last mean
                return result
            finally:
                done.abort()
                if dist.is_initialized():
                    dist.destroy_process_group()

        with ThreadPoolExecutor(ranks) as pool:
            each = [pool.submit(on, rank) for rank in range(ranks)]
            return [future.result() for future in each]

    yield run
    isolate(False)


def outcome(f: Callable[..., Any], *args: Any) -> Any:
    """What it returns or raises."""
    try:
        return f(*args)
    except Exception as error:
        return error


def drawn(seed: int, size: int) -> dict[str, Any]:
    """A tree of several dtypes; sizes 0 and 1, zeros of either sign and a shared leaf in it."""
    g = torch.Generator().manual_seed(seed)
    shared = torch.randn(3, generator=g)
    return {
        "0": {"weight": torch.randn(2, 3, generator=g).mT, "bias": shared},
        "1": {},
        "2": [torch.randn(size, generator=g), torch.randn(0, 4, generator=g)],
        "3": (torch.randn((), generator=g).double(), torch.randn(9, generator=g).half()),
        "4": torch.randn(9, generator=g).bfloat16(),
        "5": shared,
        "6": torch.tensor([0.0, -0.0]),
    }


SIZES = [5, 5000]
"""With these, the tree goes with the first message, or after it."""


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_it_is_the_mean_of_all_kinds_of_leaves_in_every_bit_on_all_ranks(
    run: Run, ranks: int, size: int
) -> None:
    trees = [drawn(seed, size) for seed in range(ranks)]
    if ranks == 3:  # whole multiples of it, so that the order of sums makes no difference
        trees = tree_map(lambda leaf: (4 * leaf).round() * 3, trees)
    before = tree_map(torch.clone, trees)
    expected = tree_map(lambda *leaves: reduce(torch.add, [p / ranks for p in leaves]), *trees)
    for mean in run(ranks, lambda rank: average(trees[rank])):
        assert same_trees(mean, expected)
    assert same_trees(trees, before)


@pytest.mark.parametrize("size", SIZES)
def test_leaves_are_divided_before_they_are_summed(run: Run, size: int) -> None:
    largest = torch.full((3 * size,), 65504.0, dtype=torch.float16)  # twice that is infinite
    for mean in run(2, lambda _: average(largest)):
        assert torch.equal(mean, largest)


@pytest.mark.parametrize("size", SIZES)
def test_the_mean_shares_no_memory_and_is_part_of_no_graph(run: Run, size: int) -> None:
    leaf = torch.ones(size, requires_grad=True)
    (mean,) = run(1, lambda _: average(leaf))
    assert torch.equal(mean, leaf)
    assert mean.data_ptr() != leaf.data_ptr()
    assert not mean.requires_grad


def test_some_ranks_may_be_in_inference_mode(run: Run) -> None:
    def on(rank: int) -> list[torch.Tensor]:
        with torch.inference_mode(rank == 0):
            return [average(torch.full((size,), float(rank))) for size in SIZES]

    for means in run(2, on):
        assert same_trees(means, [torch.full((size,), 0.5) for size in SIZES])


def test_shares_of_different_sizes_are_weighted_as_the_docstring_says(run: Run) -> None:
    batch = torch.tensor([1.0, 2.0, 4.0, 9.0])
    shares = [batch[:1], batch[1:]]
    for mean in run(2, lambda rank: average(2 * len(shares[rank]) / 4 * shares[rank].mean())):
        assert torch.equal(mean, batch.mean())


@pytest.mark.parametrize(("size", "more"), [(4088, []), (4089, [4089])])  # of 4 bytes; a mark of 32
def test_a_tree_of_up_to_16_kib_takes_one_message(
    run: Run, size: int, more: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(dist, "all_reduce", lambda buffer, group: sizes.append(len(buffer)))
    run(1, lambda _: average(torch.ones(size)))
    assert sizes == more


def test_ranks_without_a_leaf_agree(run: Run) -> None:
    assert run(2, lambda _: average({"a": [], "b": ()})) == [{"a": [], "b": ()}] * 2


A = torch.ones(2)
MANY = torch.ones(5000)

ALIKE = {
    "{'a': (torch.float32, (2,), 'cpu')}": {"a": A},
    "{'b': [(torch.float32, (5000,), 'cpu'), (torch.float16, (2,), 'cpu')]}": {
        "b": [MANY, A.half()]
    },
}

OTHERS = {  # and what the message has for each
    "a larger dtype": ({"a": A.double()}, "{'a': (torch.float64, (2,), 'cpu')}"),
    "a smaller dtype": ({"a": A.half()}, "{'a': (torch.float16, (2,), 'cpu')}"),
    "more dtypes": (
        {"a": A, "b": A.half()},
        "{'a': (torch.float32, (2,), 'cpu'), 'b': (torch.float16, (2,), 'cpu')}",
    ),
    "another key": ({"c": A}, "{'c': (torch.float32, (2,), 'cpu')}"),
    "another structure": ({"a": [A]}, "{'a': [(torch.float32, (2,), 'cpu')]}"),
    "another shape": ({"a": A[None]}, "{'a': (torch.float32, (1, 2), 'cpu')}"),
    "more numbers": ({"a": MANY}, "{'a': (torch.float32, (5000,), 'cpu')}"),
    "a tensor": (A, "(torch.float32, (2,), 'cpu')"),
    "no tensor": ({}, "{}"),
}

FAULTS = {
    "an int": ({"a": 1}, "TypeError: average: expected a tree of tensors, got 1 in it"),
    "None": (None, "TypeError: average: expected a tree of tensors, got None in it"),
    "integers": (
        [A, A.int()],
        "TypeError: average: expected a leaf to be a floating tensor, got a int32 tensor of shape"
        " (2,)",
    ),
    "an unreachable device": (
        A.to("meta"),
        "ValueError: average: expected all leaves on one device of type cpu or cuda, got meta",
    ),
    "two devices": (
        [A, A, A.to("meta")],
        "ValueError: average: expected all leaves on one device of type cpu or cuda, got cpu, meta",
    ),
    "what PyTorch can't join": (A.to_sparse(), "NotImplementedError: "),
}


@pytest.mark.parametrize("what", [*OTHERS, *FAULTS])
def test_what_one_rank_holds_is_an_error_on_all_and_the_next_mean_is_right(
    run: Run, what: str
) -> None:
    tree, said = (OTHERS | FAULTS)[what]

    def on(rank: int) -> list[Any]:
        own = torch.tensor(float(rank))
        return [
            (outcome(average, tree if rank == 1 else other), average(own))
            for other in ALIKE.values()
        ]

    for rank, outcomes in enumerate(run(3, on)):
        for layout, (error, mean) in zip(ALIKE, outcomes, strict=True):
            spelled = f"{type(error).__name__}: {error}"
            if rank == 1 and what in FAULTS:
                assert spelled.startswith(said)
            else:
                expected = "ValueError: average: expected the same tree on all ranks, got "
                assert spelled.startswith(f"{expected}{layout}; {said}")
                assert spelled.endswith(f"; {layout}")
            assert mean == 1


@pytest.mark.parametrize("what", FAULTS)
def test_what_all_ranks_hold_is_an_error_on_all(run: Run, what: str) -> None:
    tree, said = FAULTS[what]
    for error in run(2, lambda _: outcome(average, tree)):
        assert f"{type(error).__name__}: {error}".startswith(said)


class Elsewhere(torch.Tensor):
    """A tensor that says that it is on another device."""

    device = torch.device("meta")


@pytest.mark.parametrize("size", SIZES)
def test_leaves_on_two_devices_or_on_other_devices_than_another_ranks_are_refused(
    run: Run, size: int
) -> None:
    here, there = torch.ones(size), torch.ones(size).as_subclass(Elsewhere)

    def on(rank: int) -> list[Any]:
        return [outcome(average, there if rank == 1 else here), outcome(average, [here, there])]

    for errors in run(2, on, "cpu:gloo,meta:gloo"):
        assert [*map(type, errors)] == [ValueError, ValueError]
        assert [*map(str, errors)] == [
            f"average: expected the same tree on all ranks, got (torch.float32, ({size},), 'cpu');"
            f" (torch.float32, ({size},), 'meta')",
            "average: expected all leaves on one device of type cpu or meta, got cpu, meta",
        ]


def test_the_first_message_goes_by_the_leaves_own_device_not_by_the_current_one(run: Run) -> None:
    moved = []

    class Numbered(torch.Tensor):
        device = torch.device("cpu", 0)

        def to(self, device: torch.device) -> torch.Tensor:
            moved.append(device)
            return super().to(device)

    run(1, lambda _: average(A.as_subclass(Numbered)))
    assert moved == [torch.device("cpu", 0)]


@pytest.mark.parametrize("size", SIZES)
def test_a_group_has_its_own_mean_and_errors(run: Run, size: int) -> None:
    def on(rank: int) -> list[Any]:
        group = dist.new_group([0, 2], backend="gloo")
        own = {"a": torch.full((size,), float(rank))}
        other = {"b": A} if rank == 2 else own
        return [outcome(average, tree, group) for tree in (own, other) if rank != 1]

    first, _, last = run(3, on, "meta:gloo,cpu:gloo")
    layouts = f"{{'a': (torch.float32, ({size},), 'cpu')}}; {{'b': (torch.float32, (2,), 'cpu')}}"
    for mean, error in (first, last):
        assert torch.equal(mean["a"], torch.ones(size))
        assert str(error) == f"average: expected the same tree on all ranks, got {layouts}"


@pytest.mark.refuses
def test_a_rank_outside_the_group_is_told_so(run: Run) -> None:
    _, error = run(2, lambda rank: outcome(average, A, dist.new_group([0])))
    assert type(error) is ValueError
    assert str(error) == "average: expected a group with this rank, 1, in it"


@pytest.mark.parametrize("size", SIZES)
def test_a_lost_rank_is_an_error(run: Run, size: int) -> None:
    def on(rank: int) -> Any:
        average(A)
        return outcome(average, torch.ones(size)) if rank == 0 else dist.destroy_process_group()

    error, _ = run(2, on)
    assert type(error) is RuntimeError
    assert str(error).startswith("average: expected all ranks to be there, but: ")


def test_without_a_process_group_average_says_so() -> None:
    error = outcome(average, A)
    assert type(error) is RuntimeError
    assert str(error) == "average: expected torch.distributed to be initialised, as by torchrun"
