"""How many descriptors this process may have: more than what make starts, which is to find the limit it is used to."""

import resource


class Descriptors:
    """See the module's text."""

    def __init__(self) -> None:
        self._limit = resource.getrlimit(resource.RLIMIT_NOFILE)

    def raise_limit(self) -> None:
        """Each step that runs takes some of ours; what make starts keeps the limit that we were started with."""
        _soft, hard = self._limit
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            pass  # then it goes on with what there is

    def lower_in(self, pid: int) -> None:
        """In a launcher that we have started: it starts nothing before we have answered it."""
        try:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, self._limit)
        except (OSError, ValueError):
            pass  # it has gone
