"""Arithmetic that rounds as PyTorch's does, and that is fast.

In exact arithmetic, each function is the formula in its first line. Which kernels compute it, and
in which order, decides the last bits and the time; the rest of its docstring says why it is so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, SupportsFloat

import torch
from torch import Tensor
from torch.compiler import is_compiling, is_dynamo_compiling

from functional_dl._errors import unpromoted
from functional_dl.contract import Cotangents, Generator, Params, Pullback, Vjp

BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""For a number of so many bytes, an integer that holds its bits."""

_ONE = torch.ones((), dtype=torch.float32, device="cpu")
_MINUS_ZERO = -torch.zeros((), dtype=torch.float32, device="cpu")  # −0 + a = a, even for a = −0
_CUBIC = math.sqrt(8 / math.pi)  # gelu's


def uniform(fan_in: int) -> Callable[[Params, Generator], None]:
    """Draws from U[−1/√n, 1/√n], weight first, for outputs that are sums of n products.

    Both bounds are 1/√n; the weight's is rounded as in PyTorch's kaiming_uniform_, which shows in
    float64.
    """

    def draw(params: Params, generator: Generator) -> None:
        for k, p in params.items():
            bound = 1 / math.sqrt(fan_in)
            if k == "weight":
                bound = math.sqrt(3) * (math.sqrt(1 / 3) / math.sqrt(fan_in))
            p.uniform_(-bound, bound, generator=generator)

    return draw


