"""Nothing but the path of the oracle."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
