"""The formulas as textbooks have them: the same in exact arithmetic, but rounded elsewhere.

Each takes the place of what functional_dl has, in a case of `parity`.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import functional_dl as fdl


def linear(**lines: Callable[..., Tensor]) -> Callable[..., fdl.Layer]:
    """A constructor like `fdl.linear`, but for the lines given: y, weight, bias or x."""

    def make(a: int, b: int, bias: bool) -> fdl.Layer:
        layer = fdl.linear(a, b, bias)

        def vjp(params: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
            y, ours = layer.vjp(params, x)
            rows = x.reshape(-1, a)

            def pullback(gy: Tensor, *, wrt_input: bool = True) -> Any:
                grads, gx = ours(gy)
                found: dict[str, Any] = {**grads, "x": gx}
                for name in found.keys() & lines.keys():
                    line = lines[name](gy.reshape(-1, b), rows, params["weight"])
                    found[name] = line.reshape(found[name].shape)
                gx = found.pop("x")
                return found, gx if wrt_input else None

            if bias and "y" in lines:
                y = lines["y"](rows, params["weight"], params["bias"]).reshape(y.shape)
            return y, pullback

        return fdl.Layer(layer.init, lambda params, x: vjp(params, x)[0], vjp)

    return make


def elementwise(
    forward: Callable[[Tensor], Tensor], backward: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> Callable[[], fdl.Layer]:
    """A constructor of the layer y = forward(x) with gx = backward(gy, x, y)."""

    def vjp(_: fdl.Params, x: Tensor) -> tuple[Tensor, fdl.Pullback]:
        y = forward(x)
        return y, lambda gy, *, wrt_input=True: ({}, backward(gy, x, y))

    return lambda: fdl.Layer(fdl.relu().init, lambda _, x: forward(x), vjp)


def mse(gradient: Callable[[Tensor, int], Tensor]) -> Callable[..., fdl.Loss]:
    """A constructor of the squared error with gy = gradient(y − t, n)."""

    def make(reduction: str) -> fdl.Loss:
        right = fdl.mse(reduction)

        def vjp(y: Tensor, t: Tensor) -> tuple[Tensor, fdl.LossPullback]:
            n = max(y.numel(), 1) if reduction == "mean" else 1
            return right.apply(y, t), lambda: gradient(y - t, n)

        return fdl.Loss(right.apply, vjp)

    return make


def sgd(params: fdl.Params, grads: fdl.Params, state: fdl.State, lr: Any, **_: bool) -> Any:
    """Gradient descent, rounded twice."""
    return {k: p - lr * grads[k] for k, p in params.items()}, state


# By case: what the textbook has, and what makes the case with it.
FORMULAS: dict[str, dict[str, Callable[..., Any]]] = {
    "linear": {
        "Y = X @ Wᵀ + b": linear(y=lambda x, w, b: x @ w.t() + b),
        "Y = addmm(b, X, Wᵀ), also where X or b has gaps": linear(
            y=lambda x, w, b: torch.addmm(b, x, w.t())
        ),
        "∇X = ∇Y @ W, also where X is laid out by columns": linear(x=lambda gy, x, w: gy @ w),
        "∇W = ∇Yᵀ @ X, also where W is": linear(weight=lambda gy, x, w: gy.t() @ x),
        "∇b = ∇Y.sum(0), also where Y is not fused": linear(bias=lambda gy, x, w: gy.sum(0)),
    },
    "relu": {
        "∇X = ∇Y * (Y > 0)": elementwise(torch.relu, lambda gy, x, y: gy * (y > 0)),
        "∇X = ∇Y where X >= 0, as in the report": elementwise(
            torch.relu, lambda gy, x, y: gy.where(x >= 0, 0)
        ),
    },
    "tanh": {
        "∇X = ∇Y * (1 - Y * Y)": elementwise(torch.tanh, lambda gy, x, y: gy * (1 - y * y)),
        "1 − Y² rounded once, half precision not widened": elementwise(
            torch.tanh,
            lambda gy, x, y: gy * torch.addcmul(y.new_ones(()), y, y, value=-1),
        ),
    },
    "mse": {
        "∇Y = 2 * (Y − T) / n": mse(lambda error, n: 2 * error / n),
        "∇Y = (Y − T) * (2 / n), 2/n not in the dtype of Y": mse(lambda error, n: error * (2 / n)),
    },
    "sgd": {"p - lr * ∇p": lambda: fdl.Optimizer(lambda params: {}, sgd)},
}
