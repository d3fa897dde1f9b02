"""What NumPy and SciPy make of noisy images, for `denoising.rs`.

    python denoising.py make FOLDER       # writes X.npy and y.npy: small pictures whose pixels go together
    python denoising.py score FOLDER      # reads clean.npy and restored.npy, prints MSE, PSNR and SSIM as JSON
    python denoising.py linear FOLDER     # reads noisy.npy, clean.npy and new.npy, prints what reduced-rank regression
                                          # of clean on noisy makes of the new ones, for several ranks
    python denoising.py components FOLDER # reads new.npy, prints scikit-learn's principal components
"""

import json
import sys
from pathlib import Path

import numpy as np
from scipy.ndimage import uniform_filter


def make(folder: Path) -> None:
    rng = np.random.default_rng(5)
    for name, shape in {"grey": (6, 6), "small": (5, 9, 1), "colour": (12, 10, 3)}.items():
        images = 2500 if name == "grey" else 40
        values = int(np.prod(shape))
        # A few directions of very different strength, so that each rank counts.
        mix = rng.normal(size=(8, values)) * (0.7 ** np.arange(8))[:, None]
        smooth = rng.normal(size=(images, 8)) @ mix * 30 + 120
        pixels = (smooth + rng.normal(size=(images, values)) * 3).clip(0, 255)
        (folder / name).mkdir()
        np.save(folder / name / "X.npy", pixels.reshape((images, *shape)).astype(np.uint8))
        np.save(folder / name / "y.npy", np.arange(images) % 2)


def ssim(clean: np.ndarray, restored: np.ndarray) -> float:
    """scikit-image's `structural_similarity(clean, restored, data_range=1)` for one channel, from its formula.

    A uniform window of 7 x 7, unbiased covariances, the border left out; here the window of smaller images is the
    largest odd one that fits into them.
    """
    side = min(7, *clean.shape)
    side -= side % 2 == 0
    c1, c2 = 0.01**2, 0.03**2
    unbiased = side * side / (side * side - 1)

    def mean(values):
        return uniform_filter(values, size=side)

    ux, uy = mean(clean), mean(restored)
    vx = unbiased * (mean(clean * clean) - ux * ux)
    vy = unbiased * (mean(restored * restored) - uy * uy)
    vxy = unbiased * (mean(clean * restored) - ux * uy)
    similarity = ((2 * ux * uy + c1) * (2 * vxy + c2)) / ((ux**2 + uy**2 + c1) * (vx + vy + c2))
    pad = (side - 1) // 2
    return similarity[pad : clean.shape[0] - pad, pad : clean.shape[1] - pad].mean(dtype=np.float64)


def score(folder: Path) -> dict:
    shape = [int(side) for side in (folder / "shape.txt").read_text().split()]
    clean, restored = (load(folder, name).reshape(-1, *shape) for name in ("clean", "restored"))
    each = ((clean - restored) ** 2).mean(axis=(1, 2, 3))
    similar = [
        np.mean([ssim(a[..., channel], b[..., channel]) for channel in range(shape[2])])
        for a, b in zip(clean, restored)
    ]
    return {
        "mse": each.mean(),
        "psnr_db": 10 * np.log10(1 / each.mean()),
        "mean_image_psnr_db": (10 * np.log10(1 / each)).mean(),
        "ssim": np.mean(similar),
    }


def load(folder: Path, name: str) -> np.ndarray:
    """Rows of little-endian `f32`, the number of columns in `shape.txt`."""
    values = int(np.prod([int(side) for side in (folder / "shape.txt").read_text().split()]))
    return np.fromfile(folder / f"{name}.f32", dtype="<f4").reshape(-1, values).astype(np.float64)


def linear(folder: Path) -> list:
    noisy, clean, new = (load(folder, name) for name in ("noisy", "clean", "new"))
    means = noisy.mean(axis=0), clean.mean(axis=0)
    x, y = noisy - means[0], clean - means[1]
    coefficients = np.linalg.lstsq(x, y, rcond=None)[0]
    _, _, directions = np.linalg.svd(x @ coefficients, full_matrices=False)
    answers = []
    for rank in (1, 3, 8, 36):
        kept = directions[:rank].T
        restored = (new - means[0]) @ coefficients @ kept @ kept.T + means[1]
        answers.append({"rank": rank, "restored": restored.clip(0, 1).ravel().tolist()})
    return answers


def components(folder: Path) -> dict:
    from sklearn.decomposition import PCA

    pca = PCA(n_components=2, svd_solver="full")
    points = pca.fit_transform(load(folder, "new"))
    return {"points": points.ravel().tolist(), "explained": pca.explained_variance_ratio_.tolist()}


if __name__ == "__main__":
    task, folder = sys.argv[1], Path(sys.argv[2])
    tasks = {"make": make, "score": score, "linear": linear, "components": components}
    print(json.dumps(tasks[task](folder)))
