"""make's command line, read only as far as hashmake must understand it; nothing is changed in it."""

# Options with an argument that may be the next word (GNU make 4.3, main.c; 4.4 adds --shuffle, always with "=").
_TAKES_WORD = frozenset("C f I o W E".split())
_LONG_TAKES_WORD = frozenset(
    "directory file makefile include-dir old-file assume-old what-if new-file assume-new eval".split()
)
_OPTIONAL_ATTACHED = frozenset("j l O d".split())  # something may be attached; -j and -l may take the next word
# Options that change nothing in what is made.
_QUIET = frozenset("s w k S j l O".split())
_QUIET_LONG = frozenset(
    "silent quiet no-silent print-directory no-print-directory keep-going no-keep-going stop jobs load-average max-load"
    " output-sync warn-undefined-variables".split()
)
_LONG_OPTIONS = frozenset(
    "always-make assume-new assume-old check-symlink-times debug directory dry-run environment-overrides eval file help"
    " ignore-errors include-dir jobs just-print keep-going load-average makefile max-load new-file no-builtin-rules"
    " no-builtin-variables no-keep-going no-print-directory no-silent old-file output-sync print-data-base"
    " print-directory question quiet recon shuffle silent stop touch trace version warn-undefined-variables"
    " what-if".split()
)
# Options of one meaning: a beginning that they share is no riddle.
_SAME = {"makefile": "file", "just-print": "dry-run", "recon": "dry-run", "quiet": "silent", "max-load": "load-average"}
_NO_BUILD = frozenset("n q t v h".split())
_NO_BUILD_LONG = frozenset("just-print dry-run recon question touch version help".split())
_ALWAYS_EVALUATE = frozenset("d p".split())
_ALWAYS_EVALUATE_LONG = frozenset("debug print-data-base trace".split())


def name_of(word: str) -> str:
    """The variable that a word NAME=VALUE, NAME:=VALUE, NAME+=VALUE ... is about."""
    return word.partition("=")[0].rstrip(":+?!").strip()


def by_name(words: list[str]) -> list[str]:
    """Words for variables, in an order that says no more than make hears in theirs.

    What is said of one name stays in its order: A=1 A=2 is not A=2 A=1. Where a value is expanded at once (:= and !=),
    or the name is, it depends on all that stand before it.
    """
    if any(w.partition("=")[0][-1:] in (":", "!") or "$" in w.partition("=")[0] for w in words):
        return list(words)
    return sorted(words, key=name_of)


def without_jobs(words: list[str]) -> list[str]:
    """The words but for -j and its like: how many steps run at a time."""
    kept: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word in ("-j", "--jobs"):
            if rest and rest[0].isdecimal():
                rest.pop(0)
        elif not (word.startswith("-j") and word[2:].isdecimal()) and not word.startswith("--jobs="):
            kept.append(word)
    return kept


def _whole(name: str) -> str:
    """The long option that a word stands for: any beginning of a name will do that is no other's (getopt_long)."""
    if name in _LONG_OPTIONS:
        return name
    found = [option for option in _LONG_OPTIONS if option.startswith(name)]
    same = len(found) == 1 or (
        found and {_SAME.get(option, option) for option in found} == {_SAME.get(found[0], found[0])}
    )
    return found[0] if same else name


def _inherited(makeflags: str) -> list[str]:
    """The option words in a value of MAKEFLAGS: letters without a dash first, variables behind `--`."""
    words = makeflags.partition(" -- ")[0].split()
    if words and not words[0].startswith("-") and "=" not in words[0]:
        words[0] = "-" + words[0]
    return [word for word in words if word.startswith("-") and word != "--"]


