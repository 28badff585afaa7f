"""The account of one step: records in, facts and outputs out."""

from __future__ import annotations

import pytest
from fakes import TREE, Files, MemoryDisk, at, version_of

from hashmake.judge.account import Account
from hashmake.judge.accountant import Accountant
from hashmake.judge.tree import Tree
from hashmake.model import kinds
from hashmake.model.tables import NO_VALUE, PathId, Tables, ValueId
from hashmake.model.variables import EXPRESSIONS, WHOLE

OWN = b"/w/.hashmake"


class Step:
    """One step, from its start: what happens to files, and the records of it, as text (`r a` is `r` of /w/a)."""

    def __init__(self, make: bool = False, **files: str) -> None:
        self.files = Files()
        for name, text in files.items():
            self.files.write(at(name), text)
        self.disk = MemoryDisk(self.files)
        self.tables = Tables()
        self.tree = Tree(self.tables, self.disk)
        self.beside: set[bytes] = set()
        self.accountant = Accountant(self.tree, self.disk, OWN, lambda _account: self.beside)
        self.begin(make)

    def begin(self, make: bool = False) -> None:
        """The next step of the same build."""
        self.account = Account(self.tree.seq, self.disk.now_ns())
        self.account.make = make

    def pid(self, name: str) -> PathId:
        return self.tables.path(at(name))

    def product(self, name: str, text: str | None) -> None:
        """A product of a step before: with this text, or not made yet."""
        if text is None:
            self.tree.hide(self.pid(name))
        else:
            self.files.write(at(name), text)
            self.tree.wrote(at(name))
            self.tree.put(self.pid(name), NO_VALUE, self.tables.value(version_of(text)), wrote=True)
            self.begin(self.account.make)

    def write(self, name: str, text: str) -> None:
        self.files.write(at(name), text)

    def remove(self, name: str) -> None:
        self.files.remove(at(name))

    def done(self, *records: str) -> Step:
        """Its records: a letter, and a name of the tree or, after `=`, a text as it is."""
        self.accountant.absorb(self.account, [record_of(record) for record in records])
        return self

    def facts(self) -> set[str]:
        """`read a`, `absent b`, ...; of a listing the names."""
        t = self.tables
        found = set()
        for fid in self.account.facts:
            path = t.paths[t.fact_path[fid]].removeprefix(TREE).decode()
            kind = kinds.KIND_NAMES[t.fact_kind[fid]]
            names = t.values[t.fact_value[fid]][1:].replace(b"\0", b" ").decode() if kind == "list" else ""
            found.add(f"{kind} {path} {names}".strip())
        return found

    def outs(self) -> dict[str, tuple[str, str]]:
        """Path -> what was there before, what is there now."""
        t = self.tables
        return {
            t.paths[pid].removeprefix(TREE).decode(): (self.told(pre), self.told(post))
            for pid, (pre, post) in self.account.outs.items()
        }

    def told(self, value: ValueId) -> str:
        """A version as a word."""
        version = self.tables.values[value]
        if version[:1] == b"F":
            texts = [n.text for n in self.files.nodes.values() if n.kind == "F"] + ["1", "2", "3"]
            return next((text for text in texts if version_of(text, version[1:2] == b"x") == version), "?")
        return {b"": "-", b"D": "dir", b"O": "other"}.get(version, version.decode())


def record_of(text: str) -> bytes:
    letter, _, what = text.partition(" ")
    return letter.encode() + (what[1:].encode() if what.startswith("=") else at(what))


# -- reads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "fact"),
    [("r a", "read a"), ("s a", "stat a"), ("l a", "link a"), ("a a", "access a"), ("k a", "exists a")],
)
def test_each_look_is_a_fact_of_its_kind(record: str, fact: str) -> None:
    step = Step(a="1").done(record)
    assert step.facts() == ({fact} if record[0] != "k" else set())
    assert step.account.looks == ({step.pid("a")} if record[0] == "k" else set())


def test_what_was_looked_for_in_vain_is_a_fact() -> None:
    assert Step().done("n a").facts() == {"absent a"}


def test_a_product_that_is_not_made_yet_is_absent_whatever_lies_there() -> None:
    step = Step(a="1")
    step.product("a", None)
    assert step.done("n a").facts() == {"absent a"}


def test_a_read_product_counts_in_the_version_that_this_build_made() -> None:
    step = Step()
    step.product("a", "1")
    step.done("r a")
    assert step.tree.check(next(iter(step.account.facts)))
    step.product("a", "2")
    assert not any(step.tree.check(f) for f in step.tables.facts_on[step.pid("a")])


