"""Images a second with Keras: `keras_throughput.py < spec.json`, the result is the last line printed."""

from __future__ import annotations

import json
import sys
import time

import images
import keras
import numpy as np


def dense(spec: dict, shape: tuple[int, ...], classes: int) -> keras.Sequential:
    """The network of `DenseConfig`."""
    layers = [keras.layers.Input(shape), keras.layers.Flatten()]
    for units in spec["hidden"]:
        layers += [
            keras.layers.Dense(units, use_bias=False, kernel_initializer="he_normal"),
            keras.layers.BatchNormalization(momentum=0.9),
            keras.layers.ReLU(),
            keras.layers.Dropout(spec["dropout"]),
        ]
    return keras.Sequential([*layers, keras.layers.Dense(classes, dtype="float32")])


def cnn(spec: dict, shape: tuple[int, ...], classes: int) -> keras.Sequential:
    """The network of `CnnConfig`."""

    def convolution(filters: int) -> list:
        return [
            keras.layers.Conv2D(
                filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal"
            ),
            keras.layers.BatchNormalization(momentum=0.9),
            keras.layers.ReLU(),
        ]

    first, second, third, fourth = spec["filters"]
    return keras.Sequential(
        [
            keras.layers.Input(shape),
            *convolution(first),
            keras.layers.MaxPooling2D(),
            *convolution(second),
            keras.layers.MaxPooling2D(),
            *convolution(third),
            *convolution(fourth),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dropout(spec["dropout"]),
            keras.layers.Dense(spec["dense"], use_bias=False, kernel_initializer="he_normal"),
            keras.layers.BatchNormalization(momentum=0.9),
            keras.layers.ReLU(),
            keras.layers.Dropout(spec["dropout"]),
            keras.layers.Dense(classes, dtype="float32"),
        ]
    )


def measure(spec: dict) -> dict:
    """Trains and predicts; gives the speeds, and the accuracy as a sign that something was learnt."""
    keras.utils.set_random_seed(spec["seed"])
    keras.config.set_dtype_policy(spec["format"])
    (train_x, train_y), (check_x, check_y), classes = images.parts(spec)
    network = {"dense": dense, "cnn": cnn}[spec["network"]](spec, train_x.shape[1:], classes)
    network.compile(
        optimizer=keras.optimizers.Adam(spec["learning_rate"]),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=spec["compile"],
    )
    settings = {"batch_size": spec["batch_size"], "verbose": 0}
    network.fit(train_x, train_y, epochs=1, **settings)
    started = time.perf_counter()
    network.fit(train_x, train_y, epochs=spec["epochs"], **settings)
    training = time.perf_counter() - started

    # All of it once, so that what is traced for its last, shorter batch is traced before the clock starts.
    network.predict(train_x, batch_size=512, verbose=0)
    started = time.perf_counter()
    network.predict(train_x, batch_size=512, verbose=0)
    prediction = time.perf_counter() - started
    right = network.predict(check_x, batch_size=512, verbose=0).argmax(axis=1) == check_y
    return {
        "train_images_per_second": len(train_x) * spec["epochs"] / training,
        "predict_images_per_second": len(train_x) / prediction,
        "accuracy": float(np.mean(right)),
    }


if __name__ == "__main__":
    print(json.dumps(measure(json.load(sys.stdin))), flush=True)
