"""Deep learning without autograd: pure functions on PyTorch tensors, each gradient by hand.

`contract` says what a layer and a loss are; `compat` is the same as stateful modules.
"""

from importlib.metadata import version

from functional_dl._guard import Maths, layer, loss, loss_of_classes
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
from functional_dl.layers._activations import (
    gelu,
    leaky_relu,
    relu,
    relu_squared,
    sigmoid,
    silu,
    tanh,
)
from functional_dl.layers._attention import attention, self_attention
from functional_dl.layers._combinators import parallel, residual, sequential
from functional_dl.layers._conv2d import conv2d
from functional_dl.layers._dropout import dropout
from functional_dl.layers._embedding import embedding, positions
from functional_dl.layers._flatten import flatten
from functional_dl.layers._frozen import frozen
from functional_dl.layers._gpt import CLASSIC, MODERN, Style, gpt
from functional_dl.layers._initialized import initialized
from functional_dl.layers._linear import linear
from functional_dl.layers._max_pool2d import max_pool2d
from functional_dl.layers._normalization import layer_norm, rms_norm
from functional_dl.layers._tied import tied
from functional_dl.losses._classification import bce_with_logits, cross_entropy
from functional_dl.losses._regression import huber, l1, mse
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
    "CLASSIC",
    "MODERN",
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
    "Style",
    "Traced",
    "Update",
    "Vjp",
    "VjpError",
    "adagrad",
    "adam",
    "attention",
    "bce_with_logits",
    "check_vjp",
    "clip_norm",
    "conv2d",
    "cosine",
    "cross_entropy",
    "dropout",
    "embedding",
    "flat",
    "flatten",
    "from_state_dict",
    "frozen",
    "gelu",
    "gpt",
    "huber",
    "initialized",
    "l1",
    "layer",
    "layer_norm",
    "leaky_relu",
    "linear",
    "loss",
    "loss_of_classes",
    "max_pool2d",
    "momentum",
    "mse",
    "parallel",
    "positions",
    "relu",
    "relu_squared",
    "residual",
    "rms_norm",
    "rmsprop",
    "scan",
    "self_attention",
    "sequential",
    "sgd",
    "sigmoid",
    "silu",
    "stack",
    "summary",
    "tanh",
    "tied",
    "to_state_dict",
    "trace",
    "tree_leaves",
    "tree_map",
    "unstack",
    "value_and_grad",
    "value_and_update",
]
