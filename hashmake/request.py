"""What is asked for: make's words, where, with which environment, and where the state goes."""

import os
import time

from hashmake.disk import piped
from hashmake.disk.reading import beginning
from hashmake.kbuild.recognise import PRINTING, recognise
from hashmake.model.identity import asked_digest, goal_key, input_digest
from hashmake.model.makeargs import MakeArguments
from hashmake.model.names import EVERY, unpack
from hashmake.state import place
from hashmake.state.complete import Complete
from hashmake.state.directory import StateDirectory

TYPE_CHECKING = False  # typing takes as long to load as a small null build
if TYPE_CHECKING:
    from hashmake.progress.plain import Progress

# In the order in which GNU make looks for them (its manual, "What Name to Give Your Makefile").
DEFAULT_MAKEFILES = ("GNUmakefile", "makefile", "Makefile")


_NO_STORE = "--no-store"
_NO_REMOTE = "--no-remote"
_NO_REPLAY = "--no-replay"
_TRUST_CTIME = "--trust-ctime"


class Request:
    """See the module's text.

    no_store    nothing is kept for other builds, nothing restored
    no_remote   other machines are neither asked nor told
    no_replay   make evaluates, whatever is known of what it would ask for
    trust_ctime  the null check does not read what has the ctime that it had when it was read

    kbuild      whether the makefiles are Kbuild's
    configured  where the tree's own products go; another place than `out` for a module that lies elsewhere
    query     goals are named, and nothing but what they print is to be seen
    texts     digests of makefiles that are no files; descriptors: where make reads them
    asked     digest of everything that may change the result and is neither file nor variable of the environment
    inputs    the same with the environment, as far as it counts
    again     keys of steps that run though they are current (`hashmake verify`)
    renumber  what is recorded may get other numbers when the build has ended (state/compact.py)
    progress  who watches; None: whoever fits standard error
    """

    def __init__(self, words: list[str], state_dir: str | None, drop_in: bool) -> None:
        self.no_store, words = _taken(_NO_STORE, words, drop_in)
        self.no_remote, words = _taken(_NO_REMOTE, words, drop_in)
        self.no_replay, words = _taken(_NO_REPLAY, words, drop_in)
        self.trust_ctime, words = _taken(_TRUST_CTIME, words, drop_in)
        self.trust_ctime |= os.environ.get("HASHMAKE_TRUST_CTIME") == "on"
        self.no_replay |= os.environ.get("HASHMAKE_REPLAY") == "off"
        self.words = words
        self.drop_in = drop_in
        self.start = os.getcwd()
        self.arguments = MakeArguments(words, os.environ.get("MAKEFLAGS", ""))
        self.make = find_make()
        self.where = os.path.realpath(os.path.join(self.start, *self.arguments.directories))
        self.kbuild = recognise(os.fsencode(self.where), os.path.exists, beginning)
        self.configured = _tree_directory(self.arguments, self.where)
        self.out = _module_directory(self.arguments, self.where) if self.kbuild else ""
        self.out = self.out or self.configured
        state_dir = state_dir or os.environ.get("HASHMAKE_STATE_DIR")
        self.place = place.choose(self.out, state_dir)
        self.state = StateDirectory(self.place.path)
        self.texts: list[bytes] = []
        self.descriptors: list[int] = []
        self.key = self._key(self.where, self.out)
        self.take_words()
        self.quiet = drop_in or self.arguments.silent
        # `make -s version` is called for what it prints. Kbuild's steps say nothing then, and there are many.
        self.query = self.arguments.terse and bool(self.arguments.goals) and not self.kbuild
        self.began = time.monotonic()
        self.again: frozenset[bytes] = frozenset()
        self.progress: Progress | None = None
        self.renumber = True

    def take_texts(self) -> None:
        """Read the makefiles that come through a descriptor: the same goal, whatever they say, but other inputs."""
        makefiles = self.arguments.makefiles
        for at, makefile in enumerate(makefiles):
            fd = piped.descriptor(makefile)
            if fd is not None:
                makefiles[at] = "-"
                self.texts.append(piped.take(fd))
                self.descriptors.append(fd)
            elif piped.gives_once(os.path.join(self.where, makefile)):
                self.texts.append(os.urandom(16))
        if self.texts:
            self.key = self._key(self.where, self.out)
            self.take_words()

    def path(self, name: str) -> str:
        """The absolute path of a file that one of make's words names."""
        return os.path.normpath(os.path.join(self.where, name))

    def rewind(self) -> None:
        """Before make is started."""
        for fd in self.descriptors:
            piped.rewind(fd)

    def take_words(self) -> None:
        """After the words changed: what is asked for, as a digest."""
        asked = self.arguments
        printing = PRINTING if self.kbuild else frozenset[str]()
        variables = [v for v in asked.variables if v.partition("=")[0] not in printing]
        words, makefiles = _encoded(asked.meaning), _encoded(asked.makefiles)
        self.asked = asked_digest(os.fsencode(self.make or ""), _encoded(variables), words, makefiles, self.texts)
        self.choose(None)

    def complete(self) -> Complete:
        """What is kept of complete builds of this goal."""
        return Complete(self.state.path, self.key, self.asked)

    def choose(self, names: bytes | None) -> None:
        """Let those variables of the environment count that this goal can name, as recorded; None: all."""
        where = os.fsencode(self.where)
        self.inputs = input_digest(self.asked, dict(os.environb), where, unpack(EVERY if names is None else names))

    def _key(self, where: str, out: str) -> bytes:
        makefiles = _encoded(_named_makefiles(self.arguments.makefiles, where))
        return goal_key(os.fsencode(where), os.fsencode(out), makefiles, _encoded(self.arguments.goals))

    def key_at(self, here: str, there: str) -> bytes:
        """The key of the same goal where directory `here` is called `there`."""
        where, out = (there + d[len(here) :] if (d + "/").startswith(here + "/") else d for d in (self.where, self.out))
        return self._key(where, out)


