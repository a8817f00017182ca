"""The report's two networks train as PyTorch's do, to the last bit."""

from contextlib import AbstractContextManager, nullcontext

import experiment
import pytest
import torch

EPOCHS = 500


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("network", experiment.NETWORKS)
def test_all_losses_and_final_parameters_of_the_report_equal_pytorchs(network: str) -> None:
    torch.manual_seed(0)
    training, test = experiment.Points.draw(1000), experiment.Points.draw(1000)

    def run(name: str, context: AbstractContextManager) -> list[torch.Tensor]:
        torch.manual_seed(0)
        contestant = experiment.CONTESTANTS[name](network)
        with context:
            losses = experiment.train(contestant, training, EPOCHS)
            return [losses, *contestant.parameters(), contestant.predict(test.inputs)]

    theirs = run("PyTorch", nullcontext())
    assert theirs[0].shape == (EPOCHS, 10)
    for name in ("functional core", "compat"):
        for context in (nullcontext(), torch.inference_mode()):
            assert all(map(torch.equal, run(name, context), theirs))


def test_the_data_is_a_disk_of_half_the_area_with_one_hot_classes() -> None:
    torch.manual_seed(0)
    points = experiment.Points.draw(100_000)
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
    training, test = experiment.Points.draw(1000), experiment.Points.draw(1000)
    torch.manual_seed(0)
    assert torch.equal(training.inputs, torch.rand(1000, 2))
    assert torch.equal(test.inputs, torch.rand(1000, 2))
