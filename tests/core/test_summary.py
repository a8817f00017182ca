"""`summary` shows every layer, and counts every parameter once."""

import sys
from functools import partial

import pytest
import torch

import functional_dl as fdl

MODEL = fdl.sequential(
    fdl.linear(2, 25), fdl.relu(), fdl.sequential(fdl.linear(25, 1000, bias=False), fdl.tanh())
)

PLAIN = """\
layer  kind        shapes                      parameters  bytes
       sequential
0      linear      weight (25, 2), bias (25,)  75          300
1      relu                                    0           0
2      sequential
2.0    linear      weight (1000, 25)           25,000      100,000
2.1    tanh                                    0           0
total                                          25,075      100,300"""


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()]


def test_it_is_a_table_in_a_format_of_tabulates() -> None:
    head, _, *rows = cells(fdl.summary(MODEL, MODEL.init(), "github"))
    assert head == ["layer", "kind", "shapes", "parameters", "bytes"]
    assert rows[3] == ["2", "sequential", "", "", ""]
    assert rows[4] == ["2.0", "linear", "weight (1000, 25)", "25,000", "100,000"]
    assert rows[-1] == ["total", "", "", "25,075", "100,300"]


def test_words_are_aligned_left_and_numbers_right_in_every_format() -> None:
    rule = cells(fdl.summary(MODEL, MODEL.init(), "pipe"))[1]
    assert [side[0] + side[-1] for side in rule] == [":-", ":-", ":-", "-:", "-:"]
    row = "| 0     | linear     | weight (25, 2), bias (25,) |         75 |     300 |"
    assert row in fdl.summary(MODEL, MODEL.init(), "pretty")  # which centres what isn't told


def test_without_tabulate_it_is_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tabulate", None)
    assert fdl.summary(MODEL, MODEL.init(), "github") == PLAIN


def test_bytes_are_those_of_the_dtype() -> None:
    layer = fdl.linear(2, 3)
    assert fdl.summary(layer, layer.init(dtype=torch.float64)).split()[-2:] == ["9", "72"]


def test_a_layer_of_ones_own_has_the_name_of_what_made_it() -> None:
    def doubled() -> fdl.Layer:
        def vjp(params: fdl.Params, x: torch.Tensor) -> None: ...

        return fdl.Layer(lambda *_, **__: {}, lambda _, x: 2 * x, vjp)

    table = fdl.summary(fdl.sequential(doubled()), {"0": {}}, "github")
    assert cells(table)[3][:2] == ["0", "doubled"]


def test_a_layer_of_ones_own_may_have_a_vjp_that_is_no_plain_function() -> None:
    class Doubled:
        def __call__(self, params: fdl.Params, x: torch.Tensor) -> None: ...

    for vjp, name in ((partial(Doubled()), "partial"), (Doubled(), "Doubled")):
        layer = fdl.Layer(lambda *_, **__: {}, lambda _, x: 2 * x, vjp)
        table = fdl.summary(fdl.sequential(layer), {"0": {}}, "github")
        assert cells(table)[3][:2] == ["0", name]


def test_params_that_do_not_fit_are_refused() -> None:
    params = MODEL.init()
    del params["2"]["0"]
    with pytest.raises(ValueError, match=r"summary: expected .* got missing '2\.0\.weight'"):
        fdl.summary(MODEL, params)
