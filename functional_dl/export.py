"""Training where Python isn't: a step holds no autograd, so it is a graph like any other.

    def step(params, inputs, targets, lr):
        loss, grads = loss_and_grads(params, inputs, targets)
        return sgd(params, grads, lr), loss

    example = (params, inputs, targets, 0.1)
    to_onnx(step, example, "step.onnx")                       # one step for each call
    to_onnx(step, example, "training.onnx", loop="steps")     # as many as one asks for
    to_onnx(model.apply, (params, inputs), "predict.onnx")    # the network alone

Whoever runs the file goes by names, in any language: new_params.0.weight is the next
params.0.weight. PyTorch's own runtimes take what `export` gives, by PyTorch's own functions:

    torch.export.save(export(step, example), "step.pt2")
    torch._inductor.aoti_compile_and_package(export(step, example), package_path="step.pt2")
"""

import logging
import operator
import os
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram, ShapesCollection

from functional_dl._tree import tree_layout
from functional_dl.stacked import stack
from functional_dl.state_dict import to_state_dict

if TYPE_CHECKING:
    import onnx_ir as ir

RESULTS = ("new_params", "loss")

Named: TypeAlias = dict[str, Tensor]
"""Tensors under their names in the file."""

TOLERANCE = 100
"""How far ONNX Runtime may be from Python, in units of rounding of a tensor's largest element.

It sums in another order; in a product of matrices of a thousand rows, that comes to some ten."""


def export(step: Callable[..., Any], example: tuple[Any, ...]) -> ExportedProgram:
    """The graph of a step of training, or of a prediction, for batches of any size.

    Args:
        step: A pure function (params, inputs, targets) ↦ (new params, loss), which may take a
            learning rate after these; or one of a prediction, (params, inputs) ↦ outputs.
        example: What step takes, for shapes and dtypes; lr is a number or a tensor. The first
            dimension of inputs and of targets is the batch.

    Returns:
        PyTorch's program; its `module()` is called as step is, with lr as a tensor.

    Raises:
        ValueError: The example has fewer than two parts or more than four, or its batch is empty;
            or the new params aren't of the structure, shapes and dtypes of params.
        TypeError: The example, or what step returns, is of other types.
    """
    example, _ = _run_once("export", step, example)
    return _program(step, example)


def to_onnx(
    step: Callable[..., Any],
    example: tuple[Any, ...],
    path: str | os.PathLike[str],
    *,
    loop: Literal["steps"] | None = None,
) -> None:
    """Writes step as an ONNX file, which ONNX Runtime and others run without Python.

    Its inputs are named params.0.weight and so on, inputs, targets and, if step takes it, lr; its
    outputs new_params.0.weight and so on, and loss. Those of a prediction are params.0.weight and
    so on, and inputs; and outputs. The size of a batch is free.

    With loop, the file is the whole of training: inputs and targets are batches, stacked, and one
    more input, steps, an int64 scalar, says how many steps to do, going round through the batches;
    loss is that of each step, stacked.

    Nothing is written unless ONNX Runtime loads it and agrees with Python, within `TOLERANCE`, on
    one step from the example, or with loop on two.

    Args:
        step: As for `export`.
        example: As for `export`; with loop, too, its inputs and targets are one batch.
        path: Where the file goes. One that is there is replaced.
        loop: "steps" for the whole of training.

    Raises:
        ImportError: onnxruntime, onnxscript or what these need is not installed.
        OSError: The path can't be written to.
        ValueError: As for `export`; or loop is neither, or for a prediction; or ONNX Runtime can't
            run the file, or disagrees.
        TypeError: As for `export`.
    """
    if loop is not None and (loop != "steps" or len(example) < 3):
        raise ValueError(f"to_onnx: expected loop to be 'steps', and of training, got {loop!r}")
    example, results = _run_once("to_onnx", step, example)
    try:
        ir, *_ = map(import_module, ("onnx_ir", "onnxruntime", "onnxscript"))
    except ImportError as error:
        message = f"to_onnx: {error.name} is not installed; pip install 'functional_dl[export]'"
        raise ImportError(message, name=error.name) from error

    takes = _named(("params", "inputs", "targets", "lr"), example)
    gives = _named(RESULTS if len(example) > 2 else ("outputs",), results)
    model = _translated(_program(step, example), takes, gives)
    if loop:
        model.graph = _loop(model.graph)
        params, second = step(results[0], *example[1:])
        gives = _named(RESULTS, (params, stack([results[1], second])))
        takes |= {k: takes[k][None] for k in ("inputs", "targets")}
        takes["steps"] = torch.tensor(2)
    file = ir.to_proto(model).SerializeToString()
    _compare(file, takes, gives)
    _write(Path(path), file)


