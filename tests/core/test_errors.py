"""Bad input: the error says who, what was expected and what came; and nothing has changed."""

import math
import re
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from torch import ones

import functional_dl as fdl
from cases import LAYERS, LOSSES, Draw, same_bits, small
from functional_dl import compat

pytestmark = pytest.mark.refuses

W, B, X, Y = ones(2, 3), ones(2), ones(4, 3), ones(4, 2)
LINEAR = {"weight": W, "bias": B}
INPUTS = [t.clone() for t in (W, B, X, Y)]
INTS, COMPLEX, DOUBLE = X.long(), X.cfloat(), X.double()


def linear(
    params: object = LINEAR, x: object = X, gy: object = None, wrt_input: bool = True
) -> None:
    layer = fdl.linear(3, 2)
    layer.apply(params, x) if gy is None else layer.vjp(params, x)[1](gy, wrt_input=wrt_input)


def no_bias(gy: object, wrt_input: bool = True) -> None:
    fdl.linear(3, 2, bias=False).vjp({"weight": W}, X)[1](gy, wrt_input=wrt_input)


def network(params: object) -> None:
    fdl.sequential(fdl.linear(3, 2), fdl.relu()).vjp(params, X)


def between(activation: fdl.Layer, params: object) -> None:
    """A network with the activation in the middle, where it's called without its checks."""
    model = fdl.sequential(fdl.linear(3, 2), activation, fdl.linear(2, 2))
    model.vjp(model.init() | {"1": params}, X)


def images(layer: fdl.Layer, x: torch.Tensor) -> None:
    """Within a network, where it's called without its checks."""
    model = fdl.sequential(fdl.relu(), layer)
    model.vjp(model.init(), x)


def pull(layer: fdl.Layer, gy: object) -> None:
    layer.vjp(layer.init(), X)[1](gy)


def sgd(params: object = LINEAR, grads: object = LINEAR, lr: object = 0.1) -> None:
    fdl.sgd(params, grads, lr)


stateful = compat.Sequential


def back(module: compat.Module, gy: object) -> None:
    module(X)
    module.backward(gy)


def stateful_sgd(params: Iterable = (X,), grads: Iterable = (X,), lr: object = 0.1) -> None:
    compat.SGD(params, grads, lr)


