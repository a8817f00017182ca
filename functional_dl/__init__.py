"""Deep learning without autograd: pure functions on PyTorch tensors, each gradient by hand.

`contract` says what a layer and a loss are; `compat` is the same as stateful modules.
"""

from importlib.metadata import version

from functional_dl._guard import Maths, layer, loss
from functional_dl._tree import tree_leaves, tree_map
from functional_dl.check_vjp import VjpError, check_vjp
from functional_dl.contract import (
    Cotangents,
    Init,
    Layer,
    Loss,
    LossPullback,
    LossVjp,
    Optimizer,
    OptimizerUpdate,
    Params,
    Pullback,
    State,
    Update,
    Vjp,
)
from functional_dl.layers._activations import relu, sigmoid, tanh
from functional_dl.layers._combinators import sequential
from functional_dl.layers._linear import linear
from functional_dl.losses._regression import mse
from functional_dl.optimizers._adagrad import adagrad
from functional_dl.optimizers._adam import adam
from functional_dl.optimizers._clipping import clip_norm
from functional_dl.optimizers._flat import flat
from functional_dl.optimizers._momentum import momentum
from functional_dl.optimizers._rmsprop import rmsprop
from functional_dl.optimizers._schedules import cosine
from functional_dl.optimizers._sgd import sgd
from functional_dl.stacked import scan, stack, unstack
from functional_dl.state_dict import from_state_dict, to_state_dict
from functional_dl.summary import summary
from functional_dl.trace import Traced, trace
from functional_dl.value_and_grad import value_and_grad
from functional_dl.value_and_update import value_and_update

__version__ = version("functional_dl")

__all__ = [
    "Cotangents",
    "Init",
    "Layer",
    "Loss",
    "LossPullback",
    "LossVjp",
    "Maths",
    "Optimizer",
    "OptimizerUpdate",
    "Params",
    "Pullback",
    "State",
    "Traced",
    "Update",
    "Vjp",
    "VjpError",
    "adagrad",
    "adam",
    "check_vjp",
    "clip_norm",
    "cosine",
    "flat",
    "from_state_dict",
    "layer",
    "linear",
    "loss",
    "momentum",
    "mse",
    "relu",
    "rmsprop",
    "scan",
    "sequential",
    "sgd",
    "sigmoid",
    "stack",
    "summary",
    "tanh",
    "to_state_dict",
    "trace",
    "tree_leaves",
    "tree_map",
    "unstack",
    "value_and_grad",
    "value_and_update",
]
