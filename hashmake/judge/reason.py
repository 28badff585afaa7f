"""Why a step is stale: a value; reports only format it."""

from hashmake.model import digest


class Reason:
    """See the module's text.

    kind  NeverRan, CommandChanged, ReadChanged, NameChanged, Appeared, Vanished, ListingChanged, OutputMissing,
          OutputTouched, OutputOverwritten, MadeAnew, VariableChanged, FailedLastTime, TraceIncomplete,
          ChangedWhileRead, Forced, Prints, Seeded
    what  the path, variable or cause that the kind is about (b"" if none)
    old   what was recorded, new: what is there now (versions, or free text)
    """

    __slots__ = ("kind", "new", "old", "what")

    def __init__(self, kind: str, what: bytes = b"", old: bytes = b"", new: bytes = b"") -> None:
        self.kind = kind
        self.what = what
        self.old = old
        self.new = new


NEVER_RAN = Reason("NeverRan")
FORCED = Reason("Forced")
PRINTS = Reason("Prints")


def describe(reason: Reason) -> str:
    """One line for people, without a full stop."""
    what = _text(reason.what)
    if reason.kind == "ListingChanged":
        gone, come = (_text(b.replace(b"\0", b" ")) for b in (reason.old, reason.new))
        parts = [f"new: {come}"] * bool(come) + [f"gone: {gone}"] * bool(gone)
        return f"the list of files in {what} changed ({'; '.join(parts)})"
    if reason.kind == "NameChanged":
        name, old = _entry(reason.old)
        if not name:
            return f"lines of {what} changed that concern every reader"
        return f"{name} in {what} changed: {old} -> {_entry(reason.new)[1] if reason.new else 'unknown'}"
    forms = {
        "NeverRan": "never ran before",
        "CommandChanged": "the command changed",
        "ReadChanged": f"{what} changed: {digest.describe(reason.old)} -> {digest.describe(reason.new)}",
        "Appeared": f"{what} was looked for in vain and is there now",
        "Vanished": f"{what} is gone",
        "MadeAnew": f"{what} was made anew by a step before it",
        "OutputMissing": f"its product {what} is missing",
        "OutputTouched": f"its product {what} was changed by something else: {digest.describe(reason.old)} -> "
        f"{digest.describe(reason.new)}",
        "OutputOverwritten": f"its product {what} was changed by a later step that is stale itself",
        "VariableChanged": f"the variable {what} changed: {_text(reason.old)} -> {_text(reason.new)}",
        "FailedLastTime": f"it failed last time (status {what})",
        "TraceIncomplete": f"it can't be fully seen ({what}), so it always runs",
        "ChangedWhileRead": f"{what} changed while the step ran last time",
        "Forced": "everything was asked for (-B)",
        "Seeded": f"its product {what} begins with what the last build came to",
        "LookedTooSoon": f"it failed because {what} was not made yet: a prerequisite that its rule does not name",
        "Prints": "what it prints is wanted",
    }
    return forms[reason.kind]


def _entry(entry: bytes) -> tuple[str, str]:
    name, equals, value = _text(entry).partition("=")
    if name.endswith("*"):
        return f"some {name}", value[:8] if equals else "none"
    return name, value if equals else "not set"


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
