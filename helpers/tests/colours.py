"""Makes a data set that can be learnt, in the forms that people bring: colours.py FOLDER.

240 RGB images of 16 x 16 pixels as float64 in Fortran order, with string labels: a bright square somewhere on a dark,
noisy ground, whose colour is the class.
"""

import sys
from pathlib import Path

import numpy as np

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
draw = np.random.default_rng(11)
names = np.array(["red", "green", "blue"])
ids = np.arange(240) % 3
X = draw.uniform(0.0, 0.3, (240, 16, 16, 3))
for image, channel in zip(X, ids):
    top, left = draw.integers(0, 11, 2)
    image[top:top + 5, left:left + 5, channel] += 0.7
np.save(folder / "X.npy", np.asfortranarray(X))
np.save(folder / "y.npy", names[ids])
