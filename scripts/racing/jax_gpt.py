"""A GPT in JAX."""

from collections.abc import Callable
from typing import Any

from language.plan import Plan


def jax_loss(plan: Plan) -> Callable[..., Any]:
    """(params, batch) ↦ loss; the params have PyTorch's names."""
    import jax
    from jax import numpy as jnp

    classic = plan.style == "classic"
    norms, head = f"{2 + 2 * plan.layers}", "0" if plan.tied else f"{3 + 2 * plan.layers}"

    def affine(params: Any, at: str, x: Any) -> Any:
        y = x @ params[f"{at}.weight"].T
        return y + params[f"{at}.bias"] if classic else y

    def normed(params: Any, at: str, x: Any) -> Any:
        if classic:
            x = x - x.mean(-1, keepdims=True)
        n = x * jax.lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + 1e-5) * params[f"{at}.weight"]
        return n + params[f"{at}.bias"] if classic else n

    def attended(params: Any, at: str, x: Any) -> Any:
        n, t, d = x.shape
        q, k, v = jnp.moveaxis(
            affine(params, f"{at}.1", x).reshape(n, t, 3, plan.heads, d // plan.heads), 2, 0
        )
        y = jax.nn.dot_product_attention(q, k, v, is_causal=True)
        return affine(params, f"{at}.3", y.reshape(n, t, d))

    def mixed(params: Any, at: str, x: Any) -> Any:
        h = affine(params, f"{at}.1", x)
        h = jax.nn.gelu(h, approximate=True) if classic else jnp.square(jax.nn.relu(h))
        return affine(params, f"{at}.3", h)

    def loss(params: Any, batch: Any) -> Any:
        x, targets = batch
        x = params["0.weight"][x] + params["1.weight"][: x.shape[1]]
        for i in range(2, 2 + 2 * plan.layers):
            f = mixed if i % 2 else attended
            x = x + f(params, str(i), normed(params, f"{i}.0", x))
        logits = normed(params, norms, x) @ params[f"{head}.weight"].T
        log_softmax = jax.nn.log_softmax(logits)
        return -jnp.take_along_axis(log_softmax, targets[..., None], -1).mean()

    return loss