def test_a_read_of_what_appeared_meanwhile_is_stronger_than_that_it_was_missed() -> None:
    step = Step(a="1").done("n a", "r a")
    assert step.facts() == {"read a"}


def test_a_file_that_changed_since_the_step_began_can_not_have_been_read_for_certain() -> None:
    step = Step(a="1")
    step.write("a", "2")
    assert step.done("r a").facts() == {"unknown a"}


def test_a_file_that_is_gone_when_it_is_looked_into_was_not_read_for_certain() -> None:
    assert Step().done("r a").facts() == {"unknown a"}


def test_a_link_is_a_fact_and_what_it_leads_to_is_the_other() -> None:
    step = Step(a="1")
    step.files.symlink("a", at("link"))
    step.begin()
    assert step.done("r link").facts() == {"link link", "read a"}


def test_links_that_lead_to_each_other_come_to_an_end() -> None:
    step = Step()
    step.files.symlink("one", at("two"))
    step.files.symlink("two", at("one"))
    step.begin()
    assert {"link one", "link two"} <= step.done("l one", "a one").facts()


def test_of_a_directory_only_that_it_is_there_is_known() -> None:
    step = Step()
    step.files.mkdir(at("d"))
    step.begin()
    assert step.done("s d").facts() == {"stat d"}


def test_what_the_host_says_is_a_fact_about_no_path() -> None:
    step = Step().done("v =uname")
    assert step.facts() == {"read uname"}


def test_the_same_record_of_another_step_is_the_same_fact() -> None:
    step = Step(a="1").done("r a")
    first = step.account.facts
    step.begin()
    assert step.done("r a").account.facts == first
    assert step.tree.record_facts


def test_what_is_kept_of_records_ends_when_the_path_is_written() -> None:
    step = Step(a="1").done("r a")
    step.begin()
    step.write("a", "2")
    step.done("w a")
    step.begin()
    step.done("r a")
    assert step.tables.values[step.tables.fact_value[next(iter(step.account.facts))]] == version_of("2")


# -- writes ---------------------------------------------------------------------------------------------------------


def test_a_file_that_is_made_is_an_output_and_no_input() -> None:
    step = Step()
    step.write("a", "1")
    step.done("w a", "r a")
    assert (step.facts(), step.outs()) == (set(), {"a": ("-", "1")})


def test_that_it_was_missed_before_it_was_made_is_an_input() -> None:
    step = Step()
    step.write("a", "1")
    step.done("n a", "w a")
    assert (step.facts(), step.outs()) == ({"absent a"}, {"a": ("-", "1")})


def test_a_temporary_file_is_neither_input_nor_output() -> None:
    step = Step()
    step.done("n tmp", "w tmp", "r tmp", "u tmp")
    assert (step.facts(), step.outs()) == (set(), {})
    assert at("tmp") not in step.tables.path_ids


def test_a_product_that_is_read_and_changed_is_both() -> None:
    step = Step()
    step.product("a", "1")
    step.write("a", "2")
    step.done("r a", "w a")
    assert (step.facts(), step.outs()) == ({"read a"}, {"a": ("1", "2")})


def test_a_product_that_is_replaced_without_a_look_is_no_input() -> None:
    step = Step()
    step.product("a", "1")
    step.write("a", "2")
    step.done("w a", "r a")
    assert (step.facts(), step.outs()) == (set(), {"a": ("1", "2")})


def test_of_a_command_that_replaces_a_mere_look_at_its_product_is_no_input() -> None:
    step = Step()
    step.product("a", "1")
    step.account.replaces = True
    step.write("a", "2")
    step.done("s a", "w a")
    assert step.facts() == set()


def test_a_product_that_is_removed_is_gone() -> None:
    step = Step()
    step.product("a", "1")
    step.remove("a")
    step.done("l a", "u a")
    assert (step.facts(), step.outs()) == ({"link a"}, {"a": ("1", "-")})
    assert step.tree.state[step.pid("a")] == NO_VALUE


def test_a_source_that_is_removed_was_there() -> None:
    step = Step(a="1")
    step.disk.content(at("a"))
    step.begin()
    step.remove("a")
    step.done("u a")
    assert step.outs() == {"a": ("1", "-")}


def test_a_source_that_nobody_knew_was_something() -> None:
    step = Step(a="1")
    step.remove("a")
    step.done("u a")
    assert step.outs() == {"a": ("other", "-")}


