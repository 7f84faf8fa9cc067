"""What the older program does, as its guide describes it: a frame a second, a line, the LED of the best class.

python3.6 older.py REMOTE MODEL_DIR CAMERA LEDS_FILE SECONDS. Camera, network and LEDs are ours, so that nothing but the way of
working differs. Written for the Nano's Python 3.6.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, sys.argv[1])

from jetson_nano.leds import FileLeds  # noqa: E402
from jetson_nano.model import read_model  # noqa: E402
from jetson_nano.onnx_engine import OnnxEngine  # noqa: E402
from jetson_nano.sources import open_source  # noqa: E402

PINS = [12, 16, 18]


def main(model_dir, camera, leds_file, seconds):
    model = read_model(Path(model_dir))
    engine, source, leds = OnnxEngine(model), open_source(camera, None), FileLeds(PINS, Path(leds_file))
    print("ready", flush=True)
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        source.read(1.0)  # what has waited since the last second is old
        frame = source.read(1.0)
        if frame is not None:
            answer = engine.classify(frame.image)
            print(model.classes[answer.class_index], round(answer.confidence, 2), flush=True)
            leds.show([PINS[answer.class_index]])
        time.sleep(1.0)
    leds.close()
    source.close()


if __name__ == "__main__":
    main(*sys.argv[2:])
