"""The three kinds of ending: the user can fix it, make failed, our own bug."""

EXIT_FAILED = 2
EXIT_INTERNAL = 3
EXIT_INTERRUPTED = 130


class UserError(Exception):
    """Something the user can fix. The message says where, what, and what to do, in one line."""

    exit_code = 2


class StateUnusable(UserError):
    """The state directory or the database can't be used; the build goes on as plain make."""


class Damaged(Exception):
    """A database that can't be believed: it is set aside and the build starts from nothing."""


class NotUnderstood(Exception):
    """A peer on the socket or a trace file speaks another version or nonsense."""
