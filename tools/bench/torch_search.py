"""The grid search with scikit-learn and PyTorch: `torch_search.py < spec.json`, the result is the last line printed."""

from __future__ import annotations

import copy

import numpy as np
from sklearn_search import Network, main


class TorchNetwork(Network):
    """The network with PyTorch."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> TorchNetwork:
        import torch
        import torch_networks
        from torch import nn

        torch.manual_seed(self.seed)
        parts = self.parts(X, y)
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
        train_x, check_x, train_y, check_y = (torch.from_numpy(part) for part in parts)
        optimizer = torch.optim.Adam(self.model_.parameters(), lr=self.learning_rate, fused=True)
        best, waited, weights = float("inf"), 0, None
        for _ in range(self.epochs):
            self.model_.train()
            for indices in torch.randperm(len(train_x)).split(self.batch_size):
                with self._narrow():
                    logits = self.model_(train_x[indices])
                loss = nn.functional.cross_entropy(logits.float(), train_y[indices])
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
    # joblib's processes import this class by its module's name, which does not work for a class of the main script.
    from torch_search import TorchNetwork as Estimator

    main(Estimator)
