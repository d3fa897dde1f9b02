"""The grid search with scikit-learn and Keras: `keras_search.py < spec.json`, the result is the last line printed.

scikit-learn searches; `KerasNetwork` is the small estimator that one writes to let it train a network of Keras.
"""

from __future__ import annotations

import json
import sys

import images
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split


class KerasNetwork(ClassifierMixin, BaseEstimator):
    """The dense network of `DenseConfig`, trained as a trial of helpers trains it.

    Keras is imported where it is needed: joblib's processes load this module before they have anything to train.
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

    def fit(self, X: np.ndarray, y: np.ndarray) -> KerasNetwork:
        import keras

        # Without it, each network makes the next one slower to build.
        keras.utils.clear_session()
        keras.utils.set_random_seed(self.seed)
        keras.config.set_dtype_policy(self.format)
        self.classes_ = np.unique(y)
        layers = [keras.layers.Input(X.shape[1:])]
        for units in self.hidden:
            layers += [
                keras.layers.Dense(units, use_bias=False, kernel_initializer=self.kernel_initializer),
                # helpers' momentum: with Keras's own 0.99 the statistics lag behind in so short a training.
                keras.layers.BatchNormalization(momentum=0.9),
                keras.layers.ReLU(),
                keras.layers.Dropout(self.dropout),
            ]
        layers.append(
            keras.layers.Dense(
                len(self.classes_), kernel_initializer=self.kernel_initializer, dtype="float32"
            )
        )
        self.model_ = keras.Sequential(layers)
        self.model_.compile(
            optimizer=keras.optimizers.Adam(self.learning_rate),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            # XLA compiles for longer than these trainings take.
            jit_compile=False,
        )
        ids = np.searchsorted(self.classes_, y)
        train_x, check_x, train_y, check_y = train_test_split(
            X, ids, test_size=self.validation, random_state=self.seed, stratify=ids
        )
        stop = keras.callbacks.EarlyStopping(patience=self.patience, restore_best_weights=True)
        self.model_.fit(
            train_x,
            train_y,
            validation_data=(check_x, check_y),
            validation_batch_size=512,
            epochs=self.epochs,
            batch_size=self.batch_size,
            callbacks=[stop],
            verbose=0,
        )
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        logits = self.model_.predict(X, batch_size=512, verbose=0)
        return self.classes_[logits.argmax(axis=1)]


def search(spec: dict) -> dict:
    """Searches; gives what was found, and what shows that all sides did the same."""
    seed = spec["seed"]
    x, y = images.load(spec["data"])
    rows = images.searched_rows(y, spec["images"], seed)
    x, y = images.scaled(x[rows]).reshape(len(rows), -1), y[rows]
    folds = list(StratifiedKFold(spec["folds"], shuffle=True, random_state=seed).split(x, y))
    network = KerasNetwork(
        hidden=tuple(spec["hidden"]),
        epochs=spec["epochs"],
        patience=spec["patience"],
        batch_size=spec["batch_size"],
        learning_rate=spec["learning_rate"],
        validation=spec["validation"],
        seed=seed,
        format=spec["format"],
    )
    grid = {name: spec[name] for name in ("dropout", "kernel_initializer")}
    found = GridSearchCV(
        network, grid, cv=folds, n_jobs=spec["jobs"], refit=False, error_score="raise"
    ).fit(x, y)
    scores = np.stack([found.cv_results_[f"split{k}_test_score"] for k in range(len(folds))], axis=1)
    return {
        "best_params": found.best_params_,
        "best_score": float(found.best_score_),
        "scores": scores.tolist(),
        "fold_sums": [int(rows[test].sum()) for _, test in folds],
        "computed": scores.size,
    }


if __name__ == "__main__":
    # joblib's processes import this module by its name, which a script's own classes do not have.
    from keras_search import search as search_by_name

    print(json.dumps(search_by_name(json.load(sys.stdin))), flush=True)
