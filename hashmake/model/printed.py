"""What a step printed, where somebody reads it."""

OUT, ERR, ONE = 1, 2, 4  # standard output; standard error; both, where they are one file and have one order


class Printed:
    """Bytes of each stream that is kept. `kept`: OUT | ERR, or ONE (all of it stands in `out`); 0: nobody reads it.

    What $(shell) returns is in `out`, whatever `kept` says.
    """

    __slots__ = ("err", "kept", "out")

    def __init__(self, out: bytes = b"", err: bytes = b"", kept: int = 0) -> None:
        self.out = out
        self.err = err
        self.kept = kept


NOTHING = Printed()
