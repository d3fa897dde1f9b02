"""The grid search with scikit-learn and Keras: `keras_search.py < spec.json`, the result is the last line printed.

scikit-learn searches; `KerasNetwork` is the small estimator that one writes to let it train a network of Keras.
"""

from __future__ import annotations

import json
import sys

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split


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


if __name__ == "__main__":
    # joblib's processes import this module by its name, which a script's own classes do not have.
    from keras_search import KerasNetwork as Estimator
    from sklearn_search import search

    print(json.dumps(search(json.load(sys.stdin), Estimator)), flush=True)