def test_a_source_that_is_changed_in_place_was_what_it_was_known_to_be() -> None:
    step = Step(a="1")
    step.account.before[at("a")] = version_of("1")
    step.write("a", "2")
    step.done("r a", "w a")
    assert (step.facts(), step.outs()) == ({"read a"}, {"a": ("1", "2")})


def test_a_source_that_was_read_and_changed_before_anybody_knew_it_is_never_known() -> None:
    step = Step(a="1")
    step.write("a", "2")
    step.done("r a", "w a")
    assert step.facts() == {"unknown a", "exists a"}
    assert step.outs() == {"a": ("other", "2")}


def test_a_source_that_was_only_opened_for_writing_is_as_it_was() -> None:
    step = Step(a="1").done("r a", "w a")
    assert (step.facts(), step.outs()) == ({"read a"}, {"a": ("1", "1")})


def test_a_mode_that_was_set_leaves_the_content() -> None:
    step = Step()
    step.product("a", "1")
    step.files.chmod(at("a"), "r--")
    step.done("c a")
    assert step.outs() == {"a": ("1", "1")}
    step.begin()
    step.files.chmod(at("a"), "x")
    assert step.done("c a").outs() == {"a": ("1", "1")}


def test_a_source_whose_time_was_set_is_touched_and_not_changed() -> None:
    step = Step(a="1")
    step.files.touch(at("a"))
    assert step.done("t a").outs() == {"a": ("1", "1")}


def test_a_source_whose_mode_was_set_is_no_product() -> None:
    step = Step(a="1")
    step.files.chmod(at("a"), "r--")
    assert step.done("c a").outs() == {}


def test_outputs_are_in_the_order_of_their_last_writes() -> None:
    step = Step()
    for name in "abc":
        step.write(name, "1")
    step.done("w a", "w b", "w c", "t a")
    assert list(step.outs()) == ["b", "c", "a"]


def test_the_state_directory_is_nobody_s_output() -> None:
    step = Step()
    step.write(".hashmake/db", "1")
    assert step.done("w .hashmake/db", "w .hashmake").outs() == {}


def test_in_a_directory_that_the_step_made_and_removed_nothing_was_missed() -> None:
    step = Step()
    step.done("n d", "w d", "n d/a", "w d/a", "n d/b", "u d/a", "u d")
    assert step.facts() <= {"absent d"}
    assert step.outs() == {}


def test_in_a_directory_that_a_make_had_made_nothing_was_missed() -> None:
    step = Step(make=True)
    step.files.mkdir(at("d"))
    step.done("n d", "w d")
    step.write("d/a", "1")
    step.done("n d/a", "w d/a", "n d/b", "w d")
    assert "absent d/b" not in step.facts()
    assert step.outs() == {"d/a": ("-", "1"), "d": ("-", "dir")}


def test_what_a_make_keeps_open_has_grown_when_it_ends() -> None:
    step = Step(make=True)
    step.write("log", "1")
    step.done("w log")
    step.write("log", "2")
    step.accountant.look_again(step.account)
    assert step.outs() == {"log": ("-", "2")}
    assert [step.told(post) for _pid, _pre, post in step.account.fresh] == ["1", "2"]


def test_what_a_make_made_and_took_away_again_is_told_as_it_happened() -> None:
    step = Step(make=True)
    step.write("a", "1")
    step.done("w a")
    step.remove("a")
    step.done("U a", "u a")
    assert step.outs() == {}
    assert [(step.told(pre), step.told(post)) for _pid, pre, post in step.account.fresh] == [("-", "1"), ("1", "-")]
    assert step.account.intermediates == {at("a")}


def test_what_a_make_reads_of_its_own_is_no_input_but_is_remembered() -> None:
    step = Step(make=True)
    step.write("included.mk", "1")
    step.done("w included.mk")
    step.done("r included.mk")
    assert step.facts() == set()
    assert step.account.reread == {step.pid("included.mk")}


# -- names of one file, names that change ---------------------------------------------------------------------------


def test_what_was_written_under_one_name_was_written_under_all() -> None:
    step = Step()
    step.product("a", "1")
    step.files.link(at("a"), at("b"))
    step.done("r a", "n b", "w b")
    assert step.outs() == {"b": ("-", "1")}
    step.begin()
    step.write("b", "2")
    step.done("w b")
    assert step.outs() == {"a": ("1", "2"), "b": ("1", "2")}


