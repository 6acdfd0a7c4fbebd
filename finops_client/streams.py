"""Pieces of bytes as a file that is read once."""

import io
from collections.abc import Iterator


class Reading(io.RawIOBase):
    """A file of the pieces, each asked for when it is needed: no more than one is held.

    To be read through `io.BufferedReader`: a read here ends where a piece does, and Arrow takes that for the end.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = b""

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: "memoryview[int] | bytearray") -> int:  # type: ignore[override]
        """Fill the buffer with what is there, at least a byte; 0 at the end."""
        while not self._held:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._held = piece
        size = min(len(buffer), len(self._held))
        buffer[:size] = self._held[:size]
        self._held = self._held[size:]
        return size
