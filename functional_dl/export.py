"""Training where Python isn't: a step holds no autograd, so it is a graph like any other.

    def step(params, inputs, targets, lr):
        loss, grads = loss_and_grads(params, inputs, targets)
        return sgd(params, grads, lr), loss

    example = (params, inputs, targets, 0.1)
    to_onnx(step, example, "step.onnx")                       # one step for each call
    to_onnx(step, example, "training.onnx", loop="steps")     # as many as one asks for
    to_onnx(model.apply, (params, inputs), "predict.onnx")    # the network alone

Whoever runs the file goes by names, in any language: new_params.0.weight is the next
params.0.weight. With an optimizer, step(params, state, inputs, targets, lr) gives new params, a new
state and the loss, and new_state.exp_avg.0.weight is the next state.exp_avg.0.weight. What else a
step should tell, such as its gradients, it returns after the loss, in a dict of dicts.

PyTorch's own runtimes take what `export` gives, by PyTorch's own functions:

    torch.export.save(export(step, example), "step.pt2")
    torch._inductor.aoti_compile_and_package(export(step, example), package_path="step.pt2")
"""

import logging
import operator
import os
import shutil
import warnings
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from uuid import uuid4

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram, ShapesCollection

from functional_dl._errors import not_like
from functional_dl._tree import tree_layout, tree_leaves, tree_map
from functional_dl.state_dict import flattened, to_state_dict

if TYPE_CHECKING:
    import onnx_ir as ir

CARRIED = ("params", "state")
"""The parts of an example that a step gives back, made new; of these, state may be missing."""

Example: TypeAlias = tuple[Any, ...]
Step: TypeAlias = Callable[..., Any]

Named: TypeAlias = dict[str, Tensor]
"""Tensors under their names in the file."""

TOLERANCE = 100
"""How far ONNX Runtime may be from Python, in units of rounding of a tensor's largest element, and
in how far Python is from itself when what it takes is rounded otherwise.

It sums in another order; in a product of matrices of a thousand rows, that comes to some ten."""

LARGEST = 2e9
"""How many bytes of constants a file may have; protobuf, its format, ends at 2 GiB."""


def export(step: Step, example: Example) -> ExportedProgram:
    """The graph of a step of training, or of a prediction, for batches of any size.

    Args:
        step: A pure function (params, inputs, targets) ↦ (new params, loss), or (params, state,
            inputs, targets) ↦ (new params, new state, loss), which may take a learning rate after
            these, and give nested dicts of other tensors after the loss; or one of a prediction,
            (params, inputs) ↦ outputs. It looks at no values, lr's included, and at sizes of a
            batch as y.shape[0], not len(y).
        example: What step takes, for shapes and dtypes. Params and state are nested dicts; their
            leaves may share memory here, and are inputs of their own in the graph. The first
            dimension of inputs and of targets is the batch, of floating or whole numbers. lr is a
            number or a tensor, and becomes one of params' dtype.

    Returns:
        PyTorch's program; its `module()` is called as step is, with lr as a tensor, and gives new
        params in params' order, and a new state in state's.

    Raises:
        ValueError: The example has other parts, or its batch is empty; or the new params aren't of
            the structure, shapes and dtypes of params, or the new state not of those of state; or
            step looks at values or fixes the size of a batch.
        TypeError: The example, or what step returns, is of other types; or step is traced.
    """
    return _program("export", *_checked("export", step, example))


