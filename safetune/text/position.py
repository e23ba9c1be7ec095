"""Where in a text one is, as a person counts: line, column, and the words just read. Constant memory."""

_SHOWN = 60  # characters of an excerpt
_TAIL = 4 * _SHOWN  # bytes that surely hold them
_CONTINUATION = bytes(range(0x80, 0xC0))  # the bytes of UTF-8 that begin no character


class TextPosition:
    """The place just after the bytes read so far. `line` and `column` are those of the last character, from 1."""

    def __init__(self) -> None:
        self.offset = 0
        self.line, self.column = 1, 0
        self._tail = b""

    def advance(self, data: bytes) -> None:
        """Read on. A line break belongs to the line that it ends."""
        if not data:
            return
        breaks = self._tail[-1:] + data[:-1]
        lines = breaks.count(b"\n")
        if lines:
            self.line += lines
            self.column = 0
        start = breaks.rfind(b"\n") + (0 if self._tail else 1) if lines else 0
        self.column += len(data[start:].translate(None, _CONTINUATION))
        self.offset += len(data)
        self._tail = (self._tail + data)[-_TAIL:]

    @property
    def excerpt(self) -> str:
        """The text up to here, only its end where it is long."""
        text = self._tail.decode("utf-8", "replace")
        cut = len(text) > _SHOWN or self.offset > len(self._tail)
        return "…" + text[1 - _SHOWN :] if cut else text
