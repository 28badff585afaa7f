"""The Linux kernel as a scenario: one tree, a list of edits, and stock make's clean build as the judge."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for e2e.tool: the tool under test and the logging shim
