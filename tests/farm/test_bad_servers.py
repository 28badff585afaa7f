"""What servers do: small messages, refusals, damage, loss, haste. Every build is right, none hangs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import grpc
import pytest

from hashmake.model.shared import Left

from .machines import Machine
from .test_machines import FILES, two

if TYPE_CHECKING:
    from pathlib import Path

    from .fake import Fake


def test_what_is_told(tmp_path: Path, fake: Fake) -> None:
    """Nothing that names the tree, and nothing that was not asked for."""
    one, other = two(tmp_path, fake.endpoint)
    one.build()
    other.build()
    assert other.restored == 4
    everything = b"".join([*fake.blobs.values(), *(r.SerializeToString() for r in fake.results.values())])
    assert str(tmp_path).encode() not in everything
    assert {"GetCapabilities", "GetActionResult", "FindMissingBlobs", "BatchUpdateBlobs", "BatchReadBlobs"} <= {
        *fake.calls
    }


def test_a_null_build_asks_nobody(tmp_path: Path, fake: Fake) -> None:
    """Nor does it connect."""
    one, _other = two(tmp_path, fake.endpoint)
    one.build()
    calls = len(fake.calls)
    one.build()
    assert "nothing changed" in one.text
    assert len(fake.calls) == calls


def test_figures(tmp_path: Path, fake: Fake) -> None:
    """Of the last build, and of all."""
    one, other = two(tmp_path, fake.endpoint)
    one.build()
    other.build()
    assert other.log()["remote"]["hits"] == 4
    (stats,) = (json.loads(each.verb("store", "--stats", "--json"))["remote"] for each in [other])
    assert (stats["builds"], stats["hits"], stats["told"]) == (1, 4, 0)
    assert json.loads(one.verb("store", "--json"))["remote"]["told"] == 4
    assert "4 hits of 4 steps" in other.verb("store")
    assert "\nhashmake_remote_hits_total 4\n" in other.verb("store", "--prometheus")


def test_values_of_variables_are_told_to_nobody(tmp_path: Path, fake: Fake) -> None:
    """Only whether they are the same can be found out."""
    one, other = two(tmp_path, fake.endpoint)
    for machine in (one, other):
        machine.write("Makefile", FILES["Makefile"].replace("tr a-z A-Z", "test $$TOKEN; tr a-z A-Z"))
        machine.variables["TOKEN"] = "s3cret"
    one.build()
    other.build()
    assert other.restored == 4
    everything = b"".join([*fake.blobs.values(), *(r.SerializeToString() for r in fake.results.values())])
    assert b"s3cret" not in everything
    third = Machine(tmp_path, "third", fake.endpoint, "read")
    third.take({**FILES, "Makefile": (one.tree / "Makefile").read_text()})
    third.variables["TOKEN"] = "another"
    third.build()
    assert (third.ran, third.restored) == (1, 3)


def test_a_server_that_knows_nothing_is_not_asked_for_every_step(tmp_path: Path, fake: Fake) -> None:
    """And one that knows them is, though nobody has built this goal: of the plan nothing is left."""
    one, other = two(tmp_path, fake.endpoint)
    for machine in (one, other):
        names = " ".join(f"part{n}" for n in range(100))
        machine.write("Makefile", f"all: {names}\n{names}: notes.in\n\t@cat notes.in > $@; echo $@ >> $@\n")
    one.build()
    assert one.ran == 100
    assert 64 < fake.calls.count("GetActionResult") < 80
    (plan,) = [name for name, result in fake.results.items() if any(f.path == "plan" for f in result.output_files)]
    del fake.results[plan]
    other.build()
    assert other.ran + other.restored == 100
    assert other.restored > 50  # all, where nobody else is at work


def test_small_steps_are_told_in_the_plan_only(tmp_path: Path, fake: Fake) -> None:
    """Lines that only check, and $(shell): a name in the server for each would cost more than they do."""
    one, other = two(tmp_path, fake.endpoint)
    for machine in (one, other):
        text = FILES["Makefile"].replace("; cc $(CFLAGS)", "; @test -s $<\n\tcc $(CFLAGS)")
        machine.write("Makefile", "CFLAGS := $(CFLAGS) $(shell echo -DX | cat)\n" + text)
    one.build()
    assert (one.ran, one.restored) == (7, 0)
    assert len(fake.results) == 2 * 4 + 1
    other.build()
    assert (other.ran, other.restored) == (0, 4)
    assert one.products() == other.products()


def test_a_small_limit_of_messages(tmp_path: Path, fake: Fake) -> None:
    """NativeLink announces 64 KiB: what is larger goes through streams."""
    fake.batch = 8192
    one, other = two(tmp_path, fake.endpoint)
    one.build()
    other.build()
    assert other.restored == 4
    assert 0 < fake.most <= 8192
    assert {"Read", "Write"} <= {*fake.calls}
    assert one.products() == other.products()


@pytest.mark.parametrize("batch", [0, 8192])
def test_contents_are_compressed_where_the_server_takes_that(tmp_path: Path, fake: Fake, batch: int) -> None:
    """In messages and in streams."""
    fake.packs, fake.batch = True, batch
    one, other = two(tmp_path, fake.endpoint)
    one.build()
    other.build()
    assert fake.packed > 1
    assert other.restored == 4
    assert one.products() == other.products()


@pytest.mark.parametrize("fault", ["damage", "lose"])
def test_contents_that_are_not_what_they_should_be(tmp_path: Path, fake: Fake, fault: str) -> None:
    """A miss: the steps run, and what lies there is right."""
    one, other = two(tmp_path, fake.endpoint)
    one.build()
    setattr(fake, fault, True)
    other.build()
    assert (other.ran, other.restored) == (4, 0)
    assert one.products() == other.products()


def test_without_a_plan_each_step_is_asked_for(tmp_path: Path, fake: Fake) -> None:
    one, other = two(tmp_path, fake.endpoint)
    one.build()
    asked = fake.calls.count("GetActionResult")
    other.build()
    assert fake.calls.count("GetActionResult") == asked + 1
    fake.forget_plans()
    other.forget()
    other.build("clean")
    other.build()
    assert (other.ran, other.restored) == (0, 4)
    assert fake.calls.count("GetActionResult") > asked + 4
    assert one.products() == other.products()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff" * 50])
def test_a_plan_that_makes_no_sense(tmp_path: Path, fake: Fake, content: bytes) -> None:
    """It is a hint, no more."""
    one, other = two(tmp_path, fake.endpoint)
    one.build()
    fake.spoil_plans(content)
    other.build()
    assert (other.ran, other.restored) == (0, 4)
    assert one.products() == other.products()


def test_results_that_make_no_sense(tmp_path: Path, fake: Fake) -> None:
    one, other = two(tmp_path, fake.endpoint)
    one.build()
    fake.forget_plans()
    for result in fake.results.values():
        result.stdout_raw = result.stdout_raw[:40] + b"\xff" + result.stdout_raw[41:]
    other.build()
    assert (other.ran, other.restored) == (4, 0)
    assert one.products() == other.products()


@pytest.mark.parametrize("path", [b"\3S\3/../outside", b"\3S\3/.git/hooks/pre-commit", b"/tmp/outside"])
def test_what_a_server_says_is_put_nowhere_but_in_the_tree(tmp_path: Path, fake: Fake, path: bytes) -> None:
    """Each result says that it is right, and that its product lies elsewhere."""
    one, other = two(tmp_path, fake.endpoint)
    one.build()
    fake.forget_plans()
    for result in fake.results.values():
        if result.output_files:
            left = Left.unpack(result.stdout_raw)
            outs = [(path, pre, post, mode) for _path, pre, post, mode in left.outs]
            result.stdout_raw = left._replace(outs=outs).pack()
    before = sorted(other.tree.parent.iterdir())
    other.build()
    assert (other.ran, other.restored) == (4, 0)
    assert sorted(other.tree.parent.iterdir()) == before
    assert not (other.tree / ".git").exists()
    assert one.products() == other.products()


@pytest.mark.parametrize("status", ["PERMISSION_DENIED", "UNAUTHENTICATED", "UNIMPLEMENTED"])
@pytest.mark.parametrize("method", ["BatchUpdateBlobs", "UpdateActionResult"])
def test_a_server_that_takes_nothing_says_so_once(tmp_path: Path, fake: Fake, status: str, method: str) -> None:
    """Three kinds of refusal are seen in the field."""
    fake.refuse[method] = grpc.StatusCode[status]
    one, _other = two(tmp_path, fake.endpoint)
    one.build()
    assert one.ran == 4
    assert one.text.count("results of this build are not shared") == 1
    assert not fake.results


def test_a_server_that_announces_that_it_takes_nothing(tmp_path: Path, fake: Fake) -> None:
    fake.update_enabled = False
    one, _other = two(tmp_path, fake.endpoint)
    one.build()
    assert one.text.count("results of this build are not shared") == 1
    assert "BatchUpdateBlobs" not in fake.calls


def test_steps_are_not_sent_where_nothing_is_taken(tmp_path: Path, fake: Fake) -> None:
    """It says that it runs steps, and lets this machine store nothing."""
    fake.runs = True
    fake.refuse["BatchUpdateBlobs"] = grpc.StatusCode.PERMISSION_DENIED
    one, _other = two(tmp_path, fake.endpoint)
    one.settings.update(mode="read", execute="on")
    one.build()
    one.write("include/part.h", "#define PART 2\nint part(void);\n")
    one.build()
    assert one.ran > 0
    assert one.text.count("they run here") == 1


def test_a_server_that_is_busy_is_asked_again(tmp_path: Path, fake: Fake) -> None:
    """BuildGrid refuses more calls at a time than it has threads."""
    one, other = two(tmp_path, fake.endpoint)
    fake.busy = 3
    one.build()
    fake.busy = 3
    other.build()
    assert other.restored == 4
    assert "without the shared cache" not in one.text + other.text


def test_who_may_not_read_goes_on_alone(tmp_path: Path, fake: Fake) -> None:
    fake.refuse["GetCapabilities"] = grpc.StatusCode.UNAUTHENTICATED
    one, _other = two(tmp_path, fake.endpoint)
    one.build()
    assert one.ran == 4
    assert one.text.count("unauthenticated: not for you; the build goes on without the shared cache") == 1


def test_a_server_that_fails_again_and_again_is_given_up(tmp_path: Path, fake: Fake) -> None:
    fake.refuse["GetActionResult"] = grpc.StatusCode.INTERNAL
    one, _other = two(tmp_path, fake.endpoint)
    one.build()
    assert one.ran == 4
    assert one.text.count("goes on without the shared cache") == 1
    assert fake.calls.count("GetActionResult") < 10


def test_a_slow_server_is_not_waited_for_without_end(tmp_path: Path, fake: Fake) -> None:
    """What waiting costs is weighed against what was found: after some seconds in all nobody waits any more."""
    count = 60
    makefile = "all: " + " ".join(f"n{i}.out" for i in range(count)) + "\n%.out: ; echo $@ > $@\n"
    fake.delay_s = 0.5
    one = Machine(tmp_path, "one", fake.endpoint)
    one.write("Makefile", makefile)
    one.build()
    assert one.ran == count
    assert one.log()["remote"]["waited_s"] < 3 + 10  # and the last one, that no call is waited for longer than 10


def test_a_token_and_the_instance_are_sent(tmp_path: Path, fake: Fake) -> None:
    token = tmp_path / "token"
    token.write_text("secret\n")
    one = Machine(tmp_path, "one", fake.endpoint, **{"token-file": str(token), "instance": "kernel"})
    one.take(FILES)
    one.build()
    assert {each.get("authorization") for each in fake.metadata} == {"Bearer secret"}