def _run_once(
    name: str, step: Callable[..., Any], example: tuple[Any, ...]
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Checks the example and what step returns for it; gives both, with lr as a tensor."""
    if not isinstance(example, tuple) or not 2 <= len(example) <= 4:
        raise ValueError(f"{name}: expected an example of 2 to 4 parts, got {example!r}")
    params, inputs, *rest = example
    for part, batch in (("inputs", inputs), *(("targets", t) for t in rest[:1])):
        if not isinstance(batch, Tensor):
            raise TypeError(f"{name}: expected {part} to be a tensor, got {batch!r}")
        if batch.dim() == 0 or len(batch) == 0 or len(batch) != len(inputs):
            like = ", not empty" if batch is inputs else " as large as inputs"
            raise ValueError(
                f"{name}: expected {part} to be a batch{like}, got {tuple(batch.shape)}"
            )
    lr = [torch.as_tensor(lr, dtype=inputs.dtype, device=inputs.device) for lr in rest[1:]]
    example = (params, inputs, *rest[:1], *lr)
    with torch.no_grad():
        results = step(*example)
    if not rest:
        if not isinstance(results, Tensor):
            raise TypeError(f"{name}: expected the prediction to be a tensor, got {results!r}")
        return example, (results,)
    if not (isinstance(results, tuple) and len(results) == 2 and isinstance(results[1], Tensor)):
        raise TypeError(f"{name}: expected step to return (new params, loss), got {results!r}")
    like, new = (tree_layout(to_state_dict(tree)) for tree in (params, results[0]))
    if new != like:
        raise ValueError(f"{name}: expected new params like params, {like}, got {new}")
    return example, results


def _program(step: Callable[..., Any], example: tuple[Any, ...]) -> ExportedProgram:
    class Step(torch.nn.Module):  # torch.export asks for one
        def forward(self, *args: Any) -> Any:
            return step(*args)

    # torch.export takes a size of 1 for fixed, so the batch that it sees is doubled.
    args = tuple(torch.cat([a, a]) if i in (1, 2) else a for i, a in enumerate(example))
    free, size = ShapesCollection(), Dim("batch")
    for batch in args[1:3]:
        free[batch] = {0: size}
    shapes = free.dynamic_shapes(Step(), args)
    with torch.no_grad():
        return torch.export.export(Step(), args, dynamic_shapes=shapes, strict=False)


def _named(names: Sequence[str], values: Sequence[Any]) -> Named:
    named: Named = {}
    for name, value in zip(names, values, strict=False):
        named |= to_state_dict({name: value})
    return named


def _translated(program: ExportedProgram, takes: Named, gives: Named) -> "ir.Model":
    import onnx_ir as ir
    import onnxscript

    op: Any = onnxscript.opset18

    # With fewer nodes than torch's own translations have: a step takes a tenth less.
    def addcmul(p: Any, a: Any, b: Any, value: float = 1.0) -> Any:
        return op.Sub(p, op.Mul(a, b)) if value == -1 else op.Add(p, op.Mul(op.Mul(a, b), value))

    def mean(x: Any, dtype: int = -1) -> Any:
        return op.ReduceMean(x if dtype == -1 else op.Cast(x, to=dtype), keepdims=False)

    def truediv(a: Any, b: Any) -> Any:
        return op.Div(*(op.Cast(c, to=ir.DataType.DOUBLE) for c in (a, b)))

    table: dict[Any, Any] = {
        torch.ops.aten.addcmul.default: addcmul,
        torch.ops.aten.mean.default: mean,
    }
    if takes["inputs"].dtype == torch.float64:  # torch's own divides sizes in single precision
        table[operator.truediv] = truediv

    _choose_by_product(program)
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)  # it warns that torchvision is not installed
    try:
        with warnings.catch_warnings(action="ignore"):
            onnx_program = torch.onnx.export(
                program, dynamo=True, verbose=False, custom_translation_table=table
            )
    finally:
        log.setLevel(level)
    assert onnx_program is not None
    model = onnx_program.model
    graph = model.graph
    for node in graph:
        node.metadata_props.clear()  # the files and lines that it was traced from
    of_inputs: Any = graph.inputs[[*takes].index("inputs")].shape
    for value, name in zip([*graph.inputs, *graph.outputs], [*takes, *gives], strict=True):
        value.name = name
        value.shape = ir.Shape(["batch" if d == of_inputs[0] else d for d in value.shape or ()])
    return model


def _choose_by_product(program: ExportedProgram) -> None:
    """Makes relu's gradient a product, gy * (y > 0): a fifth faster in ONNX Runtime."""
    aten, graph = torch.ops.aten, program.graph
    for node in graph.find_nodes(op="call_function", target=aten.masked_fill.Scalar):
        gy, off, value = node.args
        if value == 0 and off.target is aten.le.Scalar:
            with graph.inserting_before(node):
                on = graph.call_function(aten.gt.Scalar, off.args)
                product = graph.call_function(aten.mul.Tensor, (gy, on))
            on.meta, product.meta = off.meta, node.meta
            node.replace_all_uses_with(product)
            graph.erase_node(node)
            graph.erase_node(off)


def _loop(step: "ir.Graph") -> "ir.Graph":
    """(params, stacked batches, …, steps) ↦ (new params, losses), by ONNX's Loop over step."""
    import onnx_ir as ir

    n = len(step.outputs) - 1
    params, batch, lr = step.inputs[:n], step.inputs[n : n + 2], step.inputs[n + 2 :]

    def like(value: ir.Value, *more: str) -> ir.Value:
        shape: Any = [*more, *(value.shape or ())]
        return ir.val(value.name, value.dtype, shape)

    takes, stacked = [like(p) for p in params], [like(b, "batches") for b in batch]
    steps = ir.val("steps", ir.DataType.INT64, [])
    size = ir.node("Shape", [stacked[0]], {"end": 1}, outputs=[ir.val("training.size")])
    batches = ir.node("Squeeze", size.outputs, outputs=[ir.val("training.batches")])

    # In the body: the batch of this number, the step, and whether to go on, which it always does.
    number = ir.val("number", ir.DataType.INT64, [])
    going = ir.val("going", ir.DataType.BOOL, [])
    which = ir.node("Mod", [number, *batches.outputs])
    picks = [ir.node("Gather", [s, *which.outputs], {"axis": 0}) for s in stacked]
    for b, pick in zip(batch, picks, strict=True):
        b.replace_all_uses_with(pick.outputs[0])
    still = ir.node("Identity", [going])
    step.insert_before(step[0], [which, *picks, still])
    gives = [*map(like, step.outputs[:n]), like(step.outputs[n], "steps")]
    step.inputs[:] = [number, going, *params]
    step.outputs.insert(0, still.outputs[0])
    for value in [*params, *step.outputs[1:]]:
        value.name = f"step.{value.name}"  # no name means two things

    loop = ir.node("Loop", [steps, None, *takes], {"body": step}, outputs=gives)
    return ir.Graph(
        [*takes, *stacked, *lr, steps],
        gives,
        nodes=[size, batches, loop],
        opset_imports=step.opset_imports,
        name="training",
    )


def _compare(file: bytes, takes: Named, gives: Named) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    try:
        session = onnxruntime.InferenceSession(file, options, ["CPUExecutionProvider"])
        got = session.run([*gives], {k: v.numpy(force=True) for k, v in takes.items()})
    except Exception as error:  # its own have no common class
        raise ValueError(f"to_onnx: expected a step that ONNX Runtime can run: {error}") from error
    for (name, ours), theirs in zip(gives.items(), got, strict=True):
        eps = torch.finfo(ours.dtype).eps if ours.is_floating_point() else 0
        ours = ours.detach().cpu().double()
        limit = TOLERANCE * eps * ours.abs().amax().item()
        off = (torch.from_numpy(theirs).double() - ours).abs().amax().item()
        if not off <= limit:
            raise ValueError(
                f"to_onnx: expected {name} within {limit:.0e} of Python's, got {off:.0e}"
            )


def _write(path: Path, file: bytes) -> None:
    unfinished = path.with_name(f".{path.name}.part")
    try:
        unfinished.write_bytes(file)
        unfinished.replace(path)
    except OSError as error:
        message = f"to_onnx: expected a path to write to, got {str(path)!r}: {error.strerror}"
        raise type(error)(error.errno, message) from error
    finally:
        with suppress(OSError):
            unfinished.unlink()
