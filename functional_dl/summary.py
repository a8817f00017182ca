"""What a model consists of."""

from functional_dl._errors import not_a
from functional_dl.contract import Layer, Params, name_of
from functional_dl.state_dict import flattened, params_from, to_state_dict

HEAD = ("layer", "kind", "shapes", "parameters", "bytes")


def summary(model: Layer, params: Params, tablefmt: str = "simple") -> str:
    """A table of the layers, one in the other, their parameters and the totals.

    Args:
        model: A layer.
        params: Its params.
        tablefmt: A format of tabulate's. Where tabulate isn't installed, the table is plain text.

    Returns:
        The table, a row for each layer; a layer that holds others has no numbers of its own.

    Raises:
        ValueError: The params don't fit the model; the message lists every leaf that doesn't.
        TypeError: model is no Layer.
    """
    if not isinstance(model, Layer):
        raise not_a("summary", "model", model, "a Layer, such as sequential(...)")
    params_from("summary", model, flattened("summary", params))
    rows = [HEAD, *_rows("", model, params), ("total", "", "", *_size(params))]
    try:
        from tabulate import tabulate
    except ImportError:
        widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    align = ("left", "left", "left", "right", "right")
    return tabulate(rows, "firstrow", tablefmt, colalign=align)


def _rows(path: str, layer: Layer, params: Params) -> list[tuple[str, ...]]:
    if not layer.layers:
        shapes = ", ".join(f"{k} {tuple(p.shape)}" for k, p in to_state_dict(params).items())
        return [(path, name_of(layer), shapes, *_size(params))]
    rows: list[tuple[str, ...]] = [(path, name_of(layer), "", "", "")]
    for k, f in layer.layers.items():
        rows += _rows(f"{path}.{k}" if path else k, f, params[k])
    return rows


def _size(params: Params) -> tuple[str, str]:
    leaves = to_state_dict(params).values()
    return f"{sum(p.numel() for p in leaves):,}", f"{sum(p.nbytes for p in leaves):,}"
