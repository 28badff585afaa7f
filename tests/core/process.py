"""What the processes of a step do, and what the interposer tells of it (events.h)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from fakes import Files, Node, at

from hashmake.model import letters

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.makefile import Step
    from hashmake.judge.engine import Engine
    from hashmake.judge.running import Running


class Failed(Exception):
    """The step ends with status 2."""


class Surroundings(Protocol):
    """What a process sees of the world."""

    files: Files
    engine: Engine
    env: dict[str, str]
    traces: dict[int, list[bytes]]
    view: dict[bytes, str]
    during: dict[str, Callable[[], None]]

    def want(self, running: Running, path: bytes) -> None: ...


class Process:
    """See the module's text. Sees the clean view: products that this build has not made yet are not there for it."""

    def __init__(self, world: Surroundings, running: Running) -> None:
        self._world = world
        self._running = running
        self._files = world.files
        self._records = world.traces[running.number]

    def say(self, letter: bytes, what: bytes) -> None:
        """One record."""
        self._records.append(letter + what)

    def do(self, step: Step) -> str:
        """All that a line says; what comes out. Raises Failed."""
        self.read("/bin/sh")
        seen = [getattr(self, verb)(*operand.split(",")) for verb, operand in step.does]
        if step.name in self._world.during:
            self._world.during.pop(step.name)()
        text = " ".join(text for text in seen if text is not None)
        for out in step.outs:
            self._write(at(out.removesuffix("+")), f"{out}({text})", out.endswith("+"))
        return text

    def _hidden(self, path: bytes) -> bool:
        return self._world.view.get(path) == "hidden"

    def _seen(self, path: bytes, letter: bytes, behind: bool = True) -> Node | None:
        """A look at a path, which is told."""
        if self._world.view.get(path) == "ahead":
            if letter == letters.LOOK:
                self.say(letter, path)  # make sees what is due, whatever lies there
                return Node("F", "", 0)
            self._world.want(self._running, path)
        node = self._files.behind(path) if behind else self._files.nodes.get(path)
        if self._hidden(path) or node is None:
            self.say(letters.ABSENT, path)
            return None
        self.say(letter, path)
        return node

    def _write(self, path: bytes, text: str, append: bool = False) -> None:
        if append and self._world.view.get(path) == "ahead":
            self._world.want(self._running, path)
        old = self._files.nodes.get(path)
        if old is not None and self._hidden(path):
            self._files.remove(path)
            old = None
        if append and old is not None:
            self.say(letters.READ, path)
        self._before(path)
        self._wrote(path)
        self._files.write(path, old.text + text if append and old is not None else text)

    def _before(self, path: bytes) -> None:
        if path not in self._world.view and path in self._files.nodes:
            self._world.engine.intake.about_to_change(self._running.number, path)

    def _wrote(self, path: bytes, letter: bytes = letters.WRITE) -> None:
        self.say(letter, path)
        if path in self._world.view:
            self._world.view[path] = "live"

    # -- the words of a makefile -----------------------------------------------------------------------------------

    def read(self, name: str) -> str:
        node = self._seen(at(name), letters.READ)
        if node is None:
            raise Failed
        return node.text

    def look(self, name: str) -> str | None:
        """Of make: that it is there. Of a step: `?name`."""
        make = self._running.account.make
        node = self._seen(at(name), letters.LOOK if make else letters.READ)
        return None if node is None else node.text

    def first(self, name: str) -> str:
        return (self.read(name) + " ").split(" ")[0]

    def getenv(self, name: str) -> str:
        self.say(letters.GETENV, name.encode())
        return self._world.env.get(name, "unset")

    def which(self, name: str) -> str:
        for directory in self._world.env["PATH"].split(":"):
            node = self._files.behind(f"{directory}/{name}".encode())
            if node is not None and node.executable:
                return self.read(f"{directory}/{name}")
            self.say(letters.ABSENT, f"{directory}/{name}".encode())
        raise Failed

    def ls(self, name: str) -> str:
        directory = at(name).removesuffix(b"/.")
        self.say(letters.LIST, directory)
        names = []
        for path in sorted(self._files.nodes):
            if path.rpartition(b"/")[0] == directory and not self._hidden(path):
                self.say(letters.ENTRY, path)
                names.append(path.rpartition(b"/")[2].decode())
        self.say(letters.LISTED, directory)
        return " ".join(names)

    def stat(self, name: str) -> str:
        node = self._seen(at(name), letters.STAT)
        return "none" if node is None else f"{node.executable} {len(node.text)}"

    def access(self, name: str) -> str:
        node = self._seen(at(name), letters.ACCESS)
        return "none" if node is None else f"{node.executable}"

    def readlink(self, name: str) -> str:
        node = self._seen(at(name), letters.LSTAT, behind=False)
        return "none" if node is None else f"{node.kind} {node.text if node.kind == 'L' else len(node.text)}"

    def host(self, name: str) -> str:
        self.say(letters.HOST, name.encode())
        return name

    def rm(self, name: str) -> None:
        if self._seen(at(name), letters.LSTAT, behind=False) is not None:
            self._before(at(name))
            self._files.remove(at(name))
            self._wrote(at(name), letters.REMOVE)

    def touch(self, name: str) -> None:
        self._files.touch(at(name))
        self.say(letters.TOUCH, at(name))

    def chmod(self, name: str) -> None:
        """Takes the right to write away."""
        if self._seen(at(name), letters.STAT) is None:
            raise Failed
        self._before(at(name))
        self._files.chmod(at(name), "r--")
        self._wrote(at(name), letters.CHMOD)

    def mkdir(self, name: str) -> None:
        if at(name) in self._files.nodes and not self._hidden(at(name)):
            self.say(letters.LOOK if self._running.account.make else letters.STAT, at(name))
            return
        self.say(letters.ABSENT, at(name))
        self._wrote(at(name))
        self._files.mkdir(at(name))

    def tmp(self, name: str) -> None:
        """Makes a file, and takes it away."""
        self._write(at(name), "temporary")
        self._files.remove(at(name))
        self._wrote(at(name), letters.REMOVE)

    def mv(self, old: str, new: str) -> None:
        self.read(old)
        self._before(at(new))
        self._files.rename(at(old), at(new))
        self._wrote(at(old), letters.REMOVE)
        self._wrote(at(new))

    def mvdir(self, old: str, new: str) -> None:
        self._files.rename(at(old), at(new))
        self.say(letters.MOVEDIR, at(old))
        self.say(letters.MOVEDIR_TO, at(new))

    def ln(self, old: str, new: str) -> None:
        self.read(old)
        self.say(letters.ABSENT, at(new))
        self._files.link(at(old), at(new))
        self._wrote(at(new))

    def symlink(self, target: str, name: str) -> None:
        self._files.symlink(target, at(name))
        self._wrote(at(name))

    def unseen(self, why: str) -> None:
        self.say(letters.UNSEEN, why.encode())

    def fail(self, _nothing: str) -> None:
        raise Failed
