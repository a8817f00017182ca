"""Parameters as PyTorch's modules hold them: one flat dict, whose keys are paths joined by dots.

Files of them, in the format of safetensors, are read and written by its own functions:

    safetensors.torch.save_file(to_state_dict(params), "network.safetensors")
    params = from_state_dict(model, safetensors.torch.load_file("network.safetensors"))
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from functional_dl._tree import tree_map
from functional_dl.contract import Layer, Params


def to_state_dict(params: Params) -> dict[str, Tensor]:
    """{"0": {"weight": W}, …} ↦ {"0.weight": W, …}, which `load_state_dict` of PyTorch's takes.

    Args:
        params: Nested dicts of tensors.

    Returns:
        The leaves, detached, in the memory of those of params.

    Raises:
        ValueError: A key holds a dot, so that the way back would be lost.
        TypeError: A leaf is no tensor.
    """
    flat: dict[str, Tensor] = {}
    for k, p in params.items():
        if "." in k:
            raise ValueError(f"to_state_dict: expected keys without dots, got {k!r}")
        if isinstance(p, dict):
            flat |= {f"{k}.{path}": leaf for path, leaf in to_state_dict(p).items()}
        elif isinstance(p, Tensor):
            flat[k] = p.detach()
        else:
            raise TypeError(f"to_state_dict: expected a tree of tensors, got {p!r} in it")
    return flat


def from_state_dict(model: Layer, state_dict: Mapping[str, Tensor]) -> Params:
    """The params of model from what `state_dict` of PyTorch's gives for the same architecture.

    Args:
        model: Says which keys and shapes there are.
        state_dict: The tensors, of any floating dtype and device.

    Returns:
        Nested dicts of those tensors, detached, in the same memory: an optimizer that goes on to
        change the module in place changes them too, unless each is cloned.

    Raises:
        ValueError: state_dict doesn't fit; the message lists every key that is missing, surplus or
            of another shape.
    """
    return params_from("from_state_dict", model, state_dict)


def params_from(name: str, model: Layer, state_dict: Mapping[str, Tensor]) -> Params:
    """As `from_state_dict`; errors are in this name."""
    with torch.random.fork_rng(devices=[]):  # so that no random number is used up
        like = model.init(device="meta")
    shapes = {k: tuple(p.shape) for k, p in to_state_dict(like).items()}
    if wrong := faults(shapes, state_dict):
        raise ValueError(f"{name}: expected what fits the model, got " + "; ".join(wrong.values()))

    leaves = iter(shapes)  # in the order of like's
    return tree_map(lambda _: state_dict[next(leaves)].detach(), like)


def faults(
    shapes: Mapping[str, tuple[int, ...]], state_dict: Mapping[str, Tensor]
) -> dict[str, str]:
    """What is wrong under which key with tensors that are to be of these shapes."""
    wrong = {k: f"missing {k!r} of shape {shapes[k]}" for k in shapes if k not in state_dict}
    for k, p in state_dict.items():
        if k not in shapes:
            wrong[k] = f"surplus {k!r}"
        elif not isinstance(p, Tensor) or not p.is_floating_point():
            wrong[k] = f"{k!r} is no floating tensor"
        elif p.shape != shapes[k]:
            wrong[k] = f"{k!r} of shape {tuple(p.shape)}, not {shapes[k]}"
    return wrong