def find_make() -> str | None:
    """The make that a shell would start."""
    for directory in os.environ.get("PATH", os.defpath).split(":"):
        for name in ("make", "gmake"):
            path = os.path.join(directory or ".", name)
            if os.access(path, os.X_OK) and not os.path.isdir(path):
                return path
    return None


def _taken(word: str, words: list[str], drop_in: bool) -> tuple[bool, list[str]]:
    """Whether a word of ours is among make's, and those without it."""
    if drop_in or word not in _before_goals(words):
        return False, words
    return True, [w for w in words if w != word]


def _before_goals(words: list[str]) -> list[str]:
    """The words up to `--`: after it all are goals."""
    return words[: words.index("--")] if "--" in words else words


def _encoded(words: list[str]) -> list[bytes]:
    return list(map(os.fsencode, words))


def _named_makefiles(makefiles: list[str], where: str) -> list[str]:
    """What -f names; nothing when it names the one that make takes anyway."""
    if len(makefiles) == 1:
        named = os.path.normpath(os.path.join(where, makefiles[0]))
        paths = (os.path.join(where, name) for name in DEFAULT_MAKEFILES)
        if named == next((path for path in paths if os.access(path, os.F_OK)), None):
            return []
    return makefiles


def _module_directory(arguments: MakeArguments, where: str) -> str:
    """Where the modules that M= (or KBUILD_EXTMOD) names lie, which a tree builds as well; "" if it names none."""
    module = arguments.variable("M") or arguments.variable("KBUILD_EXTMOD") or os.environ.get("KBUILD_EXTMOD")
    return os.path.realpath(os.path.join(where, module)) if module else ""


def _tree_directory(arguments: MakeArguments, where: str) -> str:
    """Where a tree's own products go, its configuration among them: O= (or KBUILD_OUTPUT), else where make runs."""
    out = arguments.variable("O")
    if out is None:
        out = os.environ.get("KBUILD_OUTPUT", "") if os.path.exists(os.path.join(where, "Kbuild")) else ""
    return os.path.realpath(os.path.join(where, out)) if out else where
