"""Parameters as PyTorch's modules hold them: one flat dict, whose keys are paths joined by dots.

Files of them, in the format of safetensors, are read and written by its own functions:

    safetensors.torch.save_file(to_state_dict(params), "network.safetensors")
    params = from_state_dict(model, safetensors.torch.load_file("network.safetensors"))
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.compiler import is_compiling

from functional_dl._errors import not_a
from functional_dl._guard import unallocated
from functional_dl._tree import tree_map
from functional_dl.contract import Layer, Params
from functional_dl.layers._tied import ties_of


def to_state_dict(params: Params, model: Layer | None = None) -> dict[str, Tensor]:
    """{"0": {"weight": W}, …} ↦ {"0.weight": W, …}, which `load_state_dict` of PyTorch's takes.

    Args:
        params: Nested dicts of tensors.
        model: The layer with these params, if leaves of it are `tied`; these are then there under
            all their names.

    Returns:
        The leaves, detached, in the memory of those of params. From params made in
        `torch.inference_mode`, a module takes copies, but not with assign=True: for that,
        `tree_map(torch.clone, params)` is called after the block.

    Raises:
        ValueError: A key holds a dot, so that the way back would be lost.
        TypeError: A key is no string, or a leaf no tensor.
    """
    flat = flattened("to_state_dict", params)
    for path, of in (ties_of(model) if model else {}).items():
        flat[path] = flat[of]
    return flat


def flattened(name: str, params: Params) -> dict[str, Tensor]:
    """As `to_state_dict`; errors are in this name."""
    if not isinstance(params, dict):
        raise TypeError(f"{name}: expected nested dicts of tensors, got {params!r}")
    flat: dict[str, Tensor] = {}
    for k, p in params.items():
        if not isinstance(k, str):
            raise TypeError(f"{name}: expected keys that are strings, such as '0', got {k!r}")
        if "." in k:
            raise ValueError(f"{name}: expected keys without dots, got {k!r}")
        if isinstance(p, dict):
            flat |= {f"{k}.{path}": leaf for path, leaf in flattened(name, p).items()}
        elif isinstance(p, Tensor):
            flat[k] = p.detach()
        else:
            raise TypeError(f"{name}: expected nested dicts of tensors, got {p!r} in them")
    return flat


def from_state_dict(model: Layer | Params, state_dict: Mapping[str, Tensor]) -> Params:
    """The params of model from what `state_dict` of PyTorch's gives for the same architecture.

    Args:
        model: Says which keys and shapes there are, and what is tied; so do nested dicts of
            tensors, such as {"params": params, "state": state}, of a checkpoint.
        state_dict: The tensors, of any floating dtype and device; or those of many networks, each
            stacked along a first axis, as `torch.func.stack_module_state` does.

    Returns:
        Nested dicts of those tensors, detached, in the same memory: an optimizer that goes on to
        change the module in place changes them too, unless each is cloned.

    Raises:
        ValueError: state_dict doesn't fit; the message lists every key that is missing, surplus or
            of another shape. Or two of its tensors are one, as where weights are tied, which a step
            would make two.
        TypeError: model is neither, or state_dict no mapping.
    """
    return params_from("from_state_dict", model, state_dict)


def params_from(name: str, model: Layer | Params, state_dict: Mapping[str, Tensor]) -> Params:
    """As `from_state_dict`; errors are in this name."""
    if not isinstance(model, (Layer, dict)):
        raise not_a(name, "model", model, "a Layer, such as sequential(...)")
    if not isinstance(state_dict, Mapping):
        raise not_a(name, "state_dict", state_dict, "a dict")
    like = model
    if isinstance(like, Layer):
        like = unallocated(like)
    one = flattened(name, like)
    state_dict = _untied(name, model, state_dict)
    n = getattr(next(iter(state_dict.values()), None), "shape", ())[:1]
    many = {k: p.new_empty((*n, *p.shape), device="meta") for k, p in one.items()}
    if faults(many, state_dict) and (wrong := faults(one, state_dict)):
        raise ValueError(f"{name}: expected what fits the model, got " + "; ".join(wrong.values()))
    refuse_tied(name, state_dict)

    leaves = iter(one)  # in the order of like's
    return tree_map(lambda _: state_dict[next(leaves)].detach(), like)


def _untied(
    name: str, model: Layer | Params, state_dict: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The tensors, where those that are tied come once."""
    ties = ties_of(model) if isinstance(model, Layer) else {}
    for path, of in ties.items():
        if path in state_dict and of in state_dict:
            p, first = state_dict[path], state_dict[of]
            if p is not first and not (p.shape == first.shape and p.allclose(first, 0, 0, True)):
                raise ValueError(f"{name}: expected {path!r} to be {of!r}, with which it is tied")
    return {k: p for k, p in state_dict.items() if k not in ties}


def faults(like: Mapping[str, Tensor], state_dict: Mapping[str, Tensor]) -> dict[str, str]:
    """What is wrong under which key with tensors that are to be like these, of any floating dtype.

    What isn't floating must be of the same dtype.
    """
    wrong = {
        k: f"missing {k!r} of shape {tuple(p.shape)}"
        for k, p in like.items()
        if k not in state_dict
    }
    for k, p in state_dict.items():
        if k not in like:
            wrong[k] = f"surplus {k!r}"
            continue
        dtype, shape = like[k].dtype, tuple(like[k].shape)
        floating = isinstance(p, Tensor) and p.is_floating_point() and dtype.is_floating_point
        if not floating and getattr(p, "dtype", None) != dtype:
            kind = "floating" if dtype.is_floating_point else str(dtype)
            wrong[k] = f"{k!r} is no {kind} tensor"
        elif p.shape != shape:
            wrong[k] = f"{k!r} of shape {tuple(p.shape)}, not {shape}"
    return wrong


def check_untied(name: str, params: Params) -> None:
    """Raises what `refuse_tied` does, if a leaf comes twice, which is quicker to tell."""
    if is_compiling():  # for one call after the other, with other ids
        return
    dicts: list[Any] = [params]
    leaves: list[int] = []
    for tree in dicts:
        for p in tree.values():
            if isinstance(p, dict):
                dicts.append(p)
            else:
                leaves.append(id(p))
    if len({*leaves}) < len(leaves):
        refuse_tied(name, flattened(name, params))


def refuse_tied(name: str, state_dict: Mapping[str, Tensor]) -> None:
    """Raises the paths of two tensors that begin at one address."""
    paths: dict[int, str] = {}
    for path, p in state_dict.items():
        other = paths.setdefault(p.data_ptr() or id(p), path)  # what is empty has no address
        if other != path:
            raise ValueError(
                f"{name}: expected tensors of their own, got one as {other!r} and {path!r}, "
                "of which a step would make two"
            )
