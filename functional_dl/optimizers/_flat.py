"""All leaves in one, for steps in which each operation takes longer than its numbers do."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.compiler import is_compiling

from functional_dl._errors import not_a
from functional_dl._tree import tree_leaves
from functional_dl.contract import Call, Optimizer, Params, State, call_of
from functional_dl.optimizers._leaves import OptimizerCall, check_grads, pairs, tree_like


def flat(optimizer: Optimizer) -> Optimizer:
    """The optimizer of all leaves as one vector.

    Every bit is the same. It takes less time for small networks in a traced or compiled step; for
    large ones it takes more, since all that params and gradients hold is copied.

    Args:
        optimizer: Goes by elements, as all here do, and treats all leaves alike.

    Returns:
        An optimizer whose state has the optimizer's trees for params {"flat": vector}. It is not
        for `value_and_update`, since its state doesn't come apart as params do. New params are laid
        out by rows, and share memory: one that is kept keeps all of them alive.

    Raises:
        ValueError: The optimizer decays some leaves only.
        TypeError: It is no Optimizer; or, in a call, leaves are of different dtypes.
    """
    if not isinstance(optimizer, Optimizer):
        raise not_a("flat", "optimizer", optimizer, "an Optimizer, such as adam()")
    inner = call_of(optimizer)
    if isinstance(inner, OptimizerCall) and inner.rule.decays:
        raise ValueError("flat: expected an optimizer that treats all leaves alike, got decays")
    call = _FlatCall(optimizer)
    return Optimizer(call.init, call.update)


class _FlatCall(Call):
    def __init__(self, optimizer: Optimizer) -> None:
        super().__init__(flat, (optimizer,), {})
        self.optimizer = optimizer

    def init(self, params: Params) -> State:
        check_grads("flat.init", params, params, real=True)
        return self.optimizer.init(_joined(tree_leaves(params)))

    def update(
        self,
        params: Params,
        grads: Params,
        state: State,
        lr: float | Tensor,
        *,
        donate: bool = False,
    ) -> tuple[Params, State]:
        ps, gs = pairs("flat", params, grads, lr)
        new, state = self.optimizer.update(_joined(ps), _joined(gs), state, lr, donate=donate)
        parts = new["flat"].split([p.numel() for p in ps]) if ps else ()
        made = [part.view(p.shape) for p, part in zip(ps, parts, strict=True)]
        if is_compiling():
            made = [leaf.clone() for leaf in made]  # no loop hands on views of one tensor
        return tree_like(params, iter(made)), state


def _joined(leaves: list[Tensor]) -> Params:
    if len({leaf.dtype for leaf in leaves}) > 1:
        raise TypeError(
            f"flat: expected leaves of one dtype, got {[leaf.dtype for leaf in leaves]}"
        )
    return {"flat": torch.cat([leaf.reshape(-1) for leaf in leaves])} if leaves else {}
