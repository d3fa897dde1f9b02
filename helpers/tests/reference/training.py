"""Writes training.json: PyTorch's moving average, loss of mixed classes and schedules, for the tests in `helpers/src/training`.

    python3 helpers/tests/reference/training.py      # with PyTorch 2.13; .tools/bench/bin/python has it after a benchmark
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel

torch.manual_seed(5)


def moving_average(momentum, steps):
    """The weights at the start and after each step, and their average after each step."""

    def average(averaged, current, step):
        kept = min(momentum, (1 + step) / (10 + step))
        return kept * averaged + (1 - kept) * current

    model = torch.nn.BatchNorm1d(3)
    averaged = AveragedModel(model, avg_fn=average, use_buffers=True)
    weights, averages = [], []
    for _ in range(steps + 1):
        with torch.no_grad():
            model.weight.copy_(torch.randn(3))
            model.running_mean.copy_(torch.randn(3))
        averaged.update_parameters(model)  # the first one copies
        weights.append([model.weight.tolist(), model.running_mean.tolist()])
        averages.append([averaged.module.weight.tolist(), averaged.module.running_mean.tolist()])
    return {"momentum": momentum, "weights": weights, "averages": averages}


def mixed_loss(share, smoothing):
    outputs = torch.randn(5, 4, requires_grad=True)
    targets, partners = torch.randint(4, (2, 5))
    soft = share * F.one_hot(targets, 4) + (1 - share) * F.one_hot(partners, 4)
    loss = F.cross_entropy(outputs, soft, label_smoothing=smoothing)
    loss.backward()
    return {
        "share": share,
        "label_smoothing": smoothing,
        "outputs": outputs.flatten().tolist(),
        "targets": targets.tolist(),
        "partners": partners.tolist(),
        "loss": loss.item(),
        "slopes": outputs.grad.flatten().tolist(),
    }


def optimizer():
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)


def plateau(factor, patience):
    """Keras waits for `patience` epochs, PyTorch for one more."""
    optimizer_, losses = optimizer(), [0.9, 0.8, 0.8, 0.85, 0.7, 0.7, 0.71, 0.72, 0.73, 0.69, 0.7]
    scheduler = ReduceLROnPlateau(optimizer_, factor=factor, patience=patience - 1, threshold=0, eps=0)
    factors = []
    for loss in losses:
        scheduler.step(loss)
        factors.append(optimizer_.param_groups[0]["lr"])
    return {"factor": factor, "patience": patience, "losses": losses, "factors": factors}


def cosine(epochs, alpha):
    optimizer_ = optimizer()
    scheduler = CosineAnnealingLR(optimizer_, epochs, eta_min=alpha)
    factors = []
    for _ in range(epochs):
        optimizer_.step()
        scheduler.step()
        factors.append(optimizer_.param_groups[0]["lr"])
    return {"epochs": epochs, "alpha": alpha, "factors": factors}


cases = {
    "moving_average": [moving_average(0.6, 20)],
    "mixed_loss": [mixed_loss(0.3, 0.0), mixed_loss(0.75, 0.1)],
    "plateau": [plateau(0.5, 2), plateau(0.1, 1), plateau(0.3, 3)],
    "cosine": [cosine(10, 0.0), cosine(7, 0.05)],
}
text = ",\n".join(f"{json.dumps(name)}: {json.dumps(of)}" for name, of in cases.items())
Path(__file__).with_name("training.json").write_text("{\n" + text + "\n}\n")
