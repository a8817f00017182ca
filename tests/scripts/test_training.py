"""The report's two networks train as PyTorch's do, to the last bit."""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch

from report import trainers
from report.contestant import Contestant
from report.experiment import NETWORKS, Network, Points

OUTSIDE = replace(trainers.CORE, context=nullcontext)
INSIDE = replace(trainers.COMPAT, context=torch.inference_mode)
"""Of inference mode, where compare.py trains them too."""


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_all_losses_and_final_parameters_of_the_report_equal_pytorchs(
    network: Network, threads: int
) -> None:
    epochs = {1: 500, 2: 20}[threads]  # two threads take long where another test has one of them

    torch.manual_seed(0)
    training, test = Points.draw(1000), Points.draw(1000)

    def run(contestant: Contestant, epochs: int) -> list[torch.Tensor]:
        torch.manual_seed(0)
        trainer = contestant.begin(network)
        with contestant.context():
            losses = trainers.train(trainer, training, epochs)
            return [losses, *trainer.parameters(), trainer.predict(test.inputs)]

    theirs = run(trainers.PYTORCH, epochs)
    assert theirs[0].shape == (epochs, 10)
    for contestant in (trainers.CORE, trainers.COMPAT):
        assert all(map(torch.equal, run(contestant, epochs), theirs))
    for contestant in (OUTSIDE, INSIDE):
        assert torch.equal(run(contestant, 20)[0], theirs[0][:20])


def test_the_data_is_a_disk_of_half_the_area_with_one_hot_classes() -> None:
    torch.manual_seed(0)
    points = Points.draw(100_000)
    distance = (points.inputs - 0.5).norm(dim=1)
    radius = (2 * torch.pi) ** -0.5
    assert torch.equal(points.targets.sum(1), torch.ones(100_000))
    assert distance[points.targets[:, 1] == 1].max() <= radius
    assert distance[points.targets[:, 0] == 1].min() >= radius
    # Half of the square: five standard deviations of a fair coin thrown so often.
    assert abs(points.targets[:, 1].mean() - 0.5) < 5 * 0.5 / 100_000**0.5
    assert torch.equal(torch.cat([x for x, _ in points.batches()]), points.inputs)


def test_the_training_inputs_are_drawn_first_under_the_seed() -> None:
    torch.manual_seed(0)
    training, test = Points.draw(1000), Points.draw(1000)
    torch.manual_seed(0)
    assert torch.equal(training.inputs, torch.rand(1000, 2))
    assert torch.equal(test.inputs, torch.rand(1000, 2))
