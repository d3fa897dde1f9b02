"""A model file that helpers wrote: weights and settings in one safetensors file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

# The version of the settings that can be read: `FORMAT` in helpers/src/models/saving.rs.
FORMAT = 2


class ExportError(Exception):
    """What is wrong with a model, for the user."""


def checksum(metadata: dict[str, str], weights: dict[str, np.ndarray]) -> str:
    """The SHA-256 of metadata and weights, as in helpers (`checksum` in helpers/src/models/model_file.rs)."""
    hash_ = hashlib.sha256()

    def add(text: bytes) -> None:
        # The length separates consecutive texts.
        hash_.update(len(text).to_bytes(8, "little") + text)

    for key, text in sorted(metadata.items()):
        if key != "sha256":
            add(key.encode())
            add(text.encode())
    for name, values in sorted(weights.items()):
        add(name.encode())
        add(str(list(values.shape)).encode())
        add(values.tobytes())
    return hash_.hexdigest()


@dataclass
class ModelFile:
    """A trained model."""

    path: Path
    input_shape: list[int]
    """Of one image, channels first; of a vector its length."""
    layers: list[dict]
    mean: list[float]
    std: list[float]
    """A pixel goes in as `(value / 255 - mean) / std`, each channel for itself."""
    mirrored: bool
    """Whether a prediction is the mean of an image's and of its mirror image's."""
    class_names: list[str]
    """By class id; empty where the file names none."""
    weights: dict[str, np.ndarray]

    @staticmethod
    def read(path: Path) -> ModelFile:
        """Reads all of the file.

        Raises ExportError if it is no model file of this format.
        """
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                weights = {name: file.get_tensor(name) for name in file.keys()}
        except FileNotFoundError:
            raise ExportError(f"{path}: no such file; the notebook that trains a model writes one to export/models") from None
        except (SafetensorError, OSError) as error:
            raise ExportError(f"{path}: expected a model file, found none: {error}") from None
        if "config" not in metadata:
            raise ExportError(f"{path}: expected the settings of a model in its metadata, found none; models lie in export/models")
        if metadata.get("sha256") != checksum(metadata, weights):
            raise ExportError(f"{path}: expected a file that is whole, found one that its own checksum does not fit; copy it again")
        config = json.loads(metadata["config"])
        if config.get("format") != FORMAT:
            raise ExportError(
                f"{path}: expected a model file of format {FORMAT}, found {config.get('format')}; train the model again"
            )
        # The default of helpers for a model without normalisation: pixels in 0..=1.
        normalization = config.get("normalization") or {"mean": [0.0], "std": [1.0]}
        trained_on = config.get("trained_on") or [{"class_names": []}]
        return ModelFile(
            path=path,
            input_shape=config["network"]["input"],
            layers=config["network"]["layers"],
            mean=normalization["mean"],
            std=normalization["std"],
            mirrored=config.get("mirrored", False),
            class_names=trained_on[-1]["class_names"],
            weights=weights,
        )
