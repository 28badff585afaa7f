"""Where a generated project is built: by hashmake, by stock make, and by a clean stock make that has the last word."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from e2e import tool
from e2e.running import Running, drained
from e2e.snapshot import Entry, contents, differences

from .project import LINK, Directory, Unit, render

PATIENCE = 60
_NOT_STARTED = "make was not started"
_DATES = (0, 1, 1_000_000_000, 1_000_000_000.5, 4_000_000_000)


@dataclass(frozen=True)
class Run:
    """One run of the probe: what it was, what it took in and what it left (name and digest each)."""

    what: tuple[str, str]
    status: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Clean:
    """What a clean stock make gives, and the runs in it."""

    status: int
    contents: dict[str, Entry]
    runs: tuple[Run, ...]
    said: str


@dataclass
class Outcome:
    """One build by hashmake or make."""

    status: int
    said: str
    runs: list[Run]


class Wrong(AssertionError):
    """A build that is not as a clean one, or ran what it need not."""


def compile_probe(directory: Path) -> Path:
    """The probe, compiled."""
    probe = directory / "probe"
    source = Path(__file__).with_name("probe.c")
    subprocess.run(["cc", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-o", probe, source], check=True)
    return probe


@dataclass
class Workshop:
    """A tree with its project, and what the test knows of it.

    directories  the project; versions, comments: how often the text of a source changed, broken: sources with an error;
                 shadows: headers that hide others
    on_disk      sources as written into the tree; sources_elsewhere: ... into another checkout
    known        names that builds left: they may lie about later
    last         per probe call, the inputs of its last judged run
    soiled       probe calls that may have found, and looked at, another goal's file in the place of their output: what
                 they saw is an input for that goal, and in another goal they may run once more
    settled      the build that nothing has changed since
    """

    root: Path
    directories: dict[str, Directory]
    environment: dict[str, str]
    story: list[str] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)
    comments: dict[str, int] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    shadows: set[str] = field(default_factory=set)
    on_disk: dict[str, str] = field(default_factory=dict)
    sources_elsewhere: dict[str, str] = field(default_factory=dict)
    snapshots: list[tuple[dict[str, Directory], dict[str, int], dict[str, int]]] = field(default_factory=list)
    products: list[str] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    last: dict[tuple[str, str], list[tuple[str, ...]]] = field(default_factory=dict)
    soiled: dict[tuple[str, str], str] = field(default_factory=dict)
    settled: tuple[str, ...] | None = None
    whole: bool = False  # hashmake has built the whole project as it is now structured
    _clean: dict[tuple[object, ...], Clean] = field(default_factory=dict)

    @classmethod
    def create(
        cls, root: Path, probe: Path, python_path: str, directories: dict[str, Directory], endpoint: str = ""
    ) -> Workshop:
        """A tree with this project, never built. `endpoint`: of a server that its builds share results by."""
        for name in ("tree", "home", "bin"):
            (root / name).mkdir(parents=True)
        shutil.copy(probe, root / "bin" / "probe")
        (root / "runs.log").touch()
        environment = {"PATH": f"{root}/bin:/usr/bin:/bin", "HOME": f"{root}/home", "LC_ALL": "C"}
        if python_path:
            environment["PYTHONPATH"] = python_path
        if endpoint:
            environment |= {"HASHMAKE_REMOTE": endpoint, "HASHMAKE_REMOTE_MODE": "read-write"}
            environment |= {"HASHMAKE_REMOTE_SALT": root.name}  # others share the server
        shop = cls(root, directories, environment)
        shop.sync("write")
        return shop

    @property
    def tree(self) -> Path:
        """Where everything is built."""
        return self.root / "tree"

    # -- sources --------------------------------------------------------------------------------------------------

    def sources(self) -> dict[str, str]:
        """Every source of the project as it should be now."""
        texts, self.products = render(self.directories)
        texts.update({path: f"shadow {path}\n" for path in self.shadows})
        return {path: self._text(path, text) for path, text in texts.items()}

    def _text(self, path: str, text: str) -> str:
        if text.startswith(LINK):
            return text
        mark = "# " if path.endswith("Makefile") else "// "
        if path in self.broken:
            text += "#error\n"
        if path in self.versions and not path.endswith("Makefile"):
            text += f"version {self.versions[path]}\n"
        return text + (f"{mark}{self.comments[path]}\n" if path in self.comments else "")

    def sync(self, style: str) -> None:
        """Bring the tree's sources up to date. `style`: write, rename, or keep-date."""
        wanted = self.sources()
        for path in self.on_disk.keys() - wanted.keys():
            _remove(self.tree / path)
            self.known.discard(path)
        for path, text in wanted.items():
            if self.on_disk.get(path) != text:
                _put(self.tree / path, text, style)
                self.settled = None
        if self.on_disk.keys() != wanted.keys():
            self.settled = None
        self.on_disk = wanted

    # -- building -------------------------------------------------------------------------------------------------

    def build(self, words: tuple[str, ...], variables: dict[str, str], jobs: int, fault: str = "") -> None:
        """Build with hashmake, and judge."""
        before = contents(self.tree)
        outcome = self._run(tool.build_command(), (f"-j{jobs}", *words), variables, fault)
        if fault and not (self.root / "fault").exists():
            self.known |= contents(self.tree).keys()
            self.settled = None
            return
        (self.root / "fault").unlink(missing_ok=True)
        clean = self.clean(words, variables)
        self._judge_result(words, outcome, clean)
        if "clean" in words:
            self._judge_clean(outcome)
            self.settled = None
            return
        self._judge_runs(words, outcome, clean, before)
        again = (*words, *(f"{name}={value}" for name, value in variables.items()))
        if clean.status == 0:
            made = {name for name, entry in clean.contents.items() if entry.kind != "directory"} - self.on_disk.keys()
            quiet = "-s" in words
            if self.settled == again and made and not quiet and _NOT_STARTED not in outcome.said:
                raise Wrong(self._tell(outcome, "nothing changed, and make was started"))
            self.settled = again
            self.whole = self.whole or not words or words[0] == "all"

    def build_elsewhere(self, words: tuple[str, ...], variables: dict[str, str], jobs: int, afresh: bool) -> None:
        """Build another checkout of the sources; judge what is there. `afresh`: a new one.

        It shares the store, or, where there is a server, that: then it is another machine.
        """
        there = self.root / "else" / "where"
        if afresh or not there.exists():
            shutil.rmtree(there, ignore_errors=True)
            self.sources_elsewhere = {}
        for path in self.sources_elsewhere.keys() - self.on_disk.keys():
            _remove(there / path)
        there.mkdir(parents=True, exist_ok=True)
        for path, text in self.on_disk.items():
            if self.sources_elsewhere.get(path) != text:
                _put(there / path, text, "rename")
        self.sources_elsewhere = dict(self.on_disk)
        outcome = self._run(tool.build_command(), (f"-j{jobs}", *words), variables, "", where=there)
        built, kept = contents(there), there.with_name("kept")
        there.rename(kept)
        try:
            for path, text in self.on_disk.items():
                _put(there / path, text, "write")
            clean = self._run(["make"], words, variables, "", where=there)
            expected = contents(there)
        finally:
            shutil.rmtree(there)
            kept.rename(there)
        if (outcome.status == 0) != (clean.status == 0):
            raise Wrong(self._tell(outcome, f"elsewhere, a clean make ends in {clean.status}\n{clean.said}"))
        lie_about = () if afresh else tuple(built.keys() - self.on_disk.keys() - expected.keys())
        wrong = differences(built, expected, lie_about) if clean.status == 0 and "clean" not in words else []
        if wrong:
            raise Wrong(
                self._tell(outcome, *(f"elsewhere, not as in a clean build: {difference}" for difference in wrong))
            )

    def make(self, words: tuple[str, ...], variables: dict[str, str]) -> None:
        """Build with stock make in the same tree, whatever comes out."""
        # It may turn for ever around an included makefile whose source lies in the future.
        self._run(["make"], words, variables, "", patience=3)
        self.known |= contents(self.tree).keys()
        self.settled = None

    def _run(
        self,
        command: list[str],
        words: tuple[str, ...],
        variables: dict[str, str],
        fault: str,
        patience: float = PATIENCE,
        where: Path | None = None,
    ) -> Outcome:
        where = where or self.tree
        log = self.root / "runs.log"
        begin = log.stat().st_size
        if fault:
            (self.root / "fault").write_text(f"{begin} {fault}\n")
        environment = {**self.environment, **{k: v for k, v in variables.items() if k == "FLAVOUR"}}
        if where != self.tree and "HASHMAKE_REMOTE" in environment:
            environment["HASHMAKE_STORE"] = str(self.root / "store-of-another-machine")
        given = [f"{name}={value}" for name, value in variables.items() if name != "FLAVOUR"]
        running = Running.start([*command, *words, *given], where, environment, 0o022)
        session = running.session
        status, out, err = running.finish(patience)
        said = f"$ {' '.join([*command, *words, *given])}\nstatus {status}\n{out}{err}"
        if not drained(session, 20) or (status == -999 and patience == PATIENCE):
            raise Wrong(self._tell(Outcome(status, said, []), "it hangs"))
        if "internal error" in said or "Traceback" in said:
            raise Wrong(self._tell(Outcome(status, said, []), "an error of our own"))
        with log.open() as lines:
            lines.seek(begin)
            runs = [_run(line, where) for line in lines if line.startswith("E\t")]
        return Outcome(status, said, runs)

    def clean(self, words: tuple[str, ...], variables: dict[str, str]) -> Clean:
        """What a clean stock make of the same sources gives at the same path."""
        key = (tuple(sorted(self.on_disk.items())), words, tuple(sorted(variables.items())))
        if key not in self._clean:
            kept = self.root / "kept"
            self.tree.rename(kept)
            try:
                self.tree.mkdir()
                for path, text in self.on_disk.items():
                    _put(self.tree / path, text, "write")
                outcome = self._run(["make"], words, variables, "")
                self._clean[key] = Clean(outcome.status, contents(self.tree), tuple(outcome.runs), outcome.said)
            finally:
                shutil.rmtree(self.tree)
                kept.rename(self.tree)
        return self._clean[key]

    # -- judging --------------------------------------------------------------------------------------------------

    def _judge_result(self, words: tuple[str, ...], outcome: Outcome, clean: Clean) -> None:
        if (outcome.status == 0) != (clean.status == 0):
            raise Wrong(self._tell(outcome, f"a clean make ends in {clean.status}\n{clean.said}"))
        built = contents(self.tree)
        if clean.status == 0 and "clean" not in words:
            self.known |= clean.contents.keys()
            wrong = differences(built, clean.contents, tuple(self.known - self.on_disk.keys()))
            if wrong:
                raise Wrong(self._tell(outcome, *(f"not as in a clean build: {difference}" for difference in wrong)))
        else:
            self.known |= built.keys()

    def _judge_clean(self, outcome: Outcome) -> None:
        left = [path for path in self.products if os.path.lexists(self.tree / path)]
        if outcome.status == 0 and left:
            raise Wrong(self._tell(outcome, f"make clean left {left}"))

    def _judge_runs(self, words: tuple[str, ...], outcome: Outcome, clean: Clean, before: dict[str, Entry]) -> None:
        goal = words[-1] if words else ""
        if clean.status == 0:
            needed = self._needed(clean, before) | {what for what, whose in self.soiled.items() if whose != goal}
            wanton = [run.what for run in outcome.runs if run.what not in needed]
            if wanton:
                raise Wrong(self._tell(outcome, *(f"ran with nothing changed: {what}" for what in wanton)))
            judged: list[Run] = list(clean.runs)
        else:
            judged = [run for run in outcome.runs if run.status == 0]
        for run in outcome.runs:
            if any(_name(output) in before for output in run.outputs):
                self.soiled[run.what] = goal
            else:
                self.soiled.pop(run.what, None)
        for what in {run.what for run in judged}:
            self.last[what] = [run.inputs for run in judged if run.what == what]

    def _needed(self, clean: Clean, before: dict[str, Entry]) -> set[tuple[str, str]]:
        """The minimal set: what has other inputs than last time or an altered product, and whose versions those need.

        `before`: the tree as the build found it.
        """
        now: dict[tuple[str, str], list[tuple[str, ...]]] = {}
        writers: dict[str, set[tuple[str, str]]] = {}
        final: dict[str, str] = {}
        for run in clean.runs:
            now.setdefault(run.what, []).append(run.inputs)
            for output in run.outputs:
                writers.setdefault(_name(output), set()).add(run.what)
                final[_name(output)] = output
        needed = {what for what, inputs in now.items() if self.last.get(what) != inputs}
        for path, who in writers.items():
            if before.get(path) != clean.contents.get(path):
                needed |= who
        size = -1
        while size != len(needed):
            size = len(needed)
            for run in clean.runs:
                if run.what in needed:
                    paths = {_name(output) for output in run.outputs}
                    # An input that a later step changes, or make takes away: the version in between is made again.
                    # (Of a link: where it led; a space, then the digest of what lay there.)
                    inputs = {_name(pair): pair.partition(" ")[0] for pair in run.inputs}
                    paths |= {
                        p for p, was in inputs.items() if p in final and (was != final[p] or p not in clean.contents)
                    }
                    needed.update(*(who for path, who in writers.items() for p in paths if _lies_in(path, p)))
        return needed

    def _tell(self, outcome: Outcome, *judgements: str) -> str:
        ran = [f"  {where or '.'}: {command}" for where, command in (run.what for run in outcome.runs)]
        history = [f"  {at}. {event}" for at, event in enumerate(self.story, 1)]
        return "\n".join([*judgements, "story:", *history, outcome.said, "ran:", *ran])

    # -- what happens to the tree -----------------------------------------------------------------------------------

    def scramble(self, seed: int) -> None:
        """Give every file a date: far past, far future, equal, with and without a fraction of a second."""
        chance = random.Random(seed)
        equal = seed % 3 == 0
        for where, directories, files in os.walk(self.tree, topdown=False):
            for name in directories + files:
                date = _DATES[2] if equal else chance.choice((*_DATES, time.time(), time.time() + 86400))
                os.utime(os.path.join(where, name), (date, date), follow_symlinks=False)