def to_onnx(
    step: Step,
    example: Example,
    path: str | os.PathLike[str],
    *,
    loop: Literal["steps"] | None = None,
) -> None:
    """Writes step as an ONNX file, which ONNX Runtime and others run without Python.

    Its inputs are named params.0.weight and so on, state.exp_avg.0.weight and so on, if there is a
    state, inputs, targets and, if step takes it, lr; its outputs new_params.0.weight and so on,
    new_state.exp_avg.0.weight and so on, loss, and what step gives after it, by keys joined by
    dots. Those of a prediction are params.0.weight and so on, and inputs; and outputs. The size of
    a batch is free. (Of an empty one, ONNX Runtime takes the mean for 0, where Python's is NaN.)

    With loop, the file is the whole of training: inputs and targets are batches, stacked, and one
    more input, steps, an int64 scalar, says how many steps to do, going round through the batches;
    loss is that of each step, stacked.

    Nothing is written unless ONNX Runtime loads it and agrees with Python, within `TOLERANCE`, on
    one step, or with loop on three over two batches. They start from other numbers than the
    example's, floating ones: a little nearer to zero, and some for each zero.

    Args:
        step: As for `export`.
        example: As for `export`; with loop, too, its inputs and targets are one batch.
        path: Where the file goes. One that is there is replaced when the new one is complete, and
            hands on its mode; a link is followed.
        loop: "steps" for the whole of training.

    Raises:
        ImportError: onnxruntime, onnxscript or what these need is not installed.
        OSError: The path can't be written to. What is there stays as it is.
        ValueError: As for `export`; or loop is neither, or for a prediction, or for a step that
            gives more than the loss; or step holds constants of 2 GB or more, or draws random
            numbers; or ONNX Runtime can't run the file, or disagrees.
        TypeError: As for `export`.
    """
    file = _file_at(path)
    step, example = _checked("to_onnx", step, example)
    if loop is not None and (loop != "steps" or "targets" not in _named(example)):
        raise ValueError(f"to_onnx: expected loop to be 'steps', and of training, got {loop!r}")
    try:
        ir, *_ = map(import_module, ("onnx_ir", "onnxruntime", "onnxscript"))
    except ImportError as error:
        message = f"to_onnx: {error.name} is not installed; pip install 'functional_dl[export]'"
        raise ImportError(message, name=error.name) from error

    with torch.no_grad():
        results = step(*example)
    if loop and isinstance(results[-1], dict):
        raise ValueError("to_onnx: expected a step that gives the loss last, for a loop")
    program = _program("to_onnx", step, example)
    for node in program.graph.nodes:
        if torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()):
            raise ValueError(f"to_onnx: expected a step that draws no numbers, got {node.target}")
    size = sum(c.nbytes for c in program.constants.values() if isinstance(c, Tensor))
    if size >= LARGEST:
        raise ValueError(
            f"to_onnx: expected constants of less than {LARGEST:.0e} bytes in step, got {size:.1e};"
            " hand them over as params"
        )
    given = _named(example)
    model = _translated(program, to_state_dict(given), [*_results(results)])
    if loop:
        model.graph, step = _loop(model.graph), _looped(step)
        given |= {k: torch.stack([given[k]] * 2) for k in ("inputs", "targets")}
        given["steps"] = torch.tensor(3, device="cpu")
    contents = ir.to_proto(model).SerializeToString()
    _compare(contents, step, given)
    _write(file, contents)


