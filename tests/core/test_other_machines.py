"""What other machines have run is asked for before a step runs, and told when it has; nothing here waits."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from core.world import World

if TYPE_CHECKING:
    from hashmake.judge.world import Told
    from hashmake.model.shared import Seen

PROG = "a.o: a.c a.h\nb.o: b.c a.h\nprog: a.o b.o"


class Cloud:
    """What machines have told."""

    def __init__(self) -> None:
        self.told: list[tuple[Told, dict[bytes, tuple[str, str, bool]]]] = []


class MemoryRemote:
    """Satisfies world.Remote for one machine.

    ready   answers are there, else on their way
    missed  for each set of which no result was found: whether the tools were those that were used there
    """

    def __init__(self, cloud: Cloud, world: World) -> None:
        self.cloud = cloud
        self.world = world
        self.ready = True
        self.salt, self.writes = b"", True
        self.asked: list[bytes] = []
        self.missed: list[bool] = []

    def sets(self, step: bytes) -> list[Seen] | None:
        self.asked.append(step)
        found = {t.seen.name: t.seen for t, _kept in self.cloud.told if t.step == step}
        return list(found.values()) if self.ready else None

    def result(self, step: bytes, seen: Seen, answers: bytes, tools: bytes) -> bytes | None:
        for told, kept in self.cloud.told:
            if (told.step, told.seen.name, told.answers) == (step, seen.name, answers):
                assert self.world.store is not None
                self.world.store.kept.update(kept)
                return told.left
        self.missed.append(tools == seen.tools)
        return b""

    def sum_of(self, _path: bytes, version: bytes) -> bytes | None:
        return hashlib.sha256(version).digest()

    def tell(self, told: Told) -> None:
        assert self.world.store is not None
        self.cloud.told.append((told, dict(self.world.store.kept)))


def machine(cloud: Cloud, **sources: str) -> tuple[World, MemoryRemote]:
    """A machine with a tree and a store of its own."""
    world = World(PROG, store=True, a_c="a", b_c="b", a_h="h")
    for name, text in sources.items():
        world.edit(name.replace("_", "."), text)
    remote = MemoryRemote(cloud, world)

    world.remote = remote
    return world, remote


def test_what_one_has_run_the_other_has_not_to() -> None:
    cloud = Cloud()
    one, _remote = machine(cloud)
    other, remote = machine(cloud)
    assert (one.build(), one.restored) == ("a.o b.o prog", [])
    assert (other.build(), other.restored) == ("", ["a.o", "b.o", "prog"])
    remote.asked.clear()
    assert other.build() == ""
    assert not remote.asked


def test_only_what_is_the_same() -> None:
    cloud = Cloud()
    machine(cloud)[0].build()
    other, _remote = machine(cloud, a_c="edited")
    assert (other.build(), other.restored) == ("a.o prog", ["b.o"])
    third, _remote = machine(cloud, a_c="edited")
    assert (third.build(), third.restored) == ("", ["a.o", "b.o", "prog"])


def test_a_step_waits_for_what_is_on_its_way() -> None:
    """It is asked for again when that has arrived."""
    cloud = Cloud()
    machine(cloud)[0].build()
    other, remote = machine(cloud)
    remote.ready = False
    waited: list[str] = []

    def arrive(step: str) -> None:
        waited.append(step)
        remote.ready = len(waited) > 1

    other.arrive = arrive
    assert (other.build(), other.restored) == ("", ["a.o", "b.o", "prog"])
    assert waited == ["a.o", "a.o"]


def test_what_this_machine_knows_nobody_else_is_asked_for() -> None:
    """An edit taken back, a product that was deleted."""
    cloud = Cloud()
    one, remote = machine(cloud)
    one.build()
    one.edit("a.c", "edited")
    one.build()
    remote.asked.clear()
    one.edit("a.c", "a")
    one.remove("b.o")
    assert (one.build(), one.restored) == ("", ["a.o", "b.o", "prog"])
    assert not remote.asked


def test_what_the_store_of_this_machine_has_is_told_as_well() -> None:
    """Else a server that lost everything would not hear of it again."""
    one, _remote = machine(Cloud())
    one.build()
    cloud = Cloud()
    again, _remote = machine(cloud)
    assert one.store is not None
    assert again.store is not None
    again.store.kept, again.store.notes = one.store.kept, one.store.notes
    assert (again.build(), again.restored) == ("", ["a.o", "b.o", "prog"])
    other, _remote = machine(cloud)
    assert (other.build(), other.restored) == ("", ["a.o", "b.o", "prog"])


def test_another_salt_disowns_what_the_store_of_this_machine_got() -> None:
    """Who had poisoned the cache had poisoned that, too."""
    cloud = Cloud()
    machine(cloud)[0].build()
    other, _remote = machine(cloud)
    assert other.build() == ""
    again, remote = machine(Cloud())
    remote.salt = b"new"
    assert other.store is not None
    assert again.store is not None
    again.store.kept, again.store.notes = other.store.kept, other.store.notes
    assert again.build() == "a.o b.o prog"


def test_what_changed_while_it_ran_is_not_told() -> None:
    """It may have read either."""
    cloud = Cloud()
    one, _remote = machine(cloud)
    one.checked = False
    one.during["a.o"] = lambda: one.edit("a.c", "edited")
    one.build()
    other, _remote = machine(cloud, a_c="edited")
    other.build()
    assert "a.o" in other.ran


def test_why_nothing_is_found() -> None:
    """Other sources, or other tools."""
    cloud = Cloud()
    machine(cloud)[0].build()
    edited, remote = machine(cloud, a_h="edited")
    edited.build()
    assert remote.missed == [True] * 3
    other, remote = machine(cloud)
    other.edit("/bin/sh", "another", executable=True)
    other.build()
    assert remote.missed == [False] * 3
