"""Loads a model once by jetson-inference, which builds its engine; a child of build_engine.py, since it may be killed.

    python PROGRAMS/jetson_nano/engine_builder.py MODEL_DIR LABELS DESCRIPTOR

Its output is the library's log. On the pipe DESCRIPTOR it answers {"ok": true}, {"code", "params"} of a Failure, or
{"refused": text} where the library gave no engine, for the reasons that its log tells.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any, Dict, List

from jetson_nano.bindings import construct, flush_log, import_jetson
from jetson_nano.model import read_model
from shared.wire import Failure


def build(folder: Path, labels: Path) -> Dict[str, Any]:
    try:
        construct(import_jetson(), read_model(folder), labels)
        return {"ok": True}
    except Failure as failure:
        return {"code": failure.code, "params": failure.params}
    except Exception as error:  # the bindings raise nothing more specific
        return {"refused": str(error)}


def main(argv: List[str]) -> int:
    answer = build(Path(argv[0]), Path(argv[1]))
    flush_log()
    os.write(int(argv[2]), json.dumps(answer).encode("utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