def _checked(name: str, step: Step, example: Example) -> tuple[Step, Example]:
    """step, which from now on checks what it returns, and its arguments, no two of them one."""
    if hasattr(step, "code"):
        raise TypeError(f"{name}: expected step itself, got what it was traced to")
    if not isinstance(example, tuple) or not 2 <= len(example) <= 5:
        raise ValueError(f"{name}: expected an example of 2 to 5 parts, got {example!r}")
    n = _carried(example)
    if len(example) - n > 3 or (n == 2 and len(example) < 4):
        raise ValueError(
            f"{name}: expected params, state if there is any, inputs, and of training targets and "
            f"lr, got {example!r}"
        )
    carried, (inputs, *rest) = example[:n], example[n:]
    for part, batch in (("inputs", inputs), *(("targets", t) for t in rest[:1])):
        if not isinstance(batch, Tensor):
            raise TypeError(f"{name}: expected {part} to be a tensor, got {batch!r}")
        if batch.dim() == 0 or len(batch) == 0 or len(batch) != len(inputs):
            like = ", not empty" if batch is inputs else " as large as inputs"
            raise ValueError(
                f"{name}: expected {part} to be a batch{like}, got {tuple(batch.shape)}"
            )
    layouts = [
        tree_layout(flattened(name, {k: part})) for k, part in zip(CARRIED, carried, strict=False)
    ]
    dtype = _floating_dtype(tree_leaves(example[: n + 2]))
    lr = [torch.as_tensor(lr, dtype=dtype, device=inputs.device) for lr in rest[1:]]
    # Of leaves that are one tensor, torch.export would make one input.
    example = tree_map(lambda leaf: leaf.detach().clone(), (*carried, inputs, *rest[:1], *lr))

    def checked(*args: Any) -> Any:
        results = step(*args)
        if not rest:
            if not isinstance(results, Tensor):
                raise TypeError(f"{name}: expected the prediction to be a tensor, got {results!r}")
            return results
        if not (
            isinstance(results, tuple)
            and n + 1 <= len(results) <= n + 2
            and isinstance(results[n], Tensor)
        ):
            new = ", ".join(f"new {k}" for k in CARRIED[:n])
            raise TypeError(f"{name}: expected step to return ({new}, loss), got {results!r}")
        for more in results[n + 1 :]:
            taken = {*_named(example), "loss", *(f"new_{k}" for k in CARRIED)}
            if not isinstance(more, dict) or not taken.isdisjoint(more):
                raise TypeError(
                    f"{name}: expected step to give, after the loss, nested dicts with other keys "
                    f"than {sorted(taken)}, got {more!r}"
                )
            flattened(name, more)  # raises what has no name
        for k, part, layout in zip(CARRIED, results, layouts, strict=False):
            got = tree_layout(flattened(name, {k: part}))
            if got != layout:
                raise ValueError(f"{name}: expected new {k} like {k}, {layout}, got {got}")
        return *tree_map(lambda _, leaf: leaf, args[:n], results[:n]), *results[n:]

    with torch.no_grad():
        checked(*example)  # what it raises now is not for having been traced
    return checked, example


def _carried(example: Example) -> int:
    """How many parts a step gives back, made new: 1, or 2 with a state."""
    return 2 if isinstance(example[1], dict) else 1


def _named(example: Example) -> dict[str, Any]:
    """The parts of the example under their names in the file."""
    names = (*CARRIED[: _carried(example)], "inputs", "targets", "lr")
    return dict(zip(names, example, strict=False))


def _floating_dtype(leaves: Iterable[Tensor]) -> torch.dtype:
    """Of the first that is floating: params' where they have any."""
    found = (leaf.dtype for leaf in leaves if leaf.is_floating_point())
    return next(found, torch.get_default_dtype())


def _program(name: str, step: Step, example: Example) -> ExportedProgram:
    class Module(torch.nn.Module):  # torch.export asks for one
        def forward(self, *args: Any) -> Any:
            return step(*args)

    # torch.export takes a size of 1 for fixed, so the batch that it sees is doubled.
    n = _carried(example)
    args = tuple(torch.cat([a, a]) if i in (n, n + 1) else a for i, a in enumerate(example))
    free, size = ShapesCollection(), Dim("batch")
    for batch in args[n : n + 2]:
        free[batch] = {0: size}
    shapes = free.dynamic_shapes(Module(), args)
    try:
        with torch.no_grad():
            return torch.export.export(Module(), args, dynamic_shapes=shapes)
    except Exception as error:
        if not type(error).__module__.startswith("torch."):  # step's own
            raise
        raise ValueError(
            f"{name}: expected a step that looks at no values, as torch.where doesn't and if does, "
            "and takes batches of any size, as with y.shape[0] and not len(y), "
            f"got: {str(error).splitlines()[0]}"
        ) from error