class MakeArguments:
    """What the words after `build` say.

    goals        in the order given
    variables    NAME=VALUE words, sorted by name
    directories  arguments of -C, in order
    makefiles    arguments of -f, in order
    meaning      option words that may change what is made, in order (not: -j, -s, -k, -w, -O)
    always_make  -B
    no_build     -n, -q, -t, -v or -h: make does not build; `question` and `dry_run` say which
    evaluate     -d, -p or --trace: what make prints is wanted, so make must run
    silent       -s
    new_files    arguments of -W: what reads them is not current; old_files: of -o
    terse        -s or --no-print-directory, as scripts call it that read what make prints
    keep_going   -k or -i
    jobs         of -j, 0 where it sets no limit; `in_turn`: -O, -l: what is printed or started waits for something
    """

    def __init__(self, words: list[str], makeflags: str = "") -> None:
        """`makeflags`: the value of MAKEFLAGS in the environment, which make reads before its words."""
        self.goals: list[str] = []
        self.variables: list[str] = []
        self.directories: list[str] = []
        self.makefiles: list[str] = []
        self.meaning: list[str] = []
        self.always_make = self.no_build = self.evaluate = self.silent = self.keep_going = False
        self.question = self.dry_run = self.terse = self.in_turn = False
        self.jobs = 1
        self.new_files: list[str] = []
        self.old_files: list[str] = []
        self._words = words
        self._read(_inherited(makeflags))
        self.goals, self.variables, self.meaning = [], [], []  # of the environment, which counts as such
        self._read(words)

    def _read(self, words: list[str]) -> None:
        rest = list(words)
        only_goals = False
        while rest:
            word = rest.pop(0)
            if only_goals or not word.startswith("-") or word == "-":
                self._operand(word)
            elif word == "--":
                only_goals = True
            elif word.startswith("--"):
                self._long(word[2:], rest)
            else:
                self._short(word[1:], rest)
        self.variables = by_name(self.variables)

    def _operand(self, word: str) -> None:
        if "=" in word:
            self.variables.append(word)
        elif word:
            self.goals.append(word)

    def _long(self, word: str, rest: list[str]) -> None:
        name, equals, value = word.partition("=")
        name = _whole(name)
        if name in _LONG_TAKES_WORD and not equals:
            value = rest.pop(0) if rest else ""
        if name in ("jobs", "load-average", "max-load") and not equals and rest and rest[0][:1].isdigit():
            value = rest.pop(0)
        if name == "jobs":
            self._take_jobs(value)
        self.in_turn |= name in ("load-average", "max-load", "output-sync")
        if name == "directory":
            self.directories.append(value)
        elif name in ("file", "makefile"):
            self.makefiles.append(value)
        elif name in ("what-if", "new-file", "assume-new"):
            self._one("W", value)
        elif name in ("old-file", "assume-old"):
            self._one("o", value)
        elif name not in _QUIET_LONG and name != "always-make":
            self.meaning.append(f"--{name}={value}" if value else f"--{name}")
        self.always_make |= name == "always-make"
        self.no_build |= name in _NO_BUILD_LONG
        self.question |= name == "question"
        self.dry_run |= name in ("just-print", "dry-run", "recon")
        self.evaluate |= name in _ALWAYS_EVALUATE_LONG
        self.silent |= name in ("silent", "quiet")
        self.terse |= name in ("silent", "quiet", "no-print-directory")
        self.keep_going |= name in ("keep-going", "ignore-errors")

    def _short(self, letters: str, rest: list[str]) -> None:
        while letters:
            letter, letters = letters[0], letters[1:]
            value = ""
            if letter in _TAKES_WORD:
                value, letters = letters or (rest.pop(0) if rest else ""), ""
            elif letter in _OPTIONAL_ATTACHED:
                if letter in "jl" and not letters and rest and rest[0][:1].isdigit():
                    value = rest.pop(0)
                elif letter in "jl":
                    value, letters = letters, letters.lstrip("0123456789.")
                    value = value[: len(value) - len(letters)]
                else:
                    value, letters = letters, ""
                if letter == "j":
                    self._take_jobs(value)
            self._one(letter, value)

    def _one(self, letter: str, value: str) -> None:
        if letter == "C":
            self.directories.append(value)
        elif letter == "f":
            self.makefiles.append(value)
        elif letter in "Wo":
            (self.new_files if letter == "W" else self.old_files).append(value)
        elif letter not in _QUIET and letter != "B":
            self.meaning.append(f"-{letter}{value}")
        self.in_turn |= letter in "lO"
        self.always_make |= letter == "B"
        self.no_build |= letter in _NO_BUILD
        self.question |= letter == "q"
        self.dry_run |= letter == "n"
        self.evaluate |= letter in _ALWAYS_EVALUATE
        self.silent |= letter == "s"
        self.terse |= letter == "s"
        self.keep_going |= letter in "ki"

    def _take_jobs(self, value: str) -> None:
        self.jobs = int(value) if value.isdecimal() else 0

    def without_always_make(self) -> list[str]:
        """The words as given, but for -B."""
        kept = []
        for word in self._words:
            clustered = word[:1] == "-" and word[1:2] not in ("", "-") and not _TAKES_WORD & set(word)
            shorter = "-" + word[1:].replace("B", "") if clustered else word
            if shorter not in ("-", "--always-make"):
                kept.append(shorter)
        return kept

    def variable(self, name: str) -> str | None:
        """The value of a variable given on the command line."""
        for word in reversed(self.variables):
            if name_of(word) == name:
                return word.partition("=")[2]
        return None
