"""`tree_map` and `tree_leaves` go through dicts, lists, tuples and named tuples."""

from typing import Any, NamedTuple

import pytest

import functional_dl as fdl


class Pair(NamedTuple):
    """A tree with names."""

    a: Any
    b: Any


TREE = {"z": 1, "a": [2, (3, {}), Pair(4, [])], "b": ({"c": 5},)}


def test_tree_map_keeps_types_keys_and_their_order() -> None:
    ours = fdl.tree_map(lambda leaf: -leaf, TREE)
    assert ours == {"z": -1, "a": [-2, (-3, {}), Pair(-4, [])], "b": ({"c": -5},)}
    assert [*ours] == ["z", "a", "b"]
    assert type(ours["a"][2]) is Pair
    assert TREE["z"] == 1


def test_tree_leaves_come_in_order_whatever_they_are() -> None:
    assert fdl.tree_leaves(TREE) == [1, 2, 3, 4, 5]
    assert fdl.tree_leaves({"a": None, "b": "text"}) == [None, "text"]
    assert fdl.tree_leaves(7) == [7]
    assert fdl.tree_leaves([{}, ()]) == []


def test_tree_map_takes_leaves_from_several_trees_by_key() -> None:
    others = [{"b": [10], "a": 20}, {"a": 200, "b": (100,)}]
    ours = fdl.tree_map(lambda *leaves: leaves, {"a": 2, "b": [1]}, *others)
    assert ours == {"a": (2, 20, 200), "b": [(1, 10, 100)]}


@pytest.mark.parametrize(
    ("tree", "other", "expected"),
    [
        ({"a": 1}, {"b": 1}, r"a dict with the keys \['a'\], got {'b': 1}"),
        ({"a": 1}, {"a": 1, "b": 1}, r"a dict with the keys \['a'\], got {'a': 1, 'b': 1}"),
        ({"a": 1}, {}, r"a dict with the keys \['a'\], got {}"),
        ({"a": 1}, 1, r"a dict with the keys \['a'\], got 1"),
        ({"a": {"b": 1}}, {"a": {"c": 1}}, r"a dict with the keys \['b'\], got {'c': 1}"),
        ([1, 2], [1], r"2 trees, got \[1\]"),
        ((1,), (1, 2), r"1 trees, got \(1, 2\)"),
        ([1], {"a": 1}, "1 trees, got {'a': 1}"),
        ([1], 1, "1 trees, got 1"),
        ({"a": [1]}, {"a": {0: 1}}, "1 trees, got {0: 1}"),
    ],
)
def test_trees_that_differ_are_refused(tree: Any, other: Any, expected: str) -> None:
    for others in ([other], [tree, other]):
        with pytest.raises(ValueError, match=f"^tree_map: expected {expected}$"):
            fdl.tree_map(lambda *_: None, tree, *others)