def test_links_of_an_earlier_build_are_known_by_the_file() -> None:
    step = Step()
    step.product("a", "1")
    step.files.link(at("a"), at("b"))
    step.begin()
    step.write("b", "2")
    step.done("w b")
    assert step.outs()["a"] == ("1", "2")


def test_a_renamed_file_is_gone_here_and_there_anew() -> None:
    step = Step()
    step.product("a", "1")
    step.files.rename(at("a"), at("b"))
    step.done("u a", "w b")
    assert step.outs() == {"a": ("1", "-"), "b": ("-", "1")}


def test_with_a_directory_all_that_lies_in_it_moves() -> None:
    step = Step()
    step.files.mkdir(at("d"))
    step.product("d/a", "1")
    step.files.rename(at("d"), at("e"))
    step.done("m d", "M e")
    assert step.outs()["d/a"] == ("1", "-")
    assert step.outs()["e/a"] == ("-", "1")


def test_what_a_moved_directory_held_is_an_input() -> None:
    step = Step()
    step.files.mkdir(at("d"))
    step.product("d/a", "1")
    step.files.rename(at("d"), at("e"))
    step.done("m d", "M e")
    assert {"list d a", "read d/a"} <= step.facts()


def test_what_the_step_made_itself_and_moved_is_none() -> None:
    step = Step()
    step.files.mkdir(at("d"))
    step.write("d/a", "1")
    step.files.rename(at("d"), at("e"))
    step.done("n d", "w d", "w d/a", "m d", "M e")
    assert step.facts() <= {"absent d"}
    assert step.outs() == {"e": ("-", "dir"), "e/a": ("-", "1")}


# -- listings -------------------------------------------------------------------------------------------------------


def test_a_listing_is_the_names_that_it_gave() -> None:
    step = Step(a="1", b="2").done("d =/w", "e a", "e b", "f =/w")
    assert step.facts() == {"list /w a b"}


def listing(step: Step) -> str:
    """What counts of the listing of the directory d."""
    return next((fact for fact in step.facts() if fact.startswith("list")), "none")


def test_what_the_step_made_is_not_in_its_listing() -> None:
    step = Step(d="")
    step.write("d/a", "1")
    step.write("d/new", "2")
    assert listing(step.done("w d/new", "d d", "e d/a", "e d/new", "f d")) == "list d a"


def test_what_a_step_beside_it_is_making_is_not_in_it() -> None:
    step = Step()
    step.beside = {at("d/other")}
    assert listing(step.done("d d", "e d/a", "e d/other", "f d")) == "list d a"


def test_what_came_and_went_in_this_build_is_not_in_it() -> None:
    step = Step()
    step.done("w d/tmp", "u d/tmp")
    step.begin()
    assert listing(step.done("d d", "e d/a", "e d/tmp", "f d")) == "list d a"


def test_what_was_made_since_the_step_began_is_not_in_it() -> None:
    step = Step()
    account = step.account
    step.product("d/late", "1")
    step.account = account
    assert listing(step.done("d d", "e d/a", "e d/late", "f d")) == "list d a"


def test_products_that_are_not_made_yet_are_not_in_it() -> None:
    step = Step()
    step.product("d/old", None)
    assert listing(step.done("d d", "e d/a", "e d/old", "f d")) == "list d a"


def test_state_directories_are_in_none() -> None:
    step = Step().done("d =/w", "e .hashmake", "e x/.hashmake", "e a", "f =/w")
    assert step.facts() == {"list /w a", "list x"}


def test_a_directory_of_the_steps_own_is_not_listed() -> None:
    step = Step()
    step.files.mkdir(at("d"))
    assert listing(step.done("n d", "w d", "d d", "e d/a", "f d")) == "none"


@pytest.mark.parametrize("directory", ["/tmp", "/var/tmp", "/dev/shm"])
def test_directories_for_anybodys_temporary_files_are_not_listed(directory: str) -> None:
    assert listing(Step().done(f"d ={directory}", f"e ={directory}/x", f"f ={directory}")) == "none"


def test_a_listing_that_make_has_not_ended_is_taken_in_when_it_has() -> None:
    step = Step(make=True)
    assert listing(step.done("d d", "e d/a")) == "none"
    assert listing(step.done("e d/b", "f d")) == "list d a b"


def test_a_listing_that_a_plain_step_broke_off_counts_as_far_as_it_went() -> None:
    assert listing(Step().done("d d", "e d/a")) == "list d a"