def affine(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """X Wᵀ + b, with b added within the product, which saves a rounding."""
    return x.mm(weight.mT) if bias is None else bias.addmm(x, weight.mT)


def affine_grads(gy: Tensor, x: Tensor, by_rows: bool, bias: Tensor | None) -> dict[str, Tensor]:
    """(∇Y)ᵀ X and 1_N ∇Y, under the names of weight, which lies by rows or doesn't, and bias.

    Like autograd (mm_mat2_backward in torch/csrc/autograd/FunctionsManual.cpp), the gradient of a
    factor is laid out by rows or by columns as the factor is: the product that gives it is
    transposed for that, and then sums in another order.
    """
    grads = {"weight": gy.mT.mm(x) if by_rows else x.mT.mm(gy).mT}
    if bias is not None:
        grads["bias"] = gy.sum(0)
    return grads


def affine_input_grad(gy: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """∇Y W, by rows or by columns as X is: see `affine_grads`."""
    strides = x.stride()
    if strides[0] == 1 and strides[1] == x.shape[0]:
        return weight.mT.mm(gy.mT).mT
    return gy.mm(weight)


def over_rows(vjp: Vjp, params: Params, x: Tensor) -> tuple[Tensor, Pullback]:
    """The vjp, with the leading dimensions of X as one.

    Like PyTorch's linear (ATen/native/Linear.cpp), b is added within the product if X and b are
    contiguous; else after it, and then its gradient is summed over all leading dimensions at once.
    There is a single product, as with PyTorch's weights that are trained; with frozen ones and an X
    that isn't contiguous, PyTorch's is a batch of products, which round otherwise (should_fold in
    ATen/native/LinearAlgebra.cpp).
    """
    shape, b, after = x.shape, params.get("bias"), None  # b where it is added after the product
    if b is not None and not (x.is_contiguous() and b.is_contiguous()):
        params, after = {"weight": params["weight"]}, unpromoted(b, x)
    y, pullback = vjp(params, x.reshape(-1, shape[-1]))
    y = y.reshape(*shape[:-1], y.shape[-1])

    def reshaped(gy: Tensor, *, wrt_input: bool = True) -> Cotangents:
        # Inductor keeps less where compiled code makes the rows anew.
        back = vjp(params, x.reshape(-1, shape[-1]))[1] if is_dynamo_compiling() else pullback
        grads, gx = back(gy.reshape(-1, gy.shape[-1]), wrt_input=wrt_input)
        if after is not None:  # autograd's may be gy itself, ours lies in memory of its own
            grads["bias"] = gy.sum_to_size(after.shape).clone()
        return grads, gx.reshape(shape) if gx is not None else None

    # torch.autocast's other dtype is to be seen
    return y if after is None else y + after.to(y.dtype), reshaped


def channels_last(*tensors: Tensor) -> bool:
    """Whether images or filters among these have their channels last in memory.

    By PyTorch's rule (is_channels_last_strides_2d in c10/core/MemoryFormat.h), strides that may be
    of channels first are so. `torch.vmap` refuses to be asked for it.
    """
    return any(map(_has_channels_last, tensors))


def _has_channels_last(x: Tensor) -> bool:
    if x.dim() != 4:
        return False
    shape, strides, least = x.shape, x.stride(), 1
    for d in (1, 3, 2, 0):
        if shape[d] == 0 or strides[d] < least or (d == 0 and least == strides[1]):
            return False
        least = strides[d] * shape[d]
    return True


def in_order(x: Tensor, last: bool) -> Tensor:
    """X with its channels last in memory, or else contiguous."""
    return x.movedim(-3, -1).contiguous().movedim(-1, -3) if last else x.contiguous()


def filters_grad(gy: Tensor, x: Tensor, weight: Tensor, padding: int, stride: int) -> Tensor:
    """Σ ∇Y[n, o, i, j] X[n, c, s i + p, s j + q] over n, i and j, X with its padding.

    With oneDNN (use_mkldnn in ATen/native/Convolution.cpp), PyTorch's is a kernel that no operation
    has. One product of matrices is closer to double precision. What it multiplies, X's windows, is
    K² times as large as X; samples come last, so that it is copied in long runs. That transposes
    ∇Y: where ∇Y is the larger of the two, samples come first. In half precision, that kernel rounds
    once, at the end.
    Without oneDNN, and in double precision, PyTorch's is a sum of one product for each sample
    (slow_conv2d_backward_weight_frame in ATen/native/ConvolutionMM2d.cpp), as is this. So it is
    for a single sample, too, for `torch.vmap` makes one batch of such products.
    """
    k, several = weight.shape[-1], x.dim() == 4 and x.shape[0] > 1
    if several and x.dtype != torch.float64 and torch.backends.mkldnn.enabled:
        of_filter = weight.numel() // weight.shape[0]
        first = of_filter < weight.shape[0]
        images, gys = (tensor.float().movedim(0, 1 if first else 3) for tensor in (x, gy))
        if first:
            padded = torch.constant_pad_nd(images, [padding] * 4)  # C, N, H, W
            # What lies apart within a row is copied first, which makes k times fewer short runs.
            across = padded.unfold(3, k, stride).movedim(-1, 1).contiguous()
            windows = across.unfold(3, k, stride).movedim(-1, 1)  # C, k, k, N, H, W
        else:
            padded = torch.constant_pad_nd(images, [0, 0] + [padding] * 4)  # C, H, W, N
            windows = padded.unfold(1, k, stride).unfold(2, k, stride).permute(0, 4, 5, 1, 2, 3)
        columns = windows.reshape(of_filter, -1)
        grad = columns.mm(gys.flatten(1).mT).mT.reshape(weight.shape).to(x.dtype)
    else:
        images, gys = (x, gy) if x.dim() == 4 else (x[None], gy[None])
        padded = torch.constant_pad_nd(images, [padding] * 4) if padding else images
        windows = padded.unfold(2, k, stride).unfold(3, k, stride)  # N, C, H, W, k, k
        columns = windows.permute(0, 1, 4, 5, 2, 3).flatten(4).flatten(1, 3).contiguous()
        factors = gys.flatten(2), columns.mT
        if images.shape[0] == 1:
            grad = factors[0][0].mm(factors[1][0]).view(weight.shape)
        else:
            start = gy.new_zeros(weight.shape[0], columns.shape[1])
            grad = start.addbmm(*factors).view(weight.shape)
    return grad


def in_windows(x: Tensor, k: int) -> tuple[list[Tensor], Tensor]:
    """X[k i + p, k j + q] for all i and j, one tensor for each p and q from 0 to k − 1.

    And where in X.flatten(-2) each window begins. `index_select` takes half the time of copying a
    slice; i and j are one dimension there. Compiled code reads slices in place.
    """
    h, w = x.shape[-2:]
    i, j = h // k, w // k
    if not i * j:
        raise ValueError  # which is told in other words
    windows = torch.arange(h * w, device=x.device).view(h, w).unfold(0, k, k).unfold(1, k, k)
    places = windows.permute(2, 3, 0, 1).reshape(k * k, i * j).unbind()
    if is_compiling():
        where = [(p, q) for p in range(k) for q in range(k)]
        parts = [x[..., p : k * i : k, q : k * j : k].contiguous() for p, q in where]
        return parts, places[0].view(i, j)
    images = x.reshape(-1, h * w)
    return [images.index_select(1, place) for place in places], places[0]


def first_equal(parts: list[Tensor], begins: Tensor, y: Tensor, x: Tensor, k: int) -> Tensor:
    """Where in X.flatten(-2) each window has its first number that equals Y; see `in_windows`.

    From where a window begins, this goes on by a step for each number that Y differs from, as it
    does from all before.
    """
    h, w = x.shape[-2:]
    exact = torch.float32 if h * w <= 1 << 24 else torch.float64
    place = begins.to(exact).expand_as(y)
    # Numbers, where they may be written: booleans take three times as long.
    unequal = (written_on(torch.empty_like(y), torch.ne, part, y) for part in parts[:-1])
    for n, so_far in enumerate(accumulate(unequal, torch.mul), 1):
        place = place.add(so_far, alpha=1 if n % k else w - k + 1)
    return place.long()


def added_at(index: Tensor, gy: Tensor, shape: torch.Size) -> Tensor:
    """Zeros of this shape, with ∇Y added at an index into them that counts rows and columns as one.

    Of two zeros, the sum is the positive one, as PyTorch's is.
    """
    gy, zeros = gy.flatten(-2), gy.new_zeros(()).expand(*shape[:-2], shape[-2:].numel())
    return zeros.scatter_add(-1, index.view(gy.shape), gy).view(shape)


def where_positive(gy: Tensor, y: Tensor) -> Tensor:
    """∇Y where Y is positive or NaN, +0 elsewhere, for a Y that is never negative.

    A product with a mask of zeros and ones would turn infinite cotangents into NaN and lose the
    sign of zeros. `torch.where` and `masked_fill` branch for each element, which takes twenty times
    as long on a random mask. In inference mode, where nothing is differentiated again, the bits are
    multiplied as integers, by 0 or 1: that is exact, and fast.
    """
    if is_compiling():
        return gy.masked_fill(y <= 0, 0)  # when compiled, twice as fast as with y.bool()
    if gy.is_inference():
        bits, gx = BITS[gy.element_size()], y.abs()
        try:
            gx.view(bits).sign_().mul_(gy.view(bits))
            return gx
        except RuntimeError:  # torch.vmap goes over gy alone
            pass
    return gy.where(y.bool(), 0)


def times_one_minus_square(gy: Tensor, y: Tensor) -> Tensor:
    """∇Y ⊙ (1 − Y²).

    Like PyTorch's tanh_backward: 1 − Y² is rounded once, by addcmul, where 1 - y * y rounds twice;
    and half precision is computed in single precision and rounded once, at the end. The result is
    laid out as ∇Y is, since sums over it depend on that.
    """
    if y.element_size() == 2:
        return times_one_minus_square(*_in_single(gy, y)).to(y.dtype)
    derivative = (_ONE if y.is_cpu else _ONE.to(y.device)).addcmul(y, y, value=-1)
    if derivative.stride() == gy.stride():
        try:
            return derivative.mul_(gy)  # 1 % of a step, of large networks too
        except RuntimeError:  # torch.vmap goes over gy alone
            pass
    return gy * derivative


def times_sigmoid_slope(gy: Tensor, y: Tensor) -> Tensor:
    """∇Y ⊙ (1 − Y) ⊙ Y.

    Like PyTorch's sigmoid_backward: the factors come in this order, and bfloat16, but not float16,
    is computed in single precision and rounded once, at the end.
    """
    if y.dtype == torch.bfloat16:
        return times_sigmoid_slope(*_in_single(gy, y)).to(y.dtype)
    return gy * (1 - y) * y


def one_or(x: Tensor, slope: float) -> Tensor:
    """1 where X is positive, slope elsewhere, for a slope in [0, 1].

    `torch.where` would branch for each element, which takes twenty times as long on random signs.
    Of a number that is no tensor, torch.onnx makes one of single precision.
    """
    return x.sign().maximum(torch.tensor(slope, dtype=x.dtype, device=x.device))


def times_factor(gy: Tensor, x: Tensor, factor: Tensor) -> Tensor:
    """F ⊙ ∇Y, laid out like PyTorch's: as X, and where X repeats elements, as ∇Y."""
    for d, step in enumerate(x.stride()):
        if step == 0:
            factor = factor.narrow(d, 0, min(x.shape[d], 1))
    return factor.expand_as(x) * gy


def times_twice(gy: Tensor, r: Tensor) -> Tensor:
    """∇Y ⊙ 2 R, in one pass; added to 0, no product is −0."""
    return r.new_zeros(()).addcmul(r, gy, value=2)


def normal_distribution(x: Tensor) -> Tensor:
    """(1 + erf(X/√2)) / 2.

    By erfc, which is exact where the sum would leave a few digits.
    """
    return torch.erfc(x * -math.sqrt(0.5)).mul_(0.5)


def normal_slope(x: Tensor, phi: Tensor) -> Tensor:
    """Φ + X ⊙ exp(−X²/2) / √(2π).

    The factor goes into the exponent, which saves a pass over memory.
    """
    return phi.addcmul(x, _plus_square(-math.log(2 * math.pi) / 2, -0.5, x).exp_())


def logistic_distribution(x: Tensor) -> Tensor:
    """1 / (1 + exp(−U)), with U = √(8/π) (X + 0.044715 X³).

    PyTorch's gelu takes (1 + tanh(U/2)) / 2, the same with more passes and fewer digits.
    """
    return _plus_square(_CUBIC, 0.044715 * _CUBIC, x).mul_(x).sigmoid_()


def logistic_slope(x: Tensor, phi: Tensor) -> Tensor:
    """Φ + A ⊙ (1 − Φ), with A = X ⊙ Φ ⊙ dU/dX: at Φ on the way from A to 1."""
    a = _plus_square(_CUBIC, 3 * 0.044715 * _CUBIC, x).mul_(x).mul_(phi)
    return written_on(a, torch.lerp, a, x.new_ones(()), phi)


def written_on(home: Tensor, operation: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """The operation's result, in home's memory where nothing is differentiated again."""
    if not is_compiling() and home.is_inference():
        try:
            return operation(*args, **options, out=home)
        except RuntimeError:  # torch.vmap, before anything is written
            pass
    return operation(*args, **options)


def _plus_square(a: float, b: float, x: Tensor) -> Tensor:
    """a + b X², in one pass."""
    return x.new_full((), a).addcmul(x, x, value=b)


def matrices(x: Tensor, parts: int, heads: int) -> tuple[Tensor, ...]:
    """Each part of X, (..., T, parts · H · d), as one batch of matrices, (... H, T, d).

    By one copy, so that all products with them are of one batch, which `bmm` takes as it is.
    """
    *n, t, features = x.shape
    d = features // (parts * heads)
    apart = x.reshape(math.prod(n), t, parts, heads, d).permute(2, 0, 3, 1, 4)
    return apart.reshape(parts, math.prod(n) * heads, t, d).unbind(0)


def rows(parts: Sequence[Tensor], shape: Sequence[int]) -> Tensor:
    """The way back of `matrices`, to an X of this shape."""
    *n, t, features = shape
    d = parts[0].shape[-1]
    heads = features // (len(parts) * d)
    apart = [p.reshape(math.prod(n), heads, t, d).transpose(1, 2) for p in parts]
    return torch.stack(apart, 2).reshape(shape)


def plus_product(c: Tensor, a: Tensor, b: Tensor, beta: float = 1.0, scale: float = 1.0) -> Tensor:
    """β C + A B · scale, for batches of matrices.

    In one operation, which first copies C for each matrix. Compiled, the sum is part of what comes
    next, without that pass over memory.
    """
    if is_dynamo_compiling():
        return a.bmm(b) * scale + beta * c
    return torch.baddbmm(c, a, b, beta=beta, alpha=scale)


def scaled_product(a: Tensor, b: Tensor, scale: float) -> Tensor:
    """A B · scale, for batches of matrices, without a pass over memory for the scale."""
    return torch.baddbmm(a.new_zeros(()), a, b, beta=0, alpha=scale)


def moments(x: Tensor, mean: Tensor, r: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """mean and r = 1 / √(var(X) + ε) of each row of X, as `torch.native_layer_norm` gave them.

    PyTorch takes these for constants when it differentiates again. Where it may do so, what is
    added is zero, with their derivatives.
    """
    if not is_compiling() and mean.is_inference():
        return mean, r
    x = at_least_single(x)
    m = x.mean(-1, keepdim=True)
    s = ((x - m).square().mean(-1, keepdim=True) + eps).rsqrt()
    return mean + (m - m.detach()), r + (s - s.detach())


def less_projections(n: Tensor, gy: Tensor, w: Tensor, gy_n: Tensor) -> Tensor:
    """∇N − mean(∇N) − N ⊙ mean(∇N ⊙ N), of each row, with ∇N = ∇Y ⊙ w, from ∇Y ⊙ N.

    Means are products with w / D. What is off comes first, since a result that `torch.vmap` goes
    over whenever it goes over an operand can be written in place; a large one takes half the time.
    """
    each = w / -w.shape[-1]
    along, mean = gy_n.matmul(each), gy.matmul(each)
    off = (n * along.unsqueeze(-1)).add_(mean.unsqueeze(-1))
    gx = written_on(off, torch.addcmul, off, gy, w)
    return gx.to(along.dtype)  # torch.autocast's other dtype is to be seen


def computed_once(x: Tensor) -> Tensor:
    """X, which compiled code computes once and keeps.

    Otherwise it computes X anew wherever X is needed, and keeps what X is made of until then. What
    as_strided takes is written to memory first (as_strided in torch/_inductor/lowering.py).
    """
    return x.as_strided(x.shape, x.stride()) if is_dynamo_compiling() else x


def rounded(number: float | Tensor, dtype: torch.dtype) -> Tensor:
    """The number as a 0-d tensor, rounded once for tensors of this dtype.

    PyTorch takes numbers in single precision where tensors are in half.
    """
    single = torch.float32 if dtype.itemsize == 2 else dtype
    if isinstance(number, Tensor):
        return computed_once(number).to(single)
    return torch.full((), number, dtype=single, device="cpu")


class Constant:
    """A number, by dtype as `rounded` gives it.

    A sum or a product with it takes half the time that one with a Python number does. Compiled code
    holds the number itself: a tensor would be one more input, which is checked in every call. What
    is exported doesn't, since torch.onnx rounds numbers to single precision.
    """

    def __init__(self, number: SupportsFloat) -> None:
        self._number = float(number)
        dtypes = torch.float64, torch.float32, torch.bfloat16, torch.float16
        with torch.inference_mode(False):
            self._rounded = {dtype: rounded(self._number, dtype) for dtype in dtypes}

    def __getitem__(self, dtype: torch.dtype) -> Tensor:
        return rounded(self._number, dtype) if is_dynamo_compiling() else self._rounded[dtype]


def at_least_single(x: Tensor) -> Tensor:
    """X, where it is of half precision in single precision."""
    return x.float() if x.element_size() == 2 else x


def in_single(vjp: Vjp, params: Params, x: Tensor) -> tuple[Tensor, Pullback]:
    """The vjp in single precision, for an X in half: what it gives is rounded once, at the end."""
    dtype = x.dtype
    y, pullback = vjp({k: unpromoted(p, x).float() for k, p in params.items()}, x.float())

    def rounded_once(gy: Tensor, *, wrt_input: bool = True) -> Cotangents:
        grads, gx = pullback(gy.float(), wrt_input=wrt_input)
        return {k: g.to(dtype) for k, g in grads.items()}, gx.to(dtype) if gx is not None else None

    return y.to(dtype), rounded_once


def _in_single(gy: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Both in single precision, such that their product is laid out as that of ∇Y and Y.

    Where ∇Y repeats an element along a dimension, Y decides that; but a copy repeats nothing.
    """
    if 0 in gy.stride():
        gy = gy * torch.ones_like(y)
    return gy.float(), y.float()


def inverted_mask(x: Tensor, p: float, generator: torch.Generator) -> Tensor:
    """1 / (1 − p) with probability 1 − p, else 0, for each element of X.

    Like PyTorch's dropout (ATen/native/Dropout.cpp): drawn in the order of X's memory, then divided
    in the dtype of X. Compiled code takes the global generator where none is named.
    """
    named = None if generator is torch.default_generator else generator
    return torch.empty_like(x).bernoulli_(1 - p, generator=named).div_(1 - p)


def times_number(x: Tensor, number: float) -> Tensor:
    """X · number.

    Like PyTorch's mse_loss_backward, huber_loss_backward and, after abs, mean_backward: number is
    first rounded to the dtype of X, which shows in half precision, and the result is laid out by
    rows, also where X is not.
    """
    if x.element_size() == 2:
        product = x * x.new_full((), number)
    else:  # −0 + X · number: the same, in one operation
        product = _MINUS_ZERO.add(x, alpha=number)
    return product.contiguous()


def log_losses(y: Tensor, t: Tensor) -> Tensor:
    """(1 − T) ⊙ Y + log(1 + exp(−Y)).

    By PyTorch's operation: its exp and log1p (log_sigmoid in ATen/native/cpu/Activation.cpp) are
    vectorized to the last element and widen half precision, and no other operation's do both.
    """
    return torch.binary_cross_entropy_with_logits(y, t, None, None, 0)  # 0: without reduction
