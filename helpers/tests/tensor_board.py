"""Prints as JSON what TensorBoard's own reader finds in the folder given: for each run its scalars, pictures, settings."""

import io
import json
import sys
from pathlib import Path

from PIL import Image
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.plugins.hparams import metadata as hparams
from tensorboard.util.tensor_util import make_ndarray


def value_of(value):
    return getattr(value, value.WhichOneof("kind"))


root = Path(sys.argv[1])
runs = {}
for path in sorted(root.rglob("events.out.tfevents.*")):
    name = str(path.parent.relative_to(root))
    assert name not in runs, f"two files in {name}"
    run = runs[name] = {"scalars": {}, "images": {}, "hparams": {}, "finished": False}
    plugins = {}
    for event in EventFileLoader(str(path)).Load():
        for value in event.summary.value:
            # A tag names its plugin the first time alone.
            plugin = plugins.setdefault(value.tag, value.metadata.plugin_data)
            if plugin.plugin_name == "scalars":
                point = [event.step, make_ndarray(value.tensor).item(), event.wall_time]
                run["scalars"].setdefault(value.tag, []).append(point)
            elif plugin.plugin_name == "images":
                width, height, png = make_ndarray(value.tensor)
                sides = Image.open(io.BytesIO(png)).size
                assert sides == (int(width), int(height)), (sides, width, height)
                run["images"].setdefault(value.tag, []).append(event.step)
            elif value.tag == hparams.SESSION_START_INFO_TAG:
                info = hparams.parse_session_start_info_plugin_data(plugin.content)
                run["hparams"] = {key: value_of(one) for key, one in info.hparams.items()}
            elif value.tag == hparams.SESSION_END_INFO_TAG:
                run["finished"] = hparams.parse_session_end_info_plugin_data(plugin.content).status == 1
            else:
                raise AssertionError(f"{path}: {value.tag} belongs to {plugin.plugin_name!r}")
print(json.dumps(runs))
