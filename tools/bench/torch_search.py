"""The grid search with scikit-learn and PyTorch: `torch_search.py < spec.json`, the result is the last line printed.

scikit-learn searches; `TorchNetwork` is the small estimator that one writes to let it train a network of PyTorch.
"""

from __future__ import annotations

import copy
import json
import sys

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split


class TorchNetwork(ClassifierMixin, BaseEstimator):
    """The dense network of `DenseConfig`, trained as a trial of helpers trains it.

    PyTorch is imported where it is needed: joblib's processes load this module before they have anything to train.
    """

    def __init__(
        self,
        dropout: float = 0.0,
        kernel_initializer: str = "glorot_uniform",
        hidden: tuple[int, ...] = (),
        epochs: int = 1,
        patience: int = 5,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        validation: float = 0.12,
        seed: int = 42,
        format: str = "float32",
    ) -> None:
        self.dropout = dropout
        self.kernel_initializer = kernel_initializer
        self.hidden = hidden
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation = validation
        self.seed = seed
        self.format = format

    def fit(self, X: np.ndarray, y: np.ndarray) -> TorchNetwork:
        import torch
        import torch_networks
        from torch import nn

        torch.manual_seed(self.seed)
        self.classes_ = np.unique(y)
        settings = {"hidden": self.hidden, "dropout": self.dropout}
        self.model_ = torch_networks.dense(settings, X.shape[1:], len(self.classes_))
        initializer = {
            "glorot_uniform": nn.init.xavier_uniform_,
            "he_uniform": nn.init.kaiming_uniform_,
            "he_normal": nn.init.kaiming_normal_,
        }[self.kernel_initializer]
        for layer in self.model_:
            if isinstance(layer, nn.Linear):
                initializer(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        ids = np.searchsorted(self.classes_, y)
        parts = train_test_split(X, ids, test_size=self.validation, random_state=self.seed, stratify=ids)
        train_x, check_x, train_y, check_y = (torch.from_numpy(part) for part in parts)
        optimizer = torch.optim.Adam(self.model_.parameters(), lr=self.learning_rate, fused=True)
        best, waited, weights = float("inf"), 0, None
        for _ in range(self.epochs):
            self.model_.train()
            for places in torch.randperm(len(train_x)).split(self.batch_size):
                with self._narrow():
                    logits = self.model_(train_x[places])
                loss = nn.functional.cross_entropy(logits.float(), train_y[places])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            loss = nn.functional.cross_entropy(self._logits(check_x), check_y).item()
            if loss < best:
                best, waited, weights = loss, 0, copy.deepcopy(self.model_.state_dict())
            else:
                waited += 1
                if waited >= self.patience:
                    break
        if weights is not None:
            self.model_.load_state_dict(weights)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        import torch

        return self.classes_[self._logits(torch.from_numpy(X)).argmax(1).numpy()]

    def _narrow(self):
        import torch

        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.format == "bfloat16")

    def _logits(self, x):
        import torch

        self.model_.eval()
        with torch.inference_mode(), self._narrow():
            return torch.cat([self.model_(part).float() for part in x.split(512)])


if __name__ == "__main__":
    # joblib's processes import this module by its name, which a script's own classes do not have.
    from sklearn_search import search
    from torch_search import TorchNetwork as Estimator

    print(json.dumps(search(json.load(sys.stdin), Estimator)), flush=True)
