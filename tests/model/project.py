"""A generated make project as a value: directories with units, and what each renders to.

A unit is one idiom of real makefiles with its sources: an object with a depfile, a step that appends, one that changes
a file in place, a generated makefile... Every recipe line calls `probe` (probe.c), so that what ran, and on what, is
known to the test whatever the build tool says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

HEADERS = ("h0.h", "h1.h", "h2.h")
GOALS = ("all", "lib.txt", "extra", "sub", "clean")
LINK = "-> "  # a source that is a symbolic link: this and its target


@dataclass(frozen=True)
class Unit:
    """One idiom. `variant`: which form of it (bits; each kind says what they mean); `uses`: headers (bits)."""

    kind: str
    name: str
    variant: int = 0
    uses: int = 0


@dataclass
class Part:
    """What a unit adds to its directory's makefile.

    rules     text
    sources   path in the directory -> text (or LINK + target)
    wanted    products that the directory's first goal asks for
    objects   products that go into lib.txt
    headers   generated headers: there before anything is compiled
    products  every path that its rules may leave, for `make clean`
    """

    rules: str = ""
    sources: dict[str, str] = field(default_factory=dict)
    wanted: list[str] = field(default_factory=list)
    objects: list[str] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    products: list[str] = field(default_factory=list)


@dataclass
class Directory:
    """A directory with a makefile. `pattern`: objects are made by a pattern rule where they can be."""

    units: list[Unit] = field(default_factory=list)
    pattern: bool = False


def render(directories: dict[str, Directory]) -> tuple[dict[str, str], list[str]]:
    """All sources (path -> text) of a project, and the products that `make clean` removes.

    `directories`: "" is the top one, the others are called by it.
    """
    sources: dict[str, str] = {}
    products: list[str] = []
    for name in HEADERS:
        sources["include/" + name] = f"{name}\n"
    subs = [name for name in directories if name]
    for place, directory in directories.items():
        prefix = place + "/" if place else ""
        parts = [KINDS[unit.kind](unit) for unit in directory.units]
        own = [product for part in parts for product in part.products] + ["lib.txt"]
        if not place:
            own += ["prog", "extra.txt"]
        sources[prefix + "Makefile"] = _makefile(place, directory, parts, subs if not place else [], own)
        products += [prefix + product for product in own]
        for part in parts:
            sources.update({prefix + path: text for path, text in part.sources.items()})
    return sources, products


def _makefile(place: str, directory: Directory, parts: list[Part], subs: list[str], products: list[str]) -> str:
    wanted = [product for part in parts for product in part.wanted]
    objects = [product for part in parts for product in part.objects]
    headers = [product for part in parts for product in part.headers]
    libs = " ".join(["lib.txt", *(f"{sub}/lib.txt" for sub in subs)])
    text = f"TOP := {'..' if place else '.'}\nMODE ?= plain\nexport FLAVOUR ?= none\n"
    text += "CC = probe cc -I . -I $(TOP)/include\nPARTS = $(filter-out Makefile,$^)\n"
    text += f"all: {' '.join([*wanted, 'lib.txt', *(['prog'] if not place else [])])}\n"
    text += "FORCE:\n.PHONY: all extra clean sub FORCE\n"
    if objects and headers:
        text += f"{' '.join(objects)}: | {' '.join(headers)}\n"
    text += f"lib.txt: {' '.join(objects)} Makefile\n"
    text += "\tprobe $(addprefix -i ,$(PARTS)) -o $@ -- sh -c 'cat $(PARTS) /dev/null > $@'\n"
    if not place:
        # Headers that sub-makes' sources may include lie in their own directories: the order between them is free.
        text += f"prog: lib.txt {'sub' if subs else ''}\n"
        text += f"\tprobe {_each('-i', libs)} -o $@ -- sh -c 'cat {libs} > $@; echo mode $(MODE) >> $@'\n"
        text += f"sub:\n{''.join(f'	$(MAKE) -C {sub} all{chr(10)}' for sub in subs)}"
        text += "extra: lib.txt\n\tprobe -i lib.txt -o extra.txt -- sh -c 'sed s/^/x/ lib.txt > extra.txt'\n"
    else:
        text += "extra: all\nsub:\n"
    if directory.pattern:
        text += "PATTERN := yes\n%.o: %.c\n\t$(CC) -MD $*.d -o $@ $<\n"
    text += "".join(part.rules for part in parts)
    text += f"clean:\n\tprobe {_each('-i', ' '.join(products))} -- rm -rf {' '.join(products)}\n"
    return text + "".join(f"\t$(MAKE) -C {sub} clean\n" for sub in subs)


def _each(option: str, words: str) -> str:
    return " ".join(f"{option} {word}" for word in words.split())


def _includes(uses: int) -> str:
    return "".join(f'#include "{name}"\n' for at, name in enumerate(HEADERS) if uses >> at & 1)


# ---- the idioms ----------------------------------------------------------------------------------------------------


def _object(unit: Unit) -> Part:
    """A compilation. Bits: 1 depfile included, 2 a second line changes it in place, 4 a line appends to its log,
    8 left to the pattern rule (if there is one), 16 reads $FLAVOUR, 32 takes $(MODE) as a word.
    """
    n = unit.name
    source = f"{n}\n{_includes(unit.uses)}" + ("#env FLAVOUR\n" if unit.variant & 16 else "")
    part = Part(sources={f"{n}.c": source}, objects=[f"{n}.o"], products=[f"{n}.o"])
    rules = f"{n}.o: {n}.c\n" if not unit.variant & 8 else ""
    if rules:
        depfile = f"-MD {n}.d " if unit.variant & 1 else ""
        rules += f"\t$(CC) {depfile}{'-D $(MODE) ' if unit.variant & 32 else ''}-o $@ $<\n"
        if unit.variant & 2:
            rules += "\tprobe -i $@ -o $@ -- sed -i s/^/+/ $@\n"
        if unit.variant & 4:
            rules += f"\tprobe -i $@ -i {n}.log -o {n}.log -- sh -c 'cat $@ >> {n}.log'\n"
            part.products.append(f"{n}.log")
    else:
        # Where the directory has no pattern rule the explicit one is its equal.
        rules = f"ifndef PATTERN\n{n}.o: {n}.c\n\t$(CC) -MD {n}.d -o $@ $<\nendif\n"
    if unit.variant & 9:
        part.products.append(f"{n}.d")
        rules += f"-include {n}.d\n"
    part.rules = rules
    return part


def _header(unit: Unit) -> Part:
    """A generated header, used by an object of its own. Bits: 1 written only when it differs, 2 by two steps."""
    n = unit.name
    part = Part(
        sources={f"{n}.in": f"{n}\n", f"{n}u.c": f'use {n}\n#include "{n}.h"\n{_includes(unit.uses)}'},
        headers=[f"{n}.h"],
        objects=[f"{n}u.o"],
        products=[f"{n}.h", f"{n}u.o"],
    )
    if unit.variant & 1:
        part.rules = (
            f"{n}.h: {n}.in FORCE\n\tprobe -i {n}.in -i $@ -o $@ -- sh -c"
            f" 'grep -v ^// {n}.in > $@.tmp; if cmp -s $@.tmp $@; then rm -f $@.tmp; else mv -f $@.tmp $@; fi'\n"
        )
    elif unit.variant & 2:
        part.rules = (
            f"{n}.h: {n}.in\n\tprobe -i $< -o $@ -- sh -c 'head -n 1 $< > $@'\n"
            f"\tprobe -i $< -i $@ -o $@ -- sh -c 'tail -n +2 $< >> $@'\n"
        )
    else:
        part.rules = f"{n}.h: {n}.in\n\tprobe -i $< -o $@ -- cp $< $@\n"
    part.rules += f"{n}u.o: {n}u.c {n}.h\n\t$(CC) -o $@ $<\n"
    return part


def _multiple(unit: Unit) -> Part:
    """One step, two products. Bits: 1 grouped targets (else a pattern rule)."""
    n = unit.name
    target = f"{n}.x {n}.y &:" if unit.variant & 1 else f"{n}%x {n}%y:"
    rules = (
        f"{target} {n}.in\n\tprobe -i {n}.in -o {n}.x -o {n}.y -- sh -c"
        f" 'head -n 1 {n}.in > {n}.x; tail -n 1 {n}.in > {n}.y'\n"
    )
    products = [f"{n}.x", f"{n}.y"]
    return Part(rules, {f"{n}.in": f"{n}\nbody\n"}, wanted=[f"{n}.y"], objects=[f"{n}.x"], products=products)


def _log(unit: Unit) -> Part:
    """Rules that append to one file, in the order of their prerequisites. Bits: 1 three writers, 2 mentioned again."""
    n = unit.name
    rules = f"{n}.log: {n}a.in\n\tprobe -i $< -o $@ -- sh -c 'cat $< > $@'\n"
    rules += f"\tprobe -i {n}b.in -i $@ -o $@ -- sh -c 'cat {n}b.in >> $@'\n"
    if unit.variant & 1:
        rules += "\tprobe -i $@ -o $@ -- sh -c 'wc -c < $@ > $@.n; cat $@.n >> $@; rm $@.n'\n"
    wanted = [f"{n}.log"]
    products = [f"{n}.log"]
    if unit.variant & 2:
        rules += (
            f"{n}.more: {n}.log\n\tprobe -i $< -o $< -- sh -c 'echo more >> $<'\n"
            f"\tprobe -i $< -o $@ -- sh -c 'cat $< > $@'\n"
        )
        wanted, products = [f"{n}.more"], [f"{n}.log", f"{n}.more"]
    return Part(rules, {f"{n}a.in": "a\n", f"{n}b.in": "b\n"}, wanted=wanted, products=products)


def _shell(unit: Unit) -> Part:
    """$(shell) whose answer goes into a command. Bits: 1 asked for at each use (=), not once (:=)."""
    n = unit.name
    sign = "=" if unit.variant & 1 else ":="
    rules = (
        f"{n}_V {sign} $(shell probe -i {n}.version -- grep -v '^//' {n}.version)\n"
        f"{n}.v: {n}.in\n\tprobe -i $< -o $@ -- sh -c 'echo $({n}_V) > $@; cat $< >> $@'\n"
    )
    return Part(rules, {f"{n}.version": f"{n}\n", f"{n}.in": "in\n"}, objects=[f"{n}.v"], products=[f"{n}.v"])


def _link(unit: Unit) -> Part:
    """A step makes a symbolic link, another reads through it. Bits: 1 relative path upwards, 2 to a product."""
    n = unit.name
    target = f"{n}.copy" if unit.variant & 2 else f"{n}.in"
    rules = f"{n}.lnk: {target}\n\tprobe -o $@ -- ln -sf {'./' if unit.variant & 1 else ''}{target} $@\n"
    rules += f"{n}.thru: {n}.lnk\n\tprobe -i $< -o $@ -- cp $< $@\n"
    products = [f"{n}.lnk", f"{n}.thru"]
    if unit.variant & 2:
        rules += f"{n}.copy: {n}.in\n\tprobe -i $< -o $@ -- cp $< $@\n"
        products.append(f"{n}.copy")
    return Part(rules, {f"{n}.in": f"{n}\n"}, wanted=[f"{n}.thru"], products=products)


def _glob(unit: Unit) -> Part:
    """All files of a kind: new ones come and old ones go. Bits: 1 make's wildcard (else the shell's glob)."""
    n = unit.name
    sources = {f"{n}.dir/{letter}.t": f"{letter}\n" for at, letter in enumerate("abcd") if unit.uses >> at & 1}
    sources[f"{n}.dir/note"] = "keeps the directory\n"
    if unit.variant & 1:
        rules = (
            f"{n}.all: $(sort $(wildcard {n}.dir/*.t))\n"
            "\tprobe $(addprefix -i ,$^) -o $@ -- sh -c 'cat $^ /dev/null > $@'\n"
        )
    else:
        rules = f"{n}.all: FORCE\n\tprobe -l {n}.dir -i {n}.dir/a.t -i {n}.dir/b.t -i {n}.dir/c.t -i {n}.dir/d.t"
        rules += f" -o $@ -- sh -c 'cat {n}.dir/*.t > $@ 2>/dev/null || :'\n"
    return Part(rules, sources, wanted=[f"{n}.all"], products=[f"{n}.all"])


def _order(unit: Unit) -> Part:
    """Products in a directory that a step makes. Bits: 1 two deep; 2 the directory is wiped and filled again."""
    n = unit.name
    place = f"{n}.obj/deep" if unit.variant & 1 else f"{n}.obj"
    if unit.variant & 2:
        rules = (
            f"{n}.done: {n}.in\n\tprobe -o {place} -- sh -c 'rm -rf {n}.obj; mkdir -p {place}'\n"
            f"\tprobe -i $< -o {place}/one -- cp $< {place}/one\n"
            f"\tprobe -l {place} -o $@ -- sh -c 'ls {place} > $@'\n"
        )
        wanted = [f"{n}.done"]
    else:
        rules = (
            f"{place}:\n\tprobe -o $@ -- mkdir -p $@\n{place}/one: {n}.in | {place}\n\tprobe -i $< -o $@ -- cp $< $@\n"
        )
        wanted = [f"{place}/one"]
    return Part(rules, {f"{n}.in": f"{n}\n"}, wanted=wanted, products=[f"{n}.obj", f"{n}.done"])


def _stamp(unit: Unit) -> Part:
    """An empty file whose time is the message. Bits: 1 the stamp is made as a side effect of something real."""
    n = unit.name
    side = f"\tprobe -i $< -o {n}.real -- cp $< {n}.real\n" if unit.variant & 1 else ""
    rules = f"{n}.stamp: {n}.in\n{side}\tprobe -o $@ -- touch $@\n"
    rules += f"{n}.use: {n}.stamp\n\tprobe -i {n}.in -o $@ -- cp {n}.in $@\n"
    products = [f"{n}.stamp", f"{n}.use", *([f"{n}.real"] if side else [])]
    return Part(rules, {f"{n}.in": f"{n}\n"}, wanted=[f"{n}.use"], products=products)


def _chain(unit: Unit) -> Part:
    """Implicit rules through a file that make takes away again. Bits: 1 it is kept, 2 two steps make it."""
    n = unit.name
    rules = (
        f"{n}%3: {n}%2\n\tprobe -i $< -o $@ -- sh -c 'sed s/^/3/ $< > $@'\n"
        f"{n}%2: {n}%1\n\tprobe -i $< -o $@ -- sh -c 'sed s/^/2/ $< > $@'\n"
    )
    if unit.variant & 2:
        rules += "\tprobe -i $@ -o $@ -- sh -c 'echo end >> $@'\n"
    if unit.variant & 1:
        rules += f".SECONDARY: {n}.p2\n"
    return Part(rules, {f"{n}.p1": f"{n}\n"}, wanted=[f"{n}.p3"], products=[f"{n}.p3", f"{n}.p2"])


def _makefile_made(unit: Unit) -> Part:
    """A makefile that a rule makes and make includes: it starts over. Bits: 1 -include."""
    n = unit.name
    rules = (
        f"{'-' if unit.variant & 1 else ''}include {n}.mk\n"
        f"{n}.mk: {n}.in\n\tprobe -i $< -o $@ -- sh -c 'echo {n}_W := `grep -v ^// $<` > $@'\n"
        f"{n}.w: {n}.mk\n\tprobe -o $@ -- sh -c 'echo $({n}_W) > $@'\n"
    )
    return Part(rules, {f"{n}.in": f"{n}\n"}, objects=[f"{n}.w"], products=[f"{n}.mk", f"{n}.w"])


def _in_place(unit: Unit) -> Part:
    """One rule makes a file, another changes it. Bits: 1 a third reads it in between."""
    n = unit.name
    rules = f"{n}.img: {n}.in\n\tprobe -i $< -o $@ -- cp $< $@\n"
    between = ""
    products = [f"{n}.img", f"{n}.sorted"]
    if unit.variant & 1:
        rules += f"{n}.peek: {n}.img\n\tprobe -i $< -o $@ -- cp $< $@\n"
        between = f" {n}.peek"
        products.append(f"{n}.peek")
    rules += (
        f"{n}.sorted: {n}.img{between} {n}.key\n"
        f"\tprobe -i {n}.img -i {n}.key -o {n}.img -- sh -c 'sort -o {n}.img {n}.img {n}.key'\n"
        "\tprobe -o $@ -- touch $@\n"
    )
    return Part(rules, {f"{n}.in": f"z\n{n}\n", f"{n}.key": "k\n"}, wanted=[f"{n}.sorted"], products=products)


def _counter(unit: Unit) -> Part:
    """A step that reads what it wrote last time (.version). Bits: 1 the value goes on into another product."""
    n = unit.name
    rules = (
        f"{n}.ver: {n}.in\n\tprobe -i $< -i $@ -o $@ -- sh -c 'old=0; [ ! -f $@ ] || read old < $@;"
        f" echo $$((old + 1)) > $@.new; mv $@.new $@'\n"
    )
    wanted, products = [f"{n}.ver"], [f"{n}.ver"]
    if unit.variant & 1:
        rules += f"{n}.tag: {n}.ver {n}.in\n\tprobe -i $< -i {n}.in -o $@ -- sh -c 'cat $^ > $@'\n"
        wanted, products = [f"{n}.tag"], [f"{n}.ver", f"{n}.tag"]
    return Part(rules, {f"{n}.in": f"{n}\n"}, wanted=wanted, products=products)


def _through(unit: Unit) -> Part:
    """Sources behind symbolic links. Bits: 1 the directory is the link, else the file."""
    n = unit.name
    if unit.variant & 1:
        sources = {f"{n}.real/in": f"{n}\n", f"{n}.way": LINK + f"{n}.real"}
        path = f"{n}.way/in"
    else:
        sources = {f"{n}.there": f"{n}\n", f"{n}.here": LINK + f"{n}.there"}
        path = f"{n}.here"
    rules = f"{n}.got: {path}\n\tprobe -i $< -o $@ -- cp $< $@\n"
    return Part(rules, sources, wanted=[f"{n}.got"], products=[f"{n}.got"])


def _optional(unit: Unit) -> Part:
    """A file that is used if it is there. Bits: 1 make asks (ifneq wildcard), else the step does; 2 it is there."""
    n = unit.name
    sources = {f"{n}.in": f"{n}\n"}
    if unit.variant & 2:
        sources[f"{n}.opt"] = "optional\n"
    if unit.variant & 1:
        rules = (
            f"{n}_X := $(if $(wildcard {n}.opt),with,without)\n"
            f"{n}.res: {n}.in\n\tprobe -i $< -o $@ -- sh -c 'echo $({n}_X) > $@; cat $< >> $@'\n"
        )
    else:
        rules = f"{n}.res: {n}.in\n\tprobe -i $< -i {n}.opt -o $@ -- sh -c 'cat $< > $@; cat {n}.opt >> $@ || :'\n"
    return Part(rules, sources, objects=[f"{n}.res"], products=[f"{n}.res"])


def _script(unit: Unit) -> Part:
    """A recipe that calls make on a makefile of its own, moves, sorts and packs what that made, and asks it a question.

    Not logged by probe: how much of it runs again is hashmake's affair, what comes out is not. Bits: 1 what was packed
    goes away; 2 the directory is not removed first.
    """
    n = unit.name
    clear = f"mkdir -p {n}.d; rm -rf {n}.d/b" if unit.variant & 2 else f"rm -rf {n}.d; mkdir {n}.d"
    rules = (
        f"{n}.pkg: {n}.in {n}.head\n\t{clear}; $(MAKE) --no-print-directory -s -f {n}.mak TO={n}.d &&"
        f" mv {n}.d/a {n}.d/b && sort -o {n}.d/s {n}.d/s && name=`$(MAKE) --no-print-directory -s -f {n}.mak name` &&"
        f" cat {n}.d/b/* {n}.d/s > $@ && echo $$name >> $@{f'; rm -rf {n}.d' if unit.variant & 1 else ''}\n"
    )
    inner = (
        f"all: a s\na:\n\tmkdir -p $(TO)/a; cp {n}.in $(TO)/a/one\n\tcp {n}.head $(TO)/a/two\n"
        f"s:\n\tcat {n}.in {n}.head > $(TO)/s\nname:\n\t@echo called `cat {n}.head`\n.PHONY: all a s name\n"
    )
    sources = {f"{n}.in": f"z\n{n}\n", f"{n}.head": "head\n", f"{n}.mak": inner}
    left = [] if unit.variant & 1 else [f"{n}.d/b/one", f"{n}.d/b/two", f"{n}.d/s"]
    return Part(rules, sources, wanted=[f"{n}.pkg"], products=[f"{n}.pkg", *left])


KINDS: dict[str, Callable[[Unit], Part]] = {
    "object": _object,
    "header": _header,
    "multiple": _multiple,
    "log": _log,
    "shell": _shell,
    "link": _link,
    "glob": _glob,
    "order": _order,
    "stamp": _stamp,
    "chain": _chain,
    "makefile": _makefile_made,
    "in-place": _in_place,
    "counter": _counter,
    "through": _through,
    "optional": _optional,
    "script": _script,
}