def _translated(program: ExportedProgram, takes: Named, gives: list[str]) -> "ir.Model":
    import onnx_ir as ir
    import onnxscript
    from onnx_ir.passes.common import NameFixPass

    op: Any = onnxscript.opset18

    # With fewer nodes than torch's own translations have: a step takes a tenth less.
    def addcmul(p: Any, a: Any, b: Any, value: float = 1.0) -> Any:
        if value == -1:
            return op.Sub(p, op.Mul(a, b))
        return op.Add(p, op.Mul(op.Mul(a, b), op.CastLike(value, a)))

    def mean(x: Any, dtype: int = -1) -> Any:
        return op.ReduceMean(x if dtype == -1 else op.Cast(x, to=dtype), keepdims=False)

    def truediv(a: Any, b: Any) -> Any:
        return op.Div(*(op.Cast(c, to=ir.DataType.DOUBLE) for c in (a, b)))

    # torch's own, Log(Sigmoid(x)), is −∞ from −89 down
    def log_sigmoid(x: Any) -> Any:
        return op.Neg(op.Softplus(op.Neg(x)))

    def log_sigmoid_in_double(x: Any) -> Any:  # for which ONNX Runtime has no Softplus
        tail = op.Log(op.Add(op.Exp(op.Neg(op.Abs(x))), op.CastLike(1.0, x)))
        return op.Neg(op.Add(op.Relu(op.Neg(x)), tail))

    table: dict[Any, Any] = {
        torch.ops.aten.addcmul.default: addcmul,
        torch.ops.aten.log_sigmoid.default: log_sigmoid,
        torch.ops.aten.mean.default: mean,
    }
    if (
        _floating_dtype(takes.values()) == torch.float64
    ):  # torch's own divides sizes in single precision
        table[operator.truediv] = truediv
        table[torch.ops.aten.log_sigmoid.default] = log_sigmoid_in_double

    _choose_by_product(program)
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)  # it warns that torchvision is not installed
    try:
        with warnings.catch_warnings(action="ignore"):
            onnx_program = torch.onnx.export(
                program, verbose=False, custom_translation_table=table, optimize=False
            )
    finally:
        log.setLevel(level)
    assert onnx_program is not None
    model = onnx_program.model
    _simplify(model)
    graph = model.graph
    for node in graph:
        node.metadata_props.clear()  # the files and lines that it was traced from
        for value in node.outputs:
            if not value.is_graph_output():
                value.type = value.shape = None  # of a size divided, wrong in double precision
    of_inputs: Any = graph.inputs[[*takes].index("inputs")].shape
    for value, name in zip([*graph.inputs, *graph.outputs], [*takes, *gives], strict=True):
        value.name = name
        value.shape = ir.Shape(["batch" if d == of_inputs[0] else d for d in value.shape or ()])
    NameFixPass()(model)  # what is within gives way to the names of inputs and outputs
    return model


def _simplify(model: "ir.Model") -> None:
    """What onnxscript's optimizer does, but for its rewriting: that takes 1e-8 in a sum for 0."""
    import onnxscript.optimizer
    from onnx_ir.passes import common

    onnxscript.optimizer.fold_constants(model)
    for simpler in (
        common.RemoveUnusedNodesPass(),
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.DeduplicateInitializersPass(),
        common.CommonSubexpressionEliminationPass(),
        common.OutputFixPass(),
    ):
        simpler(model)


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
    picks = [ir.node("Gather", [s, *which.outputs]) for s in stacked]
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


def _looped(step: Step) -> Step:
    """What `_loop` makes of step, in Python."""

    def training(*args: Any) -> Any:
        n = _carried(args)
        carried, (inputs, targets, *lr, steps) = args[:n], args[n:]
        losses: list[Tensor] = []
        for i in range(steps):
            batch = inputs[i % len(inputs)], targets[i % len(targets)]
            *carried, loss = step(*carried, *batch, *lr)
            losses.append(loss)
        return *carried, torch.stack(losses)

    return training


