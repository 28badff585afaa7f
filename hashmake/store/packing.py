"""Contents on their way: compressed with zstd, where the server takes that and the extra is installed."""

from typing import Any

_LEVEL = 1
_SMALLEST = 512  # bytes that are worth it
_WINDOW = 1 << 27


class Packing:
    """See the module's text. `works`: there is something to do it with."""

    def __init__(self) -> None:
        self._zstd: Any = None
        try:
            import zstandard

            self._zstd = zstandard
        except ImportError:
            pass  # contents go as they are
        self.works = self._zstd is not None

    def packed(self, content: bytes) -> bytes:
        """Compressed, whatever that gains."""
        found: bytes = self._zstd.ZstdCompressor(level=_LEVEL).compress(content)
        return found

    def pack(self, content: bytes) -> bytes | None:
        """Compressed; None: that gains nothing."""
        packed = self.packed(content) if len(content) >= _SMALLEST else content
        return packed if len(packed) < len(content) else None

    def unpack(self, packed: bytes, size: int) -> bytes | None:
        """What was compressed, of this size; None: it is something else, or more than that."""
        if not self.works:
            return None
        try:
            reader = self._zstd.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(packed)
            content: bytes = reader.read(size + 1)  # what a header says of its size is not believed
        except self._zstd.ZstdError:
            return None
        return content if len(content) == size else None
