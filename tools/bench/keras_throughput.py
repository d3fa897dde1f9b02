"""Images a second with Keras: `keras_throughput.py < spec.json`, the result is the last line printed."""

from __future__ import annotations

import json
import sys
import time

import images
import keras
import keras_networks
import numpy as np


def measure(spec: dict) -> dict:
    """Trains and predicts; returns the speeds, and a score that shows whether the network learnt."""
    keras.utils.set_random_seed(spec["seed"])
    keras.config.set_dtype_policy(spec["format"])
    settings = spec["network"]
    denoises = settings["kind"] == "autoencoder"
    (train_x, train_y), (check_x, check_y), classes = images.parts(spec, normalise=not denoises)
    if denoises:
        network = keras_networks.autoencoder(settings, train_x.shape[1:])
        train_y, loss = train_x, keras.losses.MeanSquaredError()
    else:
        network = keras_networks.classifier(settings, train_x.shape[1:], classes)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(
        optimizer=keras.optimizers.Adam(spec["learning_rate"]),
        loss=loss,
        metrics=[] if denoises else ["accuracy"],
        jit_compile=spec["compile"],
    )
    usual = {"batch_size": spec["batch_size"], "verbose": 0}
    network.fit(train_x, train_y, epochs=1, **usual)
    started = time.perf_counter()
    network.fit(train_x, train_y, epochs=spec["epochs"], **usual)
    training = time.perf_counter() - started

    # Predicts everything once, so that also the last, shorter batch is traced before the clock starts.
    network.predict(train_x, batch_size=512, verbose=0)
    started = time.perf_counter()
    network.predict(train_x, batch_size=512, verbose=0)
    prediction = time.perf_counter() - started
    predicted = network.predict(check_x, batch_size=512, verbose=0)
    if denoises:
        score = {"psnr_db": float(-10 * np.log10(np.mean((predicted - check_x) ** 2)))}
    else:
        score = {"accuracy": float(np.mean(predicted.argmax(axis=1) == check_y))}
    return score | {
        "train_images_per_second": len(train_x) * spec["epochs"] / training,
        "predict_images_per_second": len(train_x) / prediction,
    }


if __name__ == "__main__":
    print(json.dumps(measure(json.load(sys.stdin))), flush=True)
