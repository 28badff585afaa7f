"""What came of asking other machines: for one build, and added up over all builds of a user."""

import fcntl
import json
import os

_FILE = "remote.json"


class Figures:
    """See the module's text.

    asked         steps that this machine could not answer itself
    hits          of these, results that another machine had; saved_s: how long their steps had taken there
    local         steps that this machine's own store had
    not_shared    of those asked for, steps whose results nobody can tell to others
    new_commands  steps that nobody had run; new_inputs: sets of inputs with which nobody had; other_tools: ... with
                  other tools: what lies in no tree is not as it was for who first told of the step
    executed      steps that other machines have run for this one
    told          results that this machine told to others
    damaged       answers that were not what they should be
    waited_s      how long steps waited for answers, in all
    sent, received  bytes of contents
    errors        calls that failed; given_up: whether the server was given up for the rest of the build
    """

    def __init__(self) -> None:
        self.local = self.not_shared = 0
        self.asked = self.hits = self.new_commands = self.new_inputs = self.other_tools = 0
        self.executed = self.told = self.damaged = self.sent = self.received = self.errors = self.given_up = 0
        self.saved_s = self.waited_s = 0.0

    def as_json(self) -> dict[str, float]:
        """By name."""
        return {name: round(value, 3) for name, value in vars(self).items()}

    def add_to(self, top: str) -> None:
        """Add these to what the store at `top` remembers."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            fd = os.open(os.path.join(top, _FILE), flags, 0o600)
        except OSError:
            return  # no store, nothing to remember it in
        with open(fd, "r+", encoding="ascii", errors="replace") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            before = _of(file.read())
            after = {name: round(before.get(name, 0) + value, 3) for name, value in self.as_json().items()}
            try:
                file.seek(0)
                file.truncate()
                json.dump({"builds": before.get("builds", 0) + 1, **after}, file)
            except OSError:
                pass  # the disk is full: figures are the least of it


def remembered(top: str) -> dict[str, float]:
    """What all builds came to; empty: none has asked other machines."""
    try:
        with open(os.path.join(top, _FILE), encoding="ascii", errors="replace") as file:
            return _of(file.read())
    except OSError:
        return {}


def _of(text: str) -> dict[str, float]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if isinstance(value, int | float)}


def as_prometheus(found: dict[str, float]) -> str:
    """In the text format that node_exporter collects from files (prometheus.io, "Exposition formats")."""
    lines = []
    for name, value in found.items():
        metric = f"hashmake_remote_{name.removesuffix('_s')}{'_seconds' if name.endswith('_s') else ''}_total"
        lines += [f"# TYPE {metric} counter", f"{metric} {value}"]
    return "\n".join(lines)