# -- what is no path ------------------------------------------------------------------------------------------------


def test_variables_that_were_looked_up_are_named() -> None:
    step = Step().done("g =HOME", "g =MAKEFLAGS")
    assert step.account.names == {b"HOME"}


def test_who_takes_all_of_the_environment_depends_on_all() -> None:
    assert Step().done("G =/usr/bin/perl").account.names == {WHOLE}


def test_a_shells_text_names_its_variables() -> None:
    account = Step().done("C =echo $A $((B))").account
    assert account.shell
    assert {b"A", b"B", EXPRESSIONS} <= account.names


def test_a_script_names_its_variables_and_an_unreadable_one_all() -> None:
    assert Step(script="echo ${C}").done("S script").account.names == {b"C"}
    assert Step().done("S script").account.names == {WHOLE}


def test_the_first_goal_and_the_first_reason_count() -> None:
    account = Step().done("D =all", "P /bin/make", "! =static:/bin/x").account
    assert (account.goal, account.make, account.unseen) == (b"all", True, b"static:/bin/x")


def test_a_reader_of_a_table_is_kept_word_by_word() -> None:
    assert Step().done("B =/w/auto.conf\1cc\1-c").account.readers == {b"/w/auto.conf\1cc\1-c"}


# -- what can't be understood ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "record",
    [b"x/w/a", b"r", b"ra", b"wa", b"w", b"e", b"d.", b"n../a", b"U", b"Mrelative", b"S", b"\xff/w/a", b"0"],
)
def test_a_record_that_can_not_be_parsed_is_a_step_that_is_not_fully_seen(record: bytes) -> None:
    step = Step(a="1")
    step.accountant.absorb(step.account, [b"r/w/a", record])
    assert step.account.unseen == b"a record that can't be parsed"
    assert step.facts() == {"read a"}


def test_an_empty_record_and_announced_calls_say_nothing() -> None:
    step = Step(a="1")
    step.accountant.absorb(step.account, [b"", b"+/w/a", b"./w/a"])
    assert (step.account.unseen, step.facts(), step.outs()) == (b"", set(), {})


def test_a_reason_that_was_not_given_is_one_all_the_same() -> None:
    assert Step().done("! =").account.unseen == b"unknown"


def test_a_moved_directory_without_its_new_name_is_passed_over() -> None:
    step = Step(a="1")
    step.done("m d")
    step.done("m d", "M =/")
    assert "a" not in step.outs()


@pytest.mark.parametrize("order", [("v =?uname", "C ={}"), ("C ={}", "v =?uname")])
@pytest.mark.parametrize(
    ("text", "counts"),
    [("echo $HOSTNAME", True), ("echo ${MACHTYPE}", True), ('eval "echo \\$$x"', True), ("echo $HOME", False)],
)
def test_what_a_shell_knows_of_the_machine_counts_where_it_is_named(
    order: tuple[str, str], text: str, counts: bool
) -> None:
    """Or where nobody can tell what is named."""
    step = Step().done(*(record.format(text) for record in order))
    hosts = {step.tables.paths[step.tables.fact_path[f]] for f in step.account.facts} - {b"/w"}
    assert (b"uname" in hosts) is counts


@pytest.mark.parametrize(
    ("text", "counts"), [("echo $SHELL", True), ("cat ~/x", True), ("cd", True), ("echo ${x@P}", True), ("cd x", False)]
)
def test_the_account_that_a_shell_has_looked_up_counts_where_it_can_show(text: str, counts: bool) -> None:
    """Bash looks it up where the environment has no SHELL, to set it."""
    step = Step().done("v =?user", "v =?account", f"C ={text}")
    assert (b"user" in {step.tables.paths[step.tables.fact_path[f]] for f in step.account.facts}) is counts


def test_a_shell_whose_text_nobody_has_seen_may_name_anything() -> None:
    step = Step().done("v =?user", "G =/bin/bash")
    assert b"user" in {step.tables.paths[step.tables.fact_path[f]] for f in step.account.facts}


@pytest.mark.parametrize(("text", "counts"), [("[ -O a ]", True), ("test ! -G $x && y", True), ("cc -O2 a.c", False)])
def test_whose_a_file_is_depends_on_the_user(text: str, counts: bool) -> None:
    step = Step().done("v =?user", f"C ={text}")
    assert (b"user" in {step.tables.paths[step.tables.fact_path[f]] for f in step.account.facts}) is counts
