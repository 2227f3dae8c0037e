"""The Python that ``make types`` uses → these tests, once: what a checker says does not hang on who starts it."""

import sys
from pathlib import Path

collect_ignore = [] if Path(sys.prefix) == Path(__file__).parents[2] / ".venv" else ["test_examples.py"]
