"""The digits' networks in JAX."""

from collections.abc import Callable
from typing import Any

from classifier.networks import CNN, MLP, Network


def jax_loss(network: Network) -> Callable[..., Any]:
    """(params, batch) ↦ loss; the params have PyTorch's names."""
    import jax
    from jax import lax
    from jax import numpy as jnp

    def affine(params: Any, i: int, x: Any) -> Any:
        return x @ params[f"{i}.weight"].T + params[f"{i}.bias"]

    def convolved(params: Any, i: int, x: Any) -> Any:
        y = lax.conv_general_dilated(x, params[f"{i}.weight"], (1, 1), [(1, 1), (1, 1)])
        y = jax.nn.relu(y + params[f"{i}.bias"][:, None, None])
        windows = (1, 1, 2, 2)
        return lax.reduce_window(y, -jnp.inf, lax.max, windows, windows, "VALID")

    def mlp(params: Any, x: Any) -> Any:
        hidden = jax.nn.relu(affine(params, 3, jax.nn.relu(affine(params, 0, x))))
        return affine(params, 6, hidden)

    def cnn(params: Any, x: Any) -> Any:
        features = convolved(params, 3, convolved(params, 0, x))
        return affine(params, 8, features.reshape(len(x), -1))

    logits = {MLP: mlp, CNN: cnn}[network]

    def loss(params: Any, batch: Any) -> Any:
        images, labels = batch
        log_softmax = jax.nn.log_softmax(logits(params, images))
        return -jnp.take_along_axis(log_softmax, labels[:, None], 1).mean()

    return loss
