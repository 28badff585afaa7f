"""Which variables of the environment a makefile's text can name."""

from __future__ import annotations

import pytest

from hashmake.model.makenames import names_in, words_in
from hashmake.model.names import EVERY, pack, unpack
from hashmake.model.selection import Selection


def can_name(text: bytes, name: bytes) -> bool:
    return Selection(names_in(text)).has(name)


@pytest.mark.parametrize(
    "text",
    [
        b"all: ; echo $(CI_X)",
        b"all: ; echo ${CI_X}",
        b"a = $(CI_X:.o=.c)",
        b"a = $(patsubst %.o,%.c,$(CI_X))",
        b"a = $(value CI_X)$(origin  A)",
        b"ifeq ($(origin CI_X),undefined)",
        b"ifdef CI_X",
        b"else ifndef CI_X",
        b"CI_X ?= 1",
        b"CI_X+=1",
        b"override CI_X += 1",
        b"x: CI_X += 1",
        b"x: export CI_X",
        b"export A CI_X",
        b"unexport CI_X",
        b"define CI_X",
        b"undefine CI_X",
        b"a = $(call CI_X,1)",
        b"a = $(CI_$(x))",
        b"a = $(CI_${x})",
        b"a = $(CI_$x)",
        b"a = $($(x)_X)",
        b"a = $($(x)I_$(y))",
        b"a = $(C$(x)_$(y)X)",
        b"a = $(C$(x)X)",
        b"a = $($(x))",
        b"a = $($x)",
        b"a = $($(a)_$(b))",
        b"a = $(foreach v,A B,$($(v)))",
        b"a = $(origin CI_$(x))",
        b"ifdef CI_$(x)",
        b"$(x)_X ?= 1",
        b"$(eval $(x)_X ?= 1)",
        b"$(eval a := $$(CI_X))",
        b"$(eval ifdef CI_X)",
        b"$(eval $(call t,a))\ndefine t\n$(1)_X ?= 1\nendef",
        b"define t\na := $$($(1)_X)\nendef",
        b"$(eval $(shell cat conf))",
        b"a := $(shell cat conf)\n$(eval $(a))",
        b"a != cat conf",
        b"x: a != cat conf",
        b"a = $(.VARIABLES)",
        b"a = $(guile (getenv 1))",
        b"-load x.so",
        b"a = $(info \\\n  $(CI_X))",
        b"a = $(shell (cd b; echo $(CI_X)))",
        b"a = $(shell echo ')' $(CI_X)",
        b"a = $(if $(b),$(CI_X),c)",
        b"ifeq (a,$(CI_X))",
        b"a = $(CI_X",
        b"CI_X\0",
    ],
)
def test_what_a_text_can_name_is_found(text: bytes) -> None:
    assert can_name(text, b"CI_X")


@pytest.mark.parametrize(
    "text",
    [
        b"all: a.o\n\t$(CC) $(CFLAGS) -o $@ $^ && echo CI_X\n",
        b"# see CI_X\na = CI_X",
        b"a.o: CI_X/b.h CI_X.h",
        b"a = $(C_$(x)) $(CI_$(x)_Y) $(am__v_CC_$(V))",
        b"a = $($(x)cmd_$(y)) $($(x)X_$(y)) $(CI$(x)_$(y)_X)",
        b"a = $(@F) $(*F) $* $(<D)",
        b"a = $(shell echo CI_X | sed 's/x)/y/')",
        b"a = $(word 1,$(b)) $(foreach v,CI_X,echo $(v))",
        b"\tif test a != b; then $(CC); fi",
        b"\t@for i in $$(ls $(D)); do echo $$i; done",
        b"\x7fELF\0\0CI_X$(CI_X)",
        b"",
    ],
)
def test_a_name_that_is_only_a_word_is_not_named(text: bytes) -> None:
    assert not can_name(text, b"CI_X")


def test_what_make_itself_looks_up_always_counts() -> None:
    """Its built-in rules, and names that no text would show as one word."""
    for name in (b"CFLAGS", b"MAKEFLAGS", b"PATH", b"LINK.o", b"BASH_FUNC_f%%", b"a-b"):
        assert can_name(b"", name)
    assert not can_name(b"", b"CI_JOB_ID")


def test_values_name_variables_too() -> None:
    """What make took from the environment is expanded where it is referred to."""
    environment = {b"A": b"$(B)$(C_$(x))", b"B": b"1", b"C_1": b"2", b"D": b"3", b"CI": b"$(D)"}
    assert Selection(names_in(b"a = $(A)")).of(environment).keys() == {b"A", b"B", b"C_1"}
    assert Selection(frozenset({EVERY})).of(environment) == environment


def test_packing() -> None:
    names = names_in(b"a = $(B) $(C_$(d)_E)")
    assert unpack(pack(names)) == names
    assert unpack(pack(frozenset())) == frozenset()
    assert pack(frozenset({b"A", EVERY})) == EVERY


def test_words_where_a_name_is_computed_altogether() -> None:
    """`names_in` can but say: any."""
    text = b"a = $(P_$(x)) $($(1)) \\\n$(B) # and\n# not this\nall: CI_X foo.o\n$(eval $(shell cat conf))"
    assert names_in(text) == {EVERY}
    spelt, words = words_in(text)
    assert {b"P_*", b"B"} <= spelt
    assert EVERY not in words
    assert b"CI_X" not in spelt
    assert {b"CI_X", b"foo", b"B", b"P_*"} <= words
    assert not {b"not", b"this"} & words


def test_names_that_do_not_count_unless_they_are_named() -> None:
    """PATH is among what make itself looks up; where it is only searched along, its value says nothing."""
    path = frozenset({b"PATH"})
    environment = {b"A": b"$(PATH)", b"PATH": b"/bin"}
    assert not Selection(frozenset({b"P*"}), path).has(b"PATH")
    assert Selection(path, path).has(b"PATH")
    assert Selection(frozenset({b"A"}), path).of(environment) == environment
