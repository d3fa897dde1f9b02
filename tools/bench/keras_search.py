"""The grid search with scikit-learn and Keras: `keras_search.py < spec.json`, the result is the last line printed."""

from __future__ import annotations

import numpy as np
from sklearn_search import Network, main


class KerasNetwork(Network):
    """The network with Keras."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> KerasNetwork:
        import keras

        # Otherwise each network makes building the next one slower.
        keras.utils.clear_session()
        keras.utils.set_random_seed(self.seed)
        keras.config.set_dtype_policy(self.format)
        train_x, check_x, train_y, check_y = self.parts(X, y)
        layers = [keras.layers.Input(X.shape[1:])]
        for units in self.hidden:
            layers += [
                keras.layers.Dense(units, use_bias=False, kernel_initializer=self.kernel_initializer),
                # helpers' momentum: with Keras's default of 0.99 the statistics change too slowly for such a short
                # training.
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
            # Compiling with XLA takes longer than these trainings.
            jit_compile=False,
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
    # joblib's processes import this class by its module's name, which does not work for a class of the main script.
    from keras_search import KerasNetwork as Estimator

    main(Estimator)
