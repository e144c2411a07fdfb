"""What the server of the stream says is wrong."""


class StreamError(Exception):
    """What the server said is wrong, by its own number."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(f"{words} ({code})")
        self.code = code
