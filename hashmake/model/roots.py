"""Paths and texts of one tree, said in a way that means the same in another tree: relative to its roots.

The roots are the directory where make runs and the one where products go. Pure.
"""

import re

# What stands for a root: no path begins so.
_SOURCE, _OUTPUT = b"\3S\3", b"\3O\3"
ROOTS = (_SOURCE, _OUTPUT)
_BOTH = b"\3B\3"  # a path outside that lies beside the roots, or above them: by its own name and relative to a root
_BETWEEN = b"\3=\3"
# Where programs and headers of the system lie: it does not matter that a tree may lie there, too.
_SYSTEM = tuple(
    b"/usr/bin/ /usr/sbin/ /usr/lib/ /usr/lib32/ /usr/lib64/ /usr/libx32/ /usr/libexec/ /usr/include/ /usr/share/"
    b" /usr/local/ /bin/ /sbin/ /lib/ /lib32/ /lib64/ /libx32/ /etc/ /proc/ /sys/ /dev/ /run/".split()
)


class Roots:
    """See the module's text. `usable`: something can be told apart by them."""

    def __init__(self, source: bytes, output: bytes, search: bytes = b"") -> None:
        """`search`: the PATH with which the build was started: who finds a tool there does not start from the tree."""
        roots = {_OUTPUT: output, _SOURCE: source} if output != source else {_SOURCE: source}
        self._roots = sorted(roots.items(), key=lambda each: len(each[1]), reverse=True)  # the inner one first
        self.usable = b"/" not in roots.values()
        self._base = source
        self._system = (*_SYSTEM, *_tools(search, tuple(roots.values())))
        self._patterns = [(mark, root, re.compile(re.escape(root) + rb"(?![\w.+-])")) for mark, root in self._roots]

    @property
    def names(self) -> list[bytes]:
        """The roots themselves."""
        return [root for _mark, root in self._roots]

    def directories(self) -> set[bytes]:
        """The roots, and all directories in which they lie but the top."""
        found = set(self.names)
        for name in self.names:
            while name := name.rpartition(b"/")[0]:
                found.add(name)
        return found

    def above(self, path: bytes) -> bool:
        """Whether a root lies below this path."""
        return any(root.startswith(path + b"/") for _mark, root in self._roots)

    def path_in(self, path: bytes) -> bytes:
        """A path as all trees say it."""
        for mark, root in self._roots:
            if path == root or path.startswith(root + b"/"):
                return mark + path[len(root) :]
        if path[:1] != b"/" or path.startswith(self._system):
            return path
        relative = self._beside(path)
        return path if relative is None else _BOTH + path + _BETWEEN + relative

    def _beside(self, path: bytes) -> bytes | None:
        """How to get there from where make runs; None where nothing but the top is common to both."""
        here, there = self._base.split(b"/")[1:], path.split(b"/")[1:]
        common = 0
        while common < min(len(here), len(there)) and here[common] == there[common]:
            common += 1
        return b"/".join([b".."] * (len(here) - common) + there[common:]) if common else None

    def path_out(self, said: bytes) -> list[bytes]:
        """The paths of this tree that are meant, one or two; none where there is no such place here."""
        for mark, root in self._roots:
            if said.startswith(mark):
                return [root + said[len(mark) :]]
        if not said.startswith(b"\3"):
            return [said]
        path, between, relative = said.removeprefix(_BOTH).partition(_BETWEEN)
        if not said.startswith(_BOTH) or not between:
            return []
        here = self._base.split(b"/")[1:]
        steps = relative.split(b"/")
        up = sum(step == b".." for step in steps)
        if up > len(here):
            return []
        beside = b"/" + b"/".join(here[: len(here) - up] + steps[up:])
        return [path] if beside == path else [path, beside]

    def text_in(self, text: bytes) -> bytes:
        """A text in which the roots are named, as all trees say it."""
        for mark, root, pattern in self._patterns:
            if root in text:
                text = pattern.sub(mark, text)
        return text

    def text_out(self, said: bytes) -> bytes:
        """The inverse of text_in."""
        if b"\3" in said:
            for mark, root in self._roots:
                said = said.replace(mark, root)
        return said


def _tools(search: bytes, roots: tuple[bytes, ...]) -> list[bytes]:
    """Directories of programs, and of what lies beside them (bin, lib, include), but none in which a root lies."""
    found = []
    for directory in search.split(b":"):
        if directory[:1] == b"/" and b"/." not in directory:
            parent, _, name = directory.rstrip(b"/").rpartition(b"/")
            candidates = (parent + b"/", directory + b"/") if name in (b"bin", b"sbin") else (directory + b"/",)
            found += [d for d in candidates if len(d) > 1 and not any((root + b"/").startswith(d) for root in roots)]
    return found
