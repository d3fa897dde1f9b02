"""The networks of helpers, built with Keras: the same layers and initializers."""

from __future__ import annotations

import keras


def dense(settings: dict, shape: tuple[int, ...], classes: int) -> keras.Sequential:
    """The network of `DenseConfig`."""
    layers = [keras.layers.Input(shape), keras.layers.Flatten()]
    for units in settings["hidden"]:
        layers += [*normalised(fully_connected(units)), keras.layers.Dropout(settings["dropout"])]
    return keras.Sequential([*layers, keras.layers.Dense(classes, dtype="float32")])


def cnn(settings: dict, shape: tuple[int, ...], classes: int) -> keras.Sequential:
    """The network of `CnnConfig`."""
    first, second, third, fourth = settings["filters"]
    return keras.Sequential(
        [
            keras.layers.Input(shape),
            *normalised(convolution(first)),
            keras.layers.MaxPooling2D(),
            *normalised(convolution(second)),
            keras.layers.MaxPooling2D(),
            *normalised(convolution(third)),
            *normalised(convolution(fourth)),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dropout(settings["dropout"]),
            *normalised(fully_connected(settings["dense"])),
            keras.layers.Dropout(settings["dropout"]),
            keras.layers.Dense(classes, dtype="float32"),
        ]
    )


def autoencoder(settings: dict, shape: tuple[int, ...]) -> keras.Sequential:
    """The network of `AutoencoderConfig`, with its noise layer."""
    height, width, channels = shape
    first, deeper = settings["filters"]
    layers = [keras.layers.Input(shape), Noise(**settings["noise"])]
    halvings = 0
    while halvings == 0 or max(height, width) > 8:
        filters, side = (first, 5) if halvings == 0 else (deeper, 3)
        layers += normalised(convolution(filters, side, strides=2))
        height, width, halvings = -(-height // 2), -(-width // 2), halvings + 1
    units = settings["dense"]
    code = min(int(settings["rate"] * shape[0] * shape[1] * channels), units)
    layers += [keras.layers.Flatten(), *normalised(fully_connected(units))]
    layers += [keras.layers.Dense(code, kernel_initializer="he_normal")]
    layers += normalised(fully_connected(units))
    layers += normalised(fully_connected(height * width * deeper))
    layers.append(keras.layers.Reshape((height, width, deeper)))
    for _ in range(halvings - 1):
        layers += [keras.layers.UpSampling2D(), *normalised(convolution(first))]
    layers += [keras.layers.UpSampling2D(), convolution(channels, 5, use_bias=True)]
    below, right = (height << halvings) - shape[0], (width << halvings) - shape[1]
    if below or right:
        layers.append(keras.layers.Cropping2D(((0, below), (0, right))))
    return keras.Sequential([*layers, keras.layers.Activation("sigmoid", dtype="float32")])


@keras.saving.register_keras_serializable("bench")
class Noise(keras.layers.Layer):
    """Noise in training and in prediction; Keras's own layer adds none in prediction."""

    def __init__(self, mean: float, variance: float) -> None:
        super().__init__()
        self.mean, self.deviation = mean, variance**0.5
        self.generator = keras.random.SeedGenerator()

    def call(self, images):
        shape = keras.ops.shape(images)
        noise = keras.random.normal(shape, self.mean, self.deviation, images.dtype, seed=self.generator)
        return images + noise


def convolution(filters: int, side: int = 3, strides: int = 1, use_bias: bool = False) -> keras.layers.Layer:
    return keras.layers.Conv2D(
        filters, side, strides=strides, padding="same", use_bias=use_bias, kernel_initializer="he_normal"
    )


def fully_connected(units: int) -> keras.layers.Layer:
    return keras.layers.Dense(units, use_bias=False, kernel_initializer="he_normal")


def normalised(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    return [layer, keras.layers.BatchNormalization(momentum=0.9), keras.layers.ReLU()]


def classifier(settings: dict, shape: tuple[int, ...], classes: int) -> keras.Sequential:
    return {"dense": dense, "cnn": cnn}[settings["kind"]](settings, shape, classes)
