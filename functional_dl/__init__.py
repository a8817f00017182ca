"""Deep learning without autograd: pure functions on PyTorch tensors, every gradient by hand.

`contract` says what a layer and a loss are. The layers are `linear`, `relu`, `tanh` and
`sequential`, the loss is `mse`, the optimizer is `sgd`, and `value_and_grad` joins a model and a
loss. `functional_dl.compat` is the same as stateful modules.

    model = fdl.sequential(fdl.linear(2, 25), fdl.relu(), fdl.linear(25, 2))
    loss_and_grads = fdl.value_and_grad(model, fdl.mse())

    params = model.init(torch.Generator().manual_seed(0))
    for inputs, targets in batches:
        loss, grads = loss_and_grads(params, inputs, targets)
        params = fdl.sgd(params, grads, lr=0.1)
"""

from functional_dl.contract import Init, Layer, Loss, LossPullback, Params, Pullback
from functional_dl.linear import linear
from functional_dl.mse import mse
from functional_dl.relu import relu
from functional_dl.sequential import sequential
from functional_dl.sgd import sgd
from functional_dl.tanh import tanh
from functional_dl.value_and_grad import value_and_grad

__all__ = [
    "Init",
    "Layer",
    "Loss",
    "LossPullback",
    "Params",
    "Pullback",
    "linear",
    "mse",
    "relu",
    "sequential",
    "sgd",
    "tanh",
    "value_and_grad",
]