RELU = fdl.relu()
F, V, T, R = "a float32 tensor of shape", ValueError, TypeError, RuntimeError
SHAPES = (  # that a cotangent of shape (4, 2) hasn't
    *((4, 3), (4, 1), (4, 0), (1, 2), (5, 2), (2, 4), (4,), (2,), ()),
    *((1, 4, 2), (4, 2, 1), (2, 2, 2)),
)
BAD = [
    # An input of the wrong width
    (lambda: linear(x=Y), V, "linear: expected x of shape (..., 3), got (4, 2)"),
    (lambda: linear(x=X.t()), V, "linear: expected x of shape (..., 3), got (3, 4)"),
    (lambda: linear(x=ones(5, 3, 2)), V, "linear: expected x of shape (..., 3), got (5, 3, 2)"),
    (lambda: linear(x=ones(6)), V, "linear: expected x of shape (..., 3), got (6,)"),
    (lambda: linear(x=ones(())), V, "linear: expected x of shape (..., 3), got ()"),
    (lambda: linear(x=ones(4, 0)), V, "linear: expected x of shape (..., 3), got (4, 0)"),
    (lambda: linear(x=ones(3, 1)), V, "linear: expected x of shape (..., 3), got (3, 1)"),
    (lambda: linear(x=ones(2)), V, "linear: expected x of shape (..., 3), got (2,)"),
    (lambda: linear(x=ones(4, 2, 2)), V, "linear: expected x of shape (..., 3), got (4, 2, 2)"),
    # A cotangent of another shape or dtype, also where it would broadcast
    *[  # what the products would let pass, or refuse in their own name, with and without ∇X
        (
            lambda f=f, gy=gy, wrt=wrt: f(gy=gy, wrt_input=wrt),
            V,
            f"linear: expected the cotangent to be {F} (4, 2), got {F} {tuple(gy.shape)}",
        )
        for gy in map(ones, SHAPES)
        for f in (linear, no_bias)
        for wrt in (True, False)
    ],
    *[
        (
            lambda f=f, gy=gy, wrt=wrt: f(gy=gy, wrt_input=wrt),
            T,
            f"linear: expected the cotangent to be {F} (4, 2), got a {name} tensor of",
        )
        for name, gy in (("int64", Y.long()), ("float64", Y.double()), ("complex64", Y.cfloat()))
        for f in (linear, no_bias)
        for wrt in (True, False)
    ],
    *[
        (
            lambda gy=gy: linear(x=ones(2, 4, 3), gy=gy, wrt_input=False),
            V,
            f"linear: expected the cotangent to be {F} (2, 4, 2), got {F} {tuple(gy.shape)}",
        )
        for gy in (ones(8, 2), ones(4, 2), ones(2, 4, 1), ones(2, 4, 3), ones(4, 2, 2))
    ],
    (
        lambda: pull(fdl.relu(), ones(4, 1)),
        V,
        f"relu: expected the cotangent to be {F} (4, 3), got",
    ),
    (lambda: pull(fdl.relu(), ones(2, 4, 3)), V, "relu: expected the cotangent to be"),
    (lambda: pull(fdl.relu(), DOUBLE), T, "relu: expected the cotangent to be"),
    (
        lambda: pull(fdl.tanh(), ones(3)),
        V,
        f"tanh: expected the cotangent to be {F} (4, 3), got {F}",
    ),
    (lambda: pull(fdl.tanh(), INTS), T, "tanh: expected the cotangent to be"),
    (lambda: pull(fdl.sequential(), ones(3)), V, "sequential: expected the cotangent to be"),
    (lambda: pull(fdl.sequential(), DOUBLE), T, "sequential: expected the cotangent to be"),
    (lambda: pull(fdl.sequential(fdl.relu()), ones(3)), V, "sequential: expected the cotangent to"),
    # A prediction and a target that don't fit
    (
        lambda: fdl.mse().apply(X, Y),
        V,
        f"mse: expected the target to be {F} (4, 3), got {F} (4, 2)",
    ),
    (
        lambda: fdl.mse().vjp(X, ones(3)),
        V,
        f"mse: expected the target to be {F} (4, 3), got {F} (3,",
    ),
    (lambda: fdl.mse().vjp(X, DOUBLE), T, "mse: expected the target to be"),
    (lambda: compat.MSE()(X, ones(4, 1)), V, f"MSE: expected the target to be {F} (4, 3), got"),
    *[
        (lambda y=y: fdl.cross_entropy().apply(y, torch.tensor(0)), V, f"{said}, got {got}")
        for said in ["cross_entropy: expected a prediction of shape (..., C)"]
        for y, got in ((torch.tensor(1.0), "()"), (ones(0), "(0,)"), (ones(4, 0), "(4, 0)"))
    ],
    *[
        (
            lambda t=t, ignored=ignored: fdl.cross_entropy(ignore_index=ignored).vjp(X, t),
            V,
            f"cross_entropy: expected targets from 0 to 2, got: index {t.aminmax()[low]} is out",
        )
        for ignored in (None, 1)
        for low, t in ((1, torch.tensor([0, 1, 2, 3])), (0, torch.tensor([0, 1, 2, -1])))
    ],
    (
        lambda: compat.CrossEntropyLoss()(X, torch.tensor([0, 1, 2, -1])),
        V,
        "CrossEntropyLoss: expected targets from 0 to 2, got: index -1 is out",
    ),
    # Losses of no kind there is
    *[
        (lambda loss=loss, r=r: loss(reduction=r), V, f"{name}: expected reduction to be 'mean' or")
        for name, case in LOSSES.items()
        for loss in [case.ours]
        for r in ("none", "Mean", None, 1)
    ],
    *[
        (lambda d=d: fdl.huber(d), V, f"huber: expected delta to be above 0, got {d}")
        for d in (0, -1.0, math.nan)
    ],
    (lambda: fdl.huber("1"), T, "huber: expected delta to be a number, got '1'"),
    *[
        (
            lambda e=e: fdl.cross_entropy(label_smoothing=e),
            V,
            f"cross_entropy: expected label_smoothing from 0 to 1, got {e}",
        )
        for e in (-0.1, 1.1, math.nan)
    ],
    (
        lambda: fdl.cross_entropy(label_smoothing=None),
        T,
        "cross_entropy: expected label_smoothing to be a number, got None",
    ),
    (
        lambda: fdl.cross_entropy(ignore_index=1.0),
        T,
        "cross_entropy: expected ignore_index to be whole, got 1.0",
    ),
    (
        lambda: compat.CrossEntropyLoss(label_smoothing=2.0),
        V,
        "CrossEntropyLoss: expected label_smoothing from 0 to 1, got 2.0",
    ),
    (lambda: compat.HuberLoss(delta=0), V, "HuberLoss: expected delta to be above 0, got 0"),
    (lambda: compat.LossModule(fdl.mse), T, "LossModule: expected a Loss, got <function mse"),
    (
        lambda: compat.LossModule(fdl.l1())(X, Y),
        V,
        f"l1: expected the target to be {F} (4, 3), got {F} (4, 2)",
    ),
    # Integers and complex numbers
    (
        lambda: linear(x=INTS),
        T,
        "linear: expected x to be a floating tensor, got a int64 tensor of",
    ),
    (lambda: linear(x=COMPLEX), T, "linear: expected x to be a floating tensor, got a complex64"),
    *[  # also where the params are of that dtype too, and the product is one of PyTorch's
        (
            lambda dtype=dtype, shape=shape: linear(
                {k: p.to(dtype) for k, p in LINEAR.items()}, ones(shape, dtype=dtype)
            ),
            T,
            f"linear: expected x to be a floating tensor, got a {name} tensor of shape {shape}",
        )
        for name, dtype in (
            ("int64", torch.int64),
            ("bool", torch.bool),
            ("complex64", COMPLEX.dtype),
        )
        for shape in ((4, 3), (3,), (2, 4, 3))
    ],
    (
        lambda: linear(x=DOUBLE),
        T,
        f"linear: expected params['weight'] to be a float64 tensor of shape (2, 3), got {F} (2, 3)",
    ),
    (
        lambda: linear({k: p.half() for k, p in LINEAR.items()}, X.bfloat16()),
        T,
        "linear: expected params['weight'] to be a bfloat16 tensor of shape (2, 3), got a float16",
    ),
    (lambda: linear({"weight": W.long(), "bias": B}), T, "linear: expected params['weight'] to be"),
    (lambda: linear({"weight": W, "bias": B.cfloat()}), T, "linear: expected params['bias'] to be"),
    (lambda: linear({"weight": W, "bias": B.double()}), T, "linear: expected params['bias'] to be"),
    (
        lambda: fdl.relu().apply({}, INTS),
        T,
        "relu: expected x to be a floating tensor, got a int64",
    ),
    (
        lambda: fdl.tanh().apply({}, COMPLEX),
        T,
        "tanh: expected x to be a floating tensor, got a com",
    ),
    (
        lambda: fdl.mse().apply(INTS, INTS),
        T,
        "mse: expected the prediction to be a floating tensor, got a int64 tensor of shape (4, 3)",
    ),
    (
        lambda: fdl.mse().apply(X, INTS),
        T,
        "mse: expected the target to be a float32 tensor of shape",
    ),
    (
        lambda: sgd({"w": INTS}, {"w": INTS}, 1),
        T,
        "sgd: expected params['w'] to be a floating tensor, got a int64 tensor of",
    ),
    (
        lambda: sgd({"w": INTS}, {"w": INTS}, torch.tensor(0.1)),
        T,
        "sgd: expected params['w'] to be a floating",
    ),
    (lambda: sgd({"w": W > 0}, {"w": W > 0}), T, "sgd: expected params['w'] to be a floating"),
    (
        lambda: sgd({"w": X}, {"w": INTS}),
        T,
        f"sgd: expected grads['w'] to be {F} (4, 3), got a int64",
    ),
    (
        lambda: compat.Linear(3, 2)(INTS),
        T,
        "Linear: expected x to be a floating tensor, got a int64",
    ),
    # A module's input, told by the module and where it stands
    (
        lambda: compat.Linear(3, 2)(DOUBLE),
        T,
        f"Linear: expected x to be {F} (4, 3), got a float64 tensor of shape (4, 3)",
    ),
    (lambda: compat.Linear(3, 2)(Y), V, "Linear: expected x of shape (..., 3), got (4, 2)"),
    (lambda: compat.Linear(3, 2)(None), T, "Linear: expected x to be a floating tensor, got None"),
    (lambda: compat.Tanh()(COMPLEX), T, "Tanh: expected x to be a floating tensor, got a complex"),
    (
        lambda: stateful(compat.ReLU(), compat.Linear(2, 3), compat.Linear(2, 3))(Y),
        V,
        "Linear at 2: expected x of shape (..., 2), got (4, 3)",
    ),
    (
        lambda: stateful(compat.ReLU(), stateful(compat.ReLU(), compat.Linear(2, 3)))(X),
        V,
        "Linear at 1.1: expected x of shape (..., 2), got (4, 3)",
    ),
    (
        lambda: stateful(stateful(compat.Linear(3, 3)), compat.Linear(3, 3))(DOUBLE),
        T,
        f"Linear at 0.0: expected x to be {F} (4, 3), got a float64",
    ),
    (lambda: stateful(compat.Tanh())(INTS), T, "Tanh at 0: expected x to be a floating tensor"),
    (
        lambda: compat.LayerModule(fdl.sequential(fdl.linear(3, 2), fdl.linear(3, 2)))(X),
        V,
        "linear at 1: expected x of shape (..., 3), got (4, 2)",
    ),
    (
        lambda: stateful(compat.LayerModule(fdl.linear(3, 2)))(Y),
        V,
        "linear at 0: expected x of shape (..., 3), got (4, 2)",
    ),
    (lambda: compat.MSE()(INTS, INTS), T, "MSE: expected the prediction to be a floating tensor"),
    # A module's cotangent
    *[
        (
            lambda m=m, gy=gy: back(m, gy),
            error,
            f"{name}.backward: expected the cotangent to be {F} (4, 3), got {got}",
        )
        for name, m in (
            ("Linear", compat.Linear(3, 3)),
            ("Sequential", stateful(compat.Tanh(), compat.Linear(3, 3))),
            ("tanh", compat.LayerModule(fdl.tanh())),
        )
        for error, gy, got in (
            (V, Y, f"{F} (4, 2)"),
            (T, DOUBLE, "a float64 tensor"),
            (T, None, "None"),
        )
    ],
    # Params with a missing, a surplus or a misshapen leaf
    (
        lambda: linear({"weight": W}),
        V,
        "linear: expected params with the keys ['weight', 'bias'], got",
    ),
    (
        lambda: linear(LINEAR | {"scale": B}),
        V,
        "linear: expected params with the keys ['weight', 'b",
    ),
    (
        lambda: linear({"weight": W, "scale": B}),
        V,
        "linear: expected params with the keys ['weight', 'bias'], got ['weight', 'scale']",
    ),
    (lambda: linear({}), V, "linear: expected params with the keys ['weight', 'bias'], got []"),
    (lambda: linear(None), T, "linear: expected params to be a dict, got None"),
    (lambda: linear([W, B]), T, "linear: expected params to be a dict, got [tensor("),
    (lambda: linear((W, B)), T, "linear: expected params to be a dict, got (tensor("),
    (lambda: linear(W), T, f"linear: expected params to be a dict, got {F} (2, 3)"),
    (lambda: linear(None, ones(3)), T, "linear: expected params to be a dict, got None"),
    (lambda: linear({"weight": None, "bias": B}), T, "linear: expected params['weight'] to be"),
    (
        lambda: linear({"weight": W.tolist(), "bias": B}),
        T,
        f"linear: expected params['weight'] to be {F} (2, 3), got [[1.0, 1.0, 1.0],",
    ),
    (lambda: linear({"weight": W, "bias": None}), T, "linear: expected params['bias'] to be"),
    (lambda: linear({"weight": W.t(), "bias": B}), V, "linear: expected params['weight'] to be"),
    (
        lambda: linear({"weight": ones(1, 3), "bias": B}),
        V,
        "linear: expected params['weight'] to be",
    ),
    *[  # a weight that the product would take
        (
            lambda n=n, x=x: fdl.linear(3, 2, bias=False).apply({"weight": ones(n, 3)}, x),
            V,
            f"linear: expected params['weight'] to be {F} (2, 3), got {F} ({n}, 3)",
        )
        for n in (0, 1, 5)
        for x in (X, ones(3))
    ],
    *[  # a bias that would broadcast
        (
            lambda b=b, x=x: linear({"weight": W, "bias": b}, x),
            V,
            f"linear: expected params['bias'] to be {F} (2,), got {F} {tuple(b.shape)}",
        )
        for b in (ones(1), ones(()), ones(4, 2), ones(1, 2), ones(4, 1), ones(3))
        for x in (X, ones(3), ones(2, 4, 3))
    ],
    (
        lambda: fdl.linear(3, 2, False).apply(LINEAR, X),
        V,
        "linear: expected params with the keys ['w",
    ),
    (
        lambda: fdl.relu().apply(LINEAR, X),
        V,
        "relu: expected params with the keys [], got ['weight', ",
    ),
    (
        lambda: fdl.tanh().apply(LINEAR, X),
        V,
        "tanh: expected params with the keys [], got ['weight', ",
    ),
    (
        lambda: network({"0": LINEAR}),
        V,
        "sequential: expected params with the keys ['0', '1'], got",
    ),
    (
        lambda: network({"0": LINEAR, "1": {}, "2": {}}),
        V,
        "sequential: expected params with the keys",
    ),
    (lambda: network({"0": LINEAR, "1": LINEAR}), V, "relu at 1: expected params with the keys []"),
    *[
        (
            lambda f=f, params=params: between(f(), params),
            error,
            f"{f.__name__} at 1: expected params {message}",
        )
        for f in (fdl.relu, fdl.tanh)
        for params, error, message in (
            (LINEAR, V, "with the keys [], got ['weight', 'bias']"),
            ({"0": {}}, V, "with the keys [], got ['0']"),
            (None, T, "to be a dict, got None"),
            ([], T, "to be a dict, got []"),
        )
    ],
    (lambda: network([LINEAR, {}]), T, "sequential: expected params to be a dict, got [{"),
    (lambda: fdl.sequential().apply(LINEAR, X), V, "sequential: expected params with the keys []"),
    # Params and grads that don't fit each other
    (
        lambda: sgd({"0": LINEAR}, {"0": {"weight": W}}),
        V,
        "sgd: expected grads['0'] with the keys ['w",
    ),
    (lambda: sgd(grads={}), V, "sgd: expected grads with the keys ['weight', 'bias'], got []"),
    (lambda: sgd(grads=LINEAR | {"scale": B}), V, "sgd: expected grads with the keys"),
    (
        lambda: sgd({"0": LINEAR, "1": {}}, {"0": LINEAR, "1": LINEAR}),
        V,
        "sgd: expected grads['1'] with the keys [], got ['weight', 'bias']",
    ),
    (
        lambda: sgd({"0": LINEAR}, {"0": W}),
        T,
        "sgd: expected grads['0'] to be a dict, got a float32",
    ),
    (lambda: sgd({"w": W}, {"w": LINEAR}), T, f"sgd: expected grads['w'] to be {F} (2, 3), got {{"),
    (
        lambda: sgd({"w": W}, {"w": ones(3)}),
        V,
        f"sgd: expected grads['w'] to be {F} (2, 3), got {F}",
    ),
    (
        lambda: sgd({"w": B}, {"w": W.t()}),
        V,
        f"sgd: expected grads['w'] to be {F} (2,), got {F} (3,",
    ),
    (
        lambda: sgd({"0": {"w": W}}, {"0": {"w": ones(())}}),
        V,
        "sgd: expected grads['0']['w'] to be",
    ),
    (
        lambda: sgd({"w": W}, {"w": W.double()}),
        T,
        f"sgd: expected grads['w'] to be {F} (2, 3), got a",
    ),
    (
        lambda: sgd({"w": 1.0}, {"w": 1.0}),
        T,
        "sgd: expected params['w'] to be a floating tensor, got",
    ),
    (lambda: stateful_sgd([], []), V, "SGD: expected at least one parameter, got none"),
    (lambda: stateful_sgd(iter([]), []), V, "SGD: expected at least one parameter, got none"),
    (
        lambda: stateful_sgd([W, X, X], [W, X, X.clone()]),
        V,
        "SGD: expected one gradient of params[2], got two",
    ),
    (lambda: stateful_sgd([X, X], [X]), V, "SGD: expected grads with the keys [0, 1], got [0]"),
    (lambda: stateful_sgd([X], [X, X]), V, "SGD: expected grads with the keys [0], got [0, 1]"),
    (
        lambda: stateful_sgd([X], [ones(3)]),
        V,
        f"SGD: expected grads[0] to be {F} (4, 3), got {F} (3,",
    ),
    # What is no layer, and what is no module
    (
        lambda: fdl.sequential(fdl.relu),
        T,
        "sequential: expected layer 0 to be a Layer, got <function",
    ),
    (
        lambda: fdl.sequential(fdl.relu(), compat.ReLU()),
        T,
        "sequential: expected layer 1 to be a Lay",
    ),
    (
        lambda: fdl.residual(fdl.relu(), print),
        T,
        "residual: expected layer 1 to be a Layer, got <built-in",
    ),
    (
        lambda: fdl.parallel(print),
        T,
        "parallel: expected layer 0 to be a Layer, got <built-in",
    ),
    (lambda: fdl.parallel(), V, "parallel: expected at least one layer, got none"),
    (
        lambda: compat.Sequential(compat.ReLU),
        T,
        "Sequential: expected module 0 to be a Module, got <",
    ),
    (
        lambda: compat.Sequential(compat.ReLU(), fdl.relu()),
        T,
        "Sequential: expected module 1 to be a",
    ),
    (lambda: compat.LayerModule(compat.ReLU()), T, "LayerModule: expected a Layer, got ReLU()"),
    (lambda: compat.LayerModule(fdl.relu), T, "LayerModule: expected a Layer, got <function relu"),
    (
        lambda: compat.LayerModule(fdl.relu()._replace(init=lambda: {"w": 1.0})),
        T,
        "relu: expected a tree of tensors, got 1.0 in it",
    ),
    # Feature counts
    *[
        (lambda n=n, f=f: f(n), V, f"{name} to be a positive integer, got {n!r}")
        for n in (0, -1, True, 2.0, "2", None)
        for name, f in (
            ("linear: expected in_features", lambda n: fdl.linear(n, 2)),
            ("linear: expected out_features", lambda n: fdl.linear(2, n)),
            ("Linear: expected in_features", lambda n: compat.Linear(n, 2)),
            ("Linear: expected out_features", lambda n: compat.Linear(2, n)),
        )
    ],
    *[
        (lambda n=n, f=f: f(n), V, f"{name} to be a positive integer, got {n!r}")
        for n in (0, -1, True, 2.0, "2", None, (2, 2))
        for name, f in (
            ("conv2d: expected in_channels", lambda n: fdl.conv2d(n, 2, 3)),
            ("conv2d: expected out_channels", lambda n: fdl.conv2d(2, n, 3)),
            ("conv2d: expected size", lambda n: fdl.conv2d(2, 2, n)),
            ("conv2d: expected stride", lambda n: fdl.conv2d(2, 2, 3, stride=n)),
            ("Conv2d: expected in_channels", lambda n: compat.Conv2d(n, 2, 3)),
            ("max_pool2d: expected size", fdl.max_pool2d),
            ("MaxPool2d: expected size", compat.MaxPool2d),
        )
    ],
    *[
        (
            lambda n=n: fdl.conv2d(2, 2, 3, padding=n),
            V,
            f"conv2d: expected padding to be an integer from 0 up, got {n!r}",
        )
        for n in (-1, True, 1.0, "same", None, (1, 1))
    ],
    # Slopes and forms
    *[
        (lambda f=f, p=p: f(p), V, f"{f.__name__}: expected slope in [0, 1], got {p}")
        for p in (-0.1, 1.1, math.inf, math.nan)
        for f in (fdl.leaky_relu, compat.LeakyReLU)
    ],
    *[
        (lambda f=f, p=p: f(p), T, f"{f.__name__}: expected slope to be a number, got {p!r}")
        for p in ("0.1", None, ones(()))
        for f in (fdl.leaky_relu, compat.LeakyReLU)
    ],
    *[
        (
            lambda f=f, p=p: f(p),
            V,
            f"{f.__name__}: expected approximate to be 'none' or 'tanh', got",
        )
        for p in ("erf", None, True, ["tanh"])
        for f in (fdl.gelu, compat.GELU)
    ],
    # Images and windows
    *[
        (
            lambda shape=shape, f=f: f(ones(shape)),
            V,
            f"conv2d{at}: expected x of shape (N, 2, H, W) or (2, H, W), with H and W from 3 up, "
            f"got {shape}",
        )
        for shape in ((1, 3, 4, 4), (3, 4, 4), (1, 2, 2, 4), (2, 4, 2), (4, 4), (1, 1, 2, 4, 4), ())
        for at, f in (
            ("", lambda x: fdl.conv2d(2, 1, 3).apply(fdl.conv2d(2, 1, 3).init(), x)),
            (" at 1", lambda x: images(fdl.conv2d(2, 1, 3), x)),
        )
    ],
    (
        lambda: fdl.conv2d(2, 1, 5, padding=1).vjp(fdl.conv2d(2, 1, 5).init(), ones(2, 2, 4)),
        V,
        "conv2d: expected x of shape (N, 2, H, W) or (2, H, W), with H and W from 3 up, got (2, 2,",
    ),
    *[
        (
            lambda shape=shape, f=f: f(ones(shape)),
            V,
            f"max_pool2d{at}: expected x of shape (..., H, W), with H and W from 3 up, got {shape}",
        )
        for shape in ((1, 2, 2, 4), (4, 2), (4,), (), (1, 1, 0, 0))
        for at, f in (
            ("", lambda x: fdl.max_pool2d(3).apply({}, x)),
            (" at 1", lambda x: images(fdl.max_pool2d(3), x)),
        )
    ],
    *[
        (lambda x=x: fdl.flatten().vjp({}, x), V, f"flatten: expected x of shape (N, ...), got {s}")
        for x, s in ((ones(3), "(3,)"), (ones(()), "()"))
    ],
    (
        lambda: images(fdl.flatten(), ones(3)),
        V,
        "flatten at 1: expected x of shape (N, ...), got (3,)",
    ),
    # Learning rates
    *[
        (
            lambda lr=lr, f=f: f(lr=lr),
            V,
            f"{who}: expected lr to be finite and not negative, got {lr}",
        )
        for lr in (-0.1, -1, math.inf, -math.inf, math.nan)
        for who, f in (("sgd", sgd), ("SGD", stateful_sgd))
    ],
    (lambda: sgd(lr="0.1"), T, "sgd: expected lr to be a number or a 0-d tensor, got '0.1'"),
    (lambda: sgd(lr=None), T, "sgd: expected lr to be a number or a 0-d tensor, got None"),
    (lambda: sgd(lr=ones(1)), V, f"sgd: expected lr to be {F} (), got {F} (1,)"),
    (lambda: sgd(lr=torch.tensor(1)), T, "sgd: expected lr to be a floating tensor, got a int64"),
    (lambda: sgd(lr=10**400), V, "sgd: expected lr to be finite and not negative, got 100000000"),
    (lambda: sgd(lr=1e39), V, "sgd: expected lr to be a torch.float32, got 1e+39"),
    # What is no layer, no loss, no params
    *[
        (
            lambda f=f, model=model: f(model),
            T,
            f"{who}: expected model to be a Layer, such as sequential(...), got {str(model)[:9]}",
        )
        for model in (torch.nn.Linear(3, 2), fdl.relu, fdl.mse(), None, [fdl.relu()], {})
        for who, f in (
            ("value_and_grad", lambda model: fdl.value_and_grad(model, fdl.mse())),
            ("value_and_update", lambda model: fdl.value_and_update(model, fdl.mse(), sgd)),
            ("summary", lambda model: fdl.summary(model, {})),
            ("from_state_dict", lambda model: fdl.from_state_dict(model, {})),
        )
        if (who, model) != ("from_state_dict", {})  # a tree without leaves
    ],
    *[
        (
            lambda f=f, loss=loss: f(fdl.relu(), loss),
            T,
            f"{who}: expected loss to be a Loss, such as mse(), got {str(loss)[:9]}",
        )
        for loss in (torch.nn.functional.mse_loss, torch.nn.MSELoss(), fdl.mse, fdl.relu(), None)
        for who, f in (
            ("value_and_grad", fdl.value_and_grad),
            ("value_and_update", lambda f, loss: fdl.value_and_update(f, loss, sgd)),
        )
    ],
    (
        lambda: fdl.value_and_update(fdl.relu(), fdl.mse(), LINEAR),
        T,
        "value_and_update: expected update to be a function of params and grads, or an Optim",
    ),
    *[
        (lambda f=f, tree=tree: f(tree), T, f"{who} to be a dict, got {said}")
        for tree, said in ((None, "None"), ([X], "[tensor("), (X, F), (X.numpy(), "array(["))
        for who, f in (
            ("sgd: expected params", lambda tree: sgd(params=tree)),
            ("sgd: expected grads", lambda tree: sgd(grads=tree)),
            ("linear: expected params", lambda tree: linear(params=tree)),
            ("from_state_dict: expected state_dict", lambda t: fdl.from_state_dict(RELU, t)),
        )
    ],
    *[
        (lambda f=f: f(None), T, f"{who}: expected nested dicts of tensors, got None")
        for who, f in (
            ("to_state_dict", fdl.to_state_dict),
            ("summary", lambda tree: fdl.summary(RELU, tree)),
        )
    ],
    *[
        (
            lambda f=f, given=given: f().init(given),
            T,
            f"{f.__name__}.init: expected generator to be a generator, such as "
            f"torch.Generator().manual_seed(0), got {given!r}",
        )
        for given in (0, "cpu", torch.float64)
        for f in (fdl.relu, fdl.sequential)
    ],
    *[
        (
            lambda dtype=dtype: RELU.init(dtype=dtype),
            T,
            f"relu.init: expected dtype to be one of floating numbers, got {dtype!r}",
        )
        for dtype in (torch.int64, torch.complex64, "float64")
    ],
    # Backward without a forward
    (lambda: compat.Linear(2, 2).backward(X), R, "Linear.backward: expected a forward before it"),
    (lambda: compat.ReLU().backward(X), R, "ReLU.backward: expected a forward before it"),
    (
        lambda: compat.Sequential(compat.Tanh()).backward(X),
        R,
        "Sequential.backward: expected a forward before it that no other backward has used up",
    ),
    (lambda: compat.MSE().backward(), R, "MSE.backward: expected a forward before it"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[message for *_, message in BAD])
def test_bad_input_is_refused_by_name_and_nothing_changes(
    call: Callable[[], None], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        call()
    assert caught.type is error
    assert str(caught.value).startswith(message)
    assert "autocast" not in str(caught.value)
    assert all(map(same_bits, (W, B, X, Y), INPUTS))


def test_a_refused_cotangent_changes_no_gradient() -> None:
    model = compat.Sequential(compat.Linear(3, 2), compat.Tanh(), compat.Linear(2, 2))
    model(X)
    with pytest.raises(ValueError, match="cotangent"):
        model.backward(ones(2))
    assert all(not grad.any() for grad in model.grads())


@pytest.mark.parametrize("lr", [0, 0.0, 1, 1e-300, 1e30])
def test_any_finite_learning_rate_from_zero_up_is_taken(lr: float) -> None:
    fdl.sgd(LINEAR, LINEAR, lr)
    compat.SGD([W.clone()], [W], lr).step()


def test_nan_and_infinity_are_no_errors() -> None:
    x = torch.tensor([[math.nan, math.inf, -math.inf]])
    y, pullback = fdl.sequential(fdl.linear(3, 2), fdl.relu()).vjp({"0": LINEAR, "1": {}}, x)
    grads, gx = pullback(y)
    assert all(t.isnan().all() for t in (y, gx, *grads["0"].values()))


# What every layer and loss refuses


@pytest.fixture(params=[(name, seed) for name in LAYERS for seed in range(3)], ids=str)
def drawn(request: pytest.FixtureRequest) -> tuple[str, fdl.Layer, fdl.Params, torch.Tensor]:
    """A layer, as it is named in errors, with params and an x that it takes."""
    name, seed = request.param
    layer, _, params, x = LAYERS[name].drawn(small(seed, torch.float32))
    name = repr(layer).partition("(")[0]
    return rf"^(\w+ at [\d.]+|{name}): expected ", layer, params, x


def test_every_layer_refuses_params_with_other_keys(drawn: Any) -> None:
    name, layer, params, x = drawn
    for call in (layer.apply, layer.vjp):
        for wrong in (None, [], x):
            with pytest.raises(TypeError, match=f"{name}params to be a dict, got "):
                call(wrong, x)
        for wrong in (
            params | {"surplus": x},
            *({k: params[k]} for k in params if len(params) > 1),
        ):
            with pytest.raises(ValueError, match=f"{name}params with the keys .*, got "):
                call(wrong, x)


def replaced(params: fdl.Params, path: list[str], leaf: Any) -> fdl.Params:
    k, *rest = path
    return params | {k: replaced(params[k], rest, leaf) if rest else leaf}


def test_every_layer_refuses_leaves_that_are_not_like_declared(drawn: Any) -> None:
    name, layer, params, x = drawn
    for path, leaf in fdl.to_state_dict(params).items():
        key = re.escape(f"params[{path.split('.')[-1]!r}]")
        for error, wrong in (
            (ValueError, leaf[None]),
            (ValueError, leaf[:0]),
            (ValueError, leaf.new_ones(())),
            *[  # but where x has no dtype that they should be of
                (TypeError, leaf.to(dtype))
                for dtype in (torch.float64, torch.bfloat16)
                if x.is_floating_point()
            ],
            (TypeError, leaf.long()),
            (TypeError, leaf.cfloat()),
            (TypeError, None),
            (TypeError, leaf.tolist()),
        ):
            changed = replaced(params, path.split("."), wrong)
            for call in (layer.apply, layer.vjp):
                with pytest.raises(error, match=f"{name}{key} to be a float32 tensor of shape"):
                    call(changed, x)


def test_every_layer_refuses_an_x_that_is_not_floating_or_not_of_whole_numbers(drawn: Any) -> None:
    name, layer, params, x = drawn
    kind, other = "floating tensor", x.long()
    if not x.is_floating_point():
        kind, other = "tensor of int64 or int32", x.float()
    for wrong in (other, x > 0, x.cfloat(), None, x.tolist(), 1.0):
        got = "a .* tensor of shape" if isinstance(wrong, torch.Tensor) else re.escape(repr(wrong))
        with pytest.raises(TypeError, match=f"{name}x to be a {kind}, got {got}"):
            layer.vjp(params, wrong)


def test_every_layer_refuses_a_cotangent_that_is_not_like_y(drawn: Any) -> None:
    name, layer, params, x = drawn
    y, pullback = layer.vjp(params, x)
    said = re.escape(f"the cotangent to be a float32 tensor of shape {tuple(y.shape)}, got ")
    for error, wrong in (
        (ValueError, y[None]),
        (ValueError, y[:1]),
        (ValueError, y[0]),
        (ValueError, y.new_ones(())),
        (TypeError, y.double()),
        (TypeError, y.long()),
        (TypeError, y.cfloat()),
        (TypeError, None),
        (TypeError, y.tolist()),
    ):
        for wrt_input in (True, False):
            with pytest.raises(error, match=name + said):
                pullback(wrong, wrt_input=wrt_input)


@pytest.mark.parametrize("name", sorted(LAYERS.keys() - {"parallel", "residual", "sequential"}))
def test_no_layer_is_blamed_for_what_is_wrong_after_it(name: str) -> None:
    for seed in range(20):
        layer, _, params, x = LAYERS[name].drawn(Draw(Random(seed), torch.float32))
        model = fdl.sequential(layer, fdl.linear(1, 1))
        with pytest.raises(ValueError, match=r"^linear at 1: expected params with the keys"):
            model.vjp({"0": params, "1": {}}, x)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_refuses_a_prediction_that_is_not_floating(name: str) -> None:
    loss, _, y, t = LOSSES[name].drawn(small(0, torch.float32))
    for call in (loss.apply, loss.vjp):
        for wrong in (y.long(), y > 0, y.cfloat(), None, y.tolist(), y.numpy(), 1.0):
            with pytest.raises(TypeError, match=f"^{name}: expected the prediction to be a float"):
                call(wrong, t)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_refuses_a_target_that_is_not_like_it(name: str) -> None:
    loss, _, y, t = LOSSES[name].drawn(small(0, torch.float32))
    kind = str(t.dtype).removeprefix("torch.")
    said = re.escape(f"{name}: expected the target to be a {kind} tensor of shape {(*t.shape,)}, ")
    other = t.long() if t.is_floating_point() else t.float()
    for call in (loss.apply, loss.vjp):
        for wrong in (other, t.double(), t.int(), t > 0, None, t.tolist(), 1.0):
            with pytest.raises(TypeError, match=said):
                call(y, wrong)
        for wrong in (t[None], t[:1], t[0], t[..., None], t.new_ones(())):
            with pytest.raises(ValueError, match=said):
                call(y, wrong)


def test_sizes_may_be_numpys() -> None:
    layer = fdl.linear(np.int64(3), np.int32(2))
    assert layer.init()["weight"].shape == (2, 3)
