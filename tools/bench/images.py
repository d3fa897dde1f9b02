"""The images for a peer: the same indices as those of helpers' split and search."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split


def load(folder: str) -> tuple[np.ndarray, np.ndarray]:
    """X as in the file, and class ids `(N,)`."""
    x = np.load(Path(folder) / "X.npy", mmap_mode="r")
    y = np.load(Path(folder) / "y.npy").ravel().astype(np.int64)
    return x, y


def training_rows(y: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the training and of the validation part, with the shares of `SplitConfig`."""
    rest, _ = train_test_split(np.arange(len(y)), test_size=0.12, random_state=seed, stratify=y)
    train, validation = train_test_split(rest, test_size=0.12, random_state=seed, stratify=y[rest])
    return train, validation


def searched_rows(y: np.ndarray, images: int, seed: int) -> np.ndarray:
    """Rows of the training part that a search of this many images uses."""
    train, _ = training_rows(y, seed)
    if images == 0 or images >= len(train):
        return train
    rest = len(train) - images
    return train_test_split(train, test_size=rest, random_state=seed, stratify=y[train])[0]


def scaled(x: np.ndarray) -> np.ndarray:
    """Pixels with mean 0 and standard deviation 1, `float32`."""
    x = np.asarray(x, dtype=np.float32)
    return (x - x.mean()) / x.std()


def pixels(folder: str, images: int, seed: int) -> np.ndarray:
    """This many images `(N, H, W, C)` as in the file, `uint8`, with the classes in proportion."""
    x, y = load(folder)
    rows = np.arange(len(y))
    if images < len(y):
        rows, _ = train_test_split(rows, train_size=images, random_state=seed, stratify=y)
    return x[rows].reshape(len(rows), *x.shape[1:3], -1)


def parts(
    spec: dict, normalise: bool = True
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray], int]:
    """Training and validation images `(N, H, W, C)` with their class ids, and the number of classes.

    At most `images` of each part, all of them if it is 0; normalised, or else in 0..1.
    """
    x, y = load(spec["data"])
    most = spec["images"] or len(y)
    train, check = (rows[:most] for rows in training_rows(y, spec["seed"]))
    both = x[np.concatenate([train, check])]
    both = scaled(both) if normalise else both.astype(np.float32) / 255
    both = both.reshape(*both.shape[:3], -1)
    classes = len(np.unique(y))
    return (both[: len(train)], y[train]), (both[len(train) :], y[check]), classes
