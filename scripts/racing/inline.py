"""The tensor operations of functional_dl's step for the report's networks, and nothing else.

No layers, no dicts, no closures, no checks: what the step takes beyond these is the framework's.
"""

import torch
from torch import Tensor

from report.experiment import LEARNING_RATE, RELU, Network
from report.trainers import Step, core

ONE = torch.ones(())
BITS = torch.int32


def inline(network: Network) -> Step:
    """A step of training, which returns the loss before it."""
    relu = network == RELU
    p = core(network).parameters()

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
        gh = gy.mm(w4)
        if relu:
            gy = y3.abs()
            gy.view(BITS).sign_().mul_(gh.view(BITS))
        else:
            gy = ONE.addcmul(y3, y3, value=-1).mul_(gh)
        gw3, gb3 = gy.mT.mm(y2), gy.sum(0)
        gh = gy.mm(w3)
        if relu:
            gy = y2.abs()
            gy.view(BITS).sign_().mul_(gh.view(BITS))
        else:
            gy = ONE.addcmul(y2, y2, value=-1).mul_(gh)
        gw2, gb2 = gy.mT.mm(y1), gy.sum(0)
        gh = gy.mm(w2)
        if relu:
            gy = y1.abs()
            gy.view(BITS).sign_().mul_(gh.view(BITS))
        else:
            gy = ONE.addcmul(y1, y1, value=-1).mul_(gh)
        gw1, gb1 = gy.mT.mm(x), gy.sum(0)
        p = [
            torch.sub(w1, gw1, alpha=LEARNING_RATE, out=gw1),
            torch.sub(b1, gb1, alpha=LEARNING_RATE, out=gb1),
            torch.sub(w2, gw2, alpha=LEARNING_RATE, out=gw2),
            torch.sub(b2, gb2, alpha=LEARNING_RATE, out=gb2),
            torch.sub(w3, gw3, alpha=LEARNING_RATE, out=gw3),
            torch.sub(b3, gb3, alpha=LEARNING_RATE, out=gb3),
            torch.sub(w4, gw4, alpha=LEARNING_RATE, out=gw4),
            torch.sub(b4, gb4, alpha=LEARNING_RATE, out=gb4),
        ]
        return loss

    return step