def _compare(contents: bytes, step: Step, given: dict[str, Any]) -> None:
    """Runs both on numbers that tell all leaves apart, and raises how far they are from another."""
    import onnxruntime

    draws = torch.Generator().manual_seed(0)

    def drawn(rule: Callable[[Tensor, Tensor], Tensor]) -> Any:
        """rule of each floating leaf and numbers from [0, 1); a whole one may be an index."""

        def at(leaf: Tensor) -> Tensor:
            if not leaf.is_floating_point():
                return leaf
            return rule(leaf, torch.rand(leaf.shape, generator=draws, device="cpu").to(leaf))

        return tree_map(at, given)

    def other(leaf: Tensor, u: Tensor) -> Tensor:
        return torch.where(leaf == 0, u / leaf.numel() ** 0.5, leaf * (1 - u / 2))

    def rounded(leaf: Tensor, u: Tensor) -> Tensor:
        return leaf * (1 + torch.finfo(leaf.dtype).eps * (8 * u - 4))

    given = drawn(other)
    nearby = [drawn(rounded) for _ in range(4)]
    with torch.no_grad():
        ours, *others = (_results(step(*each.values())) for each in (given, *nearby))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    try:
        session = onnxruntime.InferenceSession(contents, options, ["CPUExecutionProvider"])
        takes = {k: v.numpy(force=True) for k, v in to_state_dict(given).items()}
        got = session.run([*ours], takes)
    except Exception as error:  # its own have no common class
        raise ValueError(f"to_onnx: expected a step that ONNX Runtime can run: {error}") from error
    for name, theirs in zip(ours, got, strict=True):
        _agree(name, torch.from_numpy(theirs), ours[name], [other[name] for other in others])


def _results(results: Any) -> Named:
    if isinstance(results, Tensor):
        return {"outputs": results}
    n = next(i for i, part in enumerate(results) if isinstance(part, Tensor))
    new = {f"new_{k}": part for k, part in zip(CARRIED, results[:n], strict=False)}
    (more,) = results[n + 1 :] or ({},)
    return to_state_dict({**new, "loss": results[n], **more})


def _agree(name: str, theirs: Tensor, ours: Tensor, near: list[Tensor]) -> None:
    """Raises how far theirs is from ours, if it is more than rounding explains."""
    if theirs.dtype != ours.dtype or theirs.shape != ours.shape:
        raise not_like("to_onnx", name, theirs, ours.dtype, ours.shape)
    eps = torch.finfo(ours.dtype).eps if ours.is_floating_point() else 0.0
    theirs, ours, *near = (t.cpu().double() for t in (theirs, ours, *near))
    largest = ours.abs().nan_to_num(0, 0).amax() if ours.numel() else 0.0
    own = torch.stack([(n - ours).abs() for n in near]).amax(0)
    limit, off = TOLERANCE * (eps * largest + own), (theirs - ours).abs()
    wrong = ~((off <= limit) | (theirs == ours) | (theirs.isnan() & ours.isnan()))
    if wrong.any():
        raise ValueError(
            f"to_onnx: expected {name} within {limit[wrong].amax():.0e} of Python's, "
            f"got {off[wrong].amax():.0e}"
        )


def _file_at(path: str | os.PathLike[str]) -> Path:
    """What path, or the link there, stands for; a folder or the like is refused."""
    file = os.path.realpath(path)
    another = os.path.exists(file) and not os.path.isfile(file)
    if another or not os.path.isdir(os.path.dirname(file)):
        raise OSError(f"to_onnx: expected a file's path in a folder that exists, got {str(path)!r}")
    return Path(file)


def _write(file: Path, contents: bytes) -> None:
    """Puts the contents in the place of the file at once, so that nobody sees a part of them."""
    unfinished = file.with_name(f".{uuid4().hex}.part")
    try:
        unfinished.write_bytes(contents)
        if file.exists():
            shutil.copymode(file, unfinished)
        unfinished.replace(file)
    except OSError as error:
        message = f"to_onnx: expected a path to write to, got {str(file)!r}: {error.strerror}"
        raise type(error)(error.errno, message) from error
    finally:
        unfinished.unlink(missing_ok=True)
