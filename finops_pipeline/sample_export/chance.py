"""Chance that never depends on what was drawn before it.

Every draw belongs to (seed, stream, day). A longer export therefore holds the same days to the byte, and a change in
one part of the model leaves the others as they were.
"""

import zlib
from datetime import date

import numpy as np


def chance(seed: int, stream: str, day: date | None = None) -> np.random.Generator:
    """The generator of one stream on one day, or of the stream as a whole."""
    return np.random.default_rng([seed, zlib.crc32(stream.encode()), day.toordinal() if day else 0])
