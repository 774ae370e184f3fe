"""Where the demo's parts lie. DEMO_OUT moves the outputs, so that a trial leaves the bundled files alone."""

import os
from pathlib import Path

ROOT = Path(os.environ.get("DEMO_OUT", Path(__file__).resolve().parent.parent))
BASE = ROOT / "base"
ADAPTERS = ROOT / "adapters"
EVAL = ROOT / "eval"
MODEL_NAME = "lorikeet-demo"
