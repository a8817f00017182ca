"""Deep learning without autograd: pure functions on PyTorch tensors, each gradient by hand.

`contract` says what a layer and a loss are; `compat` is the same as stateful modules.
"""

from importlib.metadata import version

from functional_dl.check_vjp import VjpError, check_vjp
from functional_dl.contract import Init, Layer, Loss, LossPullback, Params, Pullback
from functional_dl.linear import linear
from functional_dl.mse import mse
from functional_dl.relu import relu
from functional_dl.sequential import sequential
from functional_dl.sgd import sgd
from functional_dl.stacked import scan, stack, unstack
from functional_dl.state_dict import from_state_dict, to_state_dict
from functional_dl.summary import summary
from functional_dl.tanh import tanh
from functional_dl.trace import trace
from functional_dl.value_and_grad import value_and_grad
from functional_dl.value_and_update import value_and_update

__all__ = [
    "Init",
    "Layer",
    "Loss",
    "LossPullback",
    "Params",
    "Pullback",
    "VjpError",
    "check_vjp",
    "from_state_dict",
    "linear",
    "mse",
    "relu",
    "scan",
    "sequential",
    "sgd",
    "stack",
    "summary",
    "tanh",
    "to_state_dict",
    "trace",
    "unstack",
    "value_and_grad",
    "value_and_update",
]

__version__ = version("functional_dl")
