"""Importing this module makes the programs of remote/ importable in a test's own process."""

import sys
from pathlib import Path

REMOTE = Path(__file__).resolve().parents[2] / "remote"
sys.path.insert(0, str(REMOTE))