def _run(line: str, tree: Path) -> Run:
    _, where, command, *pairs = line.rstrip("\n").split("\t")
    place = os.path.relpath(where, tree)
    values: dict[str, list[str]] = {"i": [], "l": [], "e": [], "o": [], "s": []}
    for pair in pairs:
        kind, rest = pair[0], pair[1:]
        if kind in "io":
            name, _, value = rest.partition("=")
            rest = f"{os.path.normpath(os.path.join(place, name))}={value}"
        elif kind == "l":
            rest = "/".join(sorted(rest.split("/")))
        values[kind].append(rest)
    inputs = (*values["i"], *(f"list {text}" for text in values["l"]), *(f"${text}" for text in values["e"]))
    return Run((place, command), int(values["s"][0].lstrip("=")), inputs, tuple(values["o"]))


def _name(pair: str) -> str:
    return pair.partition("=")[0]


def _lies_in(path: str, place: str) -> bool:
    return (path + "/").startswith(place + "/")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()
    try:
        path.parent.rmdir()
    except OSError:
        pass  # other files lie there


def _put(path: Path, text: str, style: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if text.startswith(LINK):
        path.unlink(missing_ok=True)
        path.symlink_to(text.removeprefix(LINK))
        return
    if path.is_symlink() or path.is_dir():
        _remove(path)
        path.parent.mkdir(parents=True, exist_ok=True)
    before = path.stat() if path.exists() else None
    if style == "rename":
        path.with_name(path.name + ".edited").write_text(text)
        path.with_name(path.name + ".edited").rename(path)
    else:
        path.write_text(text)
    if style == "keep-date" and before is not None:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def fresh_unit(kind: str, number: int, variant: int, uses: int) -> Unit:
    """A unit with a name of its own."""
    return Unit(kind, f"u{number}", variant, uses)
