"""A training that can be killed at any moment, and goes on from its last epoch to the same bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

import functional_dl as fdl
from checkpoints import load, save
from classifier.data import Digits, batches
from classifier.networks import Network
from classifier.trainers import OPTIMIZER, schedule, update_of


def train(
    network: Network,
    training: Digits,
    epochs: int,
    seed: int,
    file: Path,
) -> tuple[fdl.Params, Tensor]:
    """Trains the network from what the file holds, if there is one, and saves after each epoch.

    Returns:
        The params, and the losses of all steps.

    Raises:
        ValueError: The file is no checkpoint of this training; it stays as it is.
    """
    steps = len([*batches(training, torch.Generator())])
    shuffled, drawn = (torch.Generator().manual_seed(seed) for _ in range(2))
    params = network.core().init(torch.Generator().manual_seed(seed))
    now: dict[str, Any] = {
        "params": params,
        "state": OPTIMIZER.init(params),
        "shuffled": shuffled.get_state(),
        "drawn": drawn.get_state(),
        "losses": torch.full((epochs * steps,), torch.nan),
        "step": torch.tensor(0),
    }
    of = {"network": str(network), "epochs": epochs, "seed": seed}
    if file.exists():
        now = load(file, now, of)
        shuffled.set_state(now["shuffled"])
        drawn.set_state(now["drawn"])

    lr, update = schedule(epochs * steps), update_of(network, generator=drawn)
    step = int(now["step"])
    with (
        torch.inference_mode(),
        tqdm(total=epochs, initial=step // steps, unit="epoch") as progress,
    ):
        while step < epochs * steps:
            for batch in batches(training, shuffled):
                results = update(now["params"], now["state"], *batch, lr(step))
                now["params"], now["state"], now["losses"][step] = results
                step += 1
            now |= {"shuffled": shuffled.get_state(), "drawn": drawn.get_state()}
            save(file, now | {"step": torch.tensor(step)}, of)
            progress.update()
    return now["params"], now["losses"]
