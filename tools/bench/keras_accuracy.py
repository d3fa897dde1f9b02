"""Seconds until the validation accuracy first passes a mark, with Keras: `keras_accuracy.py < spec.json`."""

from __future__ import annotations

import json
import sys
import time

import images
import keras
import keras_networks


class Mark(keras.callbacks.Callback):
    """Records when the mark is passed, and ends the training then."""

    def __init__(self, mark: float) -> None:
        super().__init__()
        self.mark, self.seconds, self.started = mark, None, time.perf_counter()
        self.val_accuracy: list[float] = []

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.val_accuracy.append(logs["val_accuracy"])
        if self.val_accuracy[-1] >= self.mark:
            self.seconds = time.perf_counter() - self.started
            self.model.stop_training = True


def measure(spec: dict) -> dict:
    keras.utils.set_random_seed(spec["seed"])
    keras.config.set_dtype_policy(spec["format"])
    (train_x, train_y), check, classes = images.parts(spec)
    network = keras_networks.classifier(spec["network"], train_x.shape[1:], classes)
    steps = -(-len(train_x) // spec["batch_size"])
    warmup = int(spec["warmup_epochs"] * steps)
    course = keras.optimizers.schedules.CosineDecay(
        0.0, spec["epochs"] * steps - warmup, warmup_target=spec["learning_rate"], warmup_steps=warmup
    )
    network.compile(
        optimizer=keras.optimizers.Adam(course),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=spec["compile"],
    )
    mark = Mark(spec["mark"])
    network.fit(
        train_x, train_y, validation_data=check, validation_batch_size=512, epochs=spec["epochs"],
        batch_size=spec["batch_size"], callbacks=[mark], verbose=0,
    )  # fmt: skip
    return {"seconds": mark.seconds, "val_accuracy": mark.val_accuracy}


if __name__ == "__main__":
    print(json.dumps(measure(json.load(sys.stdin))), flush=True)
