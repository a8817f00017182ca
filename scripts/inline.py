"""The tensor operations of functional_dl's step for the report's networks, and nothing else.

No layers, no dicts, no closures, no checks: what the step takes beyond these is the framework's.
"""

import torch
from experiment import LEARNING_RATE, Step, functional
from torch import Tensor

ONE = torch.ones(())
BITS = torch.int32


def inline(network: str) -> Step:
    """A step of training, which returns the loss before it."""
    relu = network == "ReLU"
    p = functional(network).parameters()

    def step(x: Tensor, t: Tensor) -> Tensor:
        nonlocal p
        w1, b1, w2, b2, w3, b3, w4, b4 = p
        y1 = b1.addmm(x, w1.mT)
        y1 = y1.relu() if relu else y1.tanh()
        y2 = b2.addmm(y1, w2.mT)
        y2 = y2.relu() if relu else y2.tanh()
        y3 = b3.addmm(y2, w3.mT)
        y3 = y3.relu() if relu else y3.tanh()
        error = b4.addmm(y3, w4.mT) - t
        loss = (error * error).mean()
        gy = error * error.new_full((), 2 / error.numel())
        gw4, gb4 = gy.mT.mm(y3), gy.sum(0)
        gy = gy.mm(w4)
        if relu:
            gy = (gy.view(BITS) * y3.abs().view(BITS).sign_()).view(gy.dtype)
        else:
            gy = gy * ONE.addcmul(y3, y3, value=-1)
        gw3, gb3 = gy.mT.mm(y2), gy.sum(0)
        gy = gy.mm(w3)
        if relu:
            gy = (gy.view(BITS) * y2.abs().view(BITS).sign_()).view(gy.dtype)
        else:
            gy = gy * ONE.addcmul(y2, y2, value=-1)
        gw2, gb2 = gy.mT.mm(y1), gy.sum(0)
        gy = gy.mm(w2)
        if relu:
            gy = (gy.view(BITS) * y1.abs().view(BITS).sign_()).view(gy.dtype)
        else:
            gy = gy * ONE.addcmul(y1, y1, value=-1)
        gw1, gb1 = gy.mT.mm(x), gy.sum(0)
        p = [
            w1.sub(gw1, alpha=LEARNING_RATE),
            b1.sub(gb1, alpha=LEARNING_RATE),
            w2.sub(gw2, alpha=LEARNING_RATE),
            b2.sub(gb2, alpha=LEARNING_RATE),
            w3.sub(gw3, alpha=LEARNING_RATE),
            b3.sub(gb3, alpha=LEARNING_RATE),
            w4.sub(gw4, alpha=LEARNING_RATE),
            b4.sub(gb4, alpha=LEARNING_RATE),
        ]
        return loss

    return step
