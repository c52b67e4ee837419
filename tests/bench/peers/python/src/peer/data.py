"""The tables beside this module: problem documents and card prefixes."""

import json
from pathlib import Path


def load(name: str) -> dict:
    return json.loads((Path(__file__).parent / name).read_bytes())
