"""A step's identity and the environment it depends on."""

from __future__ import annotations

import pytest

from hashmake.disk.disk import Disk
from hashmake.kbuild.plugin import Kbuild
from hashmake.model.environment import Environment
from hashmake.model.makeflags import never, normal_makeflags
from hashmake.model.shelltext import is_idle, measures, only_prints, variables_in
from hashmake.model.variables import EXPRESSIONS, HERE, WHOLE


def environment(*strings: bytes) -> Environment:
    return Environment(0, list(strings), b"/lib/libhashmake.so", never)


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        (b"", b""),
        (b" -j2 --jobserver-auth=3,4", b""),
        (b"s -j8 --jobserver-auth=fifo:/tmp/x", b""),
        (b"kw -- V=1 O=out", b" -- O=out V=1"),
        (b"rR --no-print-directory -Oline", b"rR"),
        (b"rRs -- obj=kernel", b"rR -- obj=kernel"),
        (b"e -j2", b"e"),
        (b" -- A=1 B=2 A=2", b" -- A=1 A=2 B=2"),
        (b" -- B=c\\ d A=a\\ b", b" -- A=a\\ b B=c\\ d"),
        (b" -- B=2 A:=$(B)", b" -- B=2 A:=$(B)"),
        (b"V=sk", b"V=sk"),
    ],
)
def test_makeflags_keep_only_what_can_change_a_product(given: bytes, normal: bytes) -> None:
    """-j, -s, -k, -w, -O and the jobserver are gone."""
    assert normal_makeflags(given, never).strip() == normal.strip()


def test_kbuild_verbosity_is_no_difference() -> None:
    """V=1 and -s run nothing: neither variables nor the echo in the command count."""
    k = Kbuild(Disk())
    quiet = [b"/bin/sh", b"/bin/sh", b"-c", b"set -e;  echo '  CC      a.o';    gcc -c a.c"]
    loud = [b"/bin/sh", b"/bin/sh", b"-c", b"set -e;  echo '  gcc -DX='\\''\"y\"'\\'' -c a.c';    gcc -c a.c"]
    silent = [b"/bin/sh", b"/bin/sh", b"-c", b"set -e;   gcc -c a.c"]
    assert k.normal_argv(quiet) == k.normal_argv(loud) == k.normal_argv(silent)
    assert normal_makeflags(b" -- V=1 KCFLAGS=-g", k.meaningless) == b" -- KCFLAGS=-g"


def test_only_looked_up_variables_count() -> None:
    """A variable that nobody looked up may change; one that was looked up and not set may not appear."""
    then = environment(b"A=1", b"B=2")
    facts = then.facts({b"A", b"C"}, b"/w")
    assert environment(b"A=1", b"B=9").difference(facts, b"/w") is None
    assert environment(b"A=2").difference(facts, b"/w") == b"A"
    assert environment(b"A=1", b"C=").difference(facts, b"/w") == b"C"
    assert environment(b"B=2").difference(facts, b"/w") == b"A"


def test_the_whole_environment_leaves_out_what_carries_no_meaning() -> None:
    """MAKELEVEL, TERM, our own names and PWD where it equals the directory."""
    facts = environment(b"A=1", b"MAKELEVEL=1", b"TERM=x", b"PWD=/w", b"HASHMAKE_STEP=4").facts({WHOLE}, b"/w")
    assert environment(b"A=1", b"MAKELEVEL=2").difference(facts, b"/w") is None
    assert environment(b"A=1", b"PWD=/elsewhere").difference(facts, b"/w") == WHOLE


def test_our_preload_is_taken_out_and_others_stay() -> None:
    """fakeroot's library stays in LD_PRELOAD."""
    assert environment(b"LD_PRELOAD=/lib/libhashmake.so libfakeroot.so").variables == {b"LD_PRELOAD": b"libfakeroot.so"}
    assert environment(b"LD_PRELOAD=/lib/libhashmake.so").variables == {}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (b"gcc -c a.c", set()),
        (b"echo $FOO ${BAR:-x}", {b"FOO", b"BAR"}),
        (b"echo $((COUNT + 1))", {b"echo", b"COUNT", EXPRESSIONS}),
        (b'eval "echo \\$$x"', {WHOLE}),
        (b"echo ${!name}", {WHOLE}),
        (b"set -e; gcc", set()),
        (b"cd x; set", {WHOLE}),
        (b"export -p", {WHOLE}),
        (b"rm -f .tmp_$$", set()),
        (b"cat ~/f", {b"HOME"}),
        (b"cp a~ b", set()),
        (b"cd x && make", set()),
        (b"cd; ls", {b"HOME"}),
        (b"cd # home\nls", {b"HOME"}),
        (b"awk '$1 ~ /x/ { print }' f # it's ~ here", set()),
        (b'nm ${1} || echo "${0}: ${NM} failed" >&2\nawk -v "f=${1}" \'\nnames[$3]=$2 ~ 1 {\n}\'', {b"NM"}),
        (b"sed 's/eval/set/' f", set()),
        (b"let 'a=B'", {b"let", b"a", b"B", EXPRESSIONS}),
        (b"a['B']=1", {b"a", b"B", EXPRESSIONS}),
        (b"PS4='${!x}'; set -x", {WHOLE}),
        (b'awk "\\$1 ~ /x/" f; cd d', {b"HOME"}),
        (b"a='it'\\''s'; cat ~/f 'b'", {b"HOME"}),
        (b'echo "it\'s" ~/f', {b"HOME"}),
        (b'echo "$(echo \'"\' ~/f)"', {b"HOME"}),
        (b"cat <<E\nit's $(echo ~)\nE\necho 'a'", {b"HOME"}),
        (b"echo $'a\\' ' ~/f'b'", {b"HOME"}),
        (b"echo `echo \\\\'` ~ 'x'", {b"HOME"}),
        (b"trap 'rm -f ~/f' EXIT", {b"HOME"}),
        (b"echo a#b' ~ 'c ~", {b"HOME"}),
        (b"x=${y#' ~ '}", {b"y"}),
        (b"test -v N", {b"test", b"v", b"N", EXPRESSIONS}),
        (b'[ -v "$n" ]', {WHOLE}),
        (b"cp -R $x y", {b"x"}),
        (b"if true; then export; fi", {WHOLE}),
        (b"declare -p X", {WHOLE}),
        (b"make --eval-me x", set()),
        (b"echo $(($(echo N) + 1))", {WHOLE}),
        (b"echo $((${p}_N))", {WHOLE}),
        (b"echo $((N$i))", {WHOLE}),
        (b"echo $(($a$b))", {WHOLE}),
        (b"echo $((0x$c))", {b"c", b"echo", b"x", EXPRESSIONS}),
        (b'[ -x "$(command -v $X)" ]', {b"X"}),
        (b"# only if it is set\n:", set()),
        (b"\t# eval\ncat <<E\n# ${!x}\nE", {WHOLE}),
        (b"set", {WHOLE}),
        (b"cdset x; reset; offset", set()),
    ],
)
def test_a_shell_text_names_the_variables_it_can_use(text: bytes, names: set[bytes]) -> None:
    """Names made at run time take the whole environment."""
    assert variables_in(text) == names


@pytest.mark.parametrize(
    ("text", "prints"),
    [
        (b"echo '  CC a.o'", True),
        (b'printf "%s\\n" "$USER > x"; echo done', True),
        (b"echo warning >&2", True),
        (b"test -f a || echo none", True),
        (b"[ -n '$(x)' ] && echo yes", True),
        (b":", True),
        (b"echo a > b", False),
        (b"echo a | tee b", False),
        (b"echo `rm x`", False),
        (b'echo "$(rm x)"', False),
        (b"rm -f c t4 t5", False),
        (b"echo a; rm -f x", False),
        (b"mkdir -p d", False),
        (b"(cd d && echo a)", False),
        (b"f() { rm x; }; echo a", False),
        (b"", False),
    ],
)
def test_a_line_that_only_prints_can_change_nothing(text: bytes, prints: bool) -> None:
    """What may remove or make something has its own moment."""
    assert only_prints([b"/bin/sh", b"/bin/sh", b"-c", text]) is prints


@pytest.mark.parametrize(
    ("text", "idle"),
    [
        (b"set -e;  trap 'rm -f a.o; trap - HUP; kill -s HUP $$' HUP;  trap 'rm -f a.o' INT; ", True),
        (b"set -x; :", True),
        (b"test -f a", True),
        (b"trap 'rm -f a' EXIT; :", False),
        (b"trap 'rm -f a' HUP 0", False),
        (b'trap "$(rm a)" HUP', False),
        (b"set -e; ./stop", False),
        (b"kill $(cat pid)", False),
        (b"kill 1234", False),
        (b"", False),
    ],
)
def test_a_shell_that_only_prepares_is_idle(text: bytes, idle: bool) -> None:
    assert is_idle([b"/bin/sh", b"/bin/sh", b"-c", text]) is idle


@pytest.mark.parametrize("text", [b"basename $PWD", b"x=`pwd`", b"echo ${OLDPWD#/}", b"cd a && pwd | md5sum"])
def test_a_shell_that_makes_something_of_where_it_is(text: bytes) -> None:
    assert HERE in variables_in(text)


@pytest.mark.parametrize(
    ("text", "does"),
    [
        (b"basename /home/me/linux > name", True),
        (b"echo /home/me/linux | md5sum", True),
        (b"x=/home/me/linux; echo ${x##*/}", True),
        (b"gcc -I/home/me/linux/include -c a.c", False),
        (b"gcc -I/home/me/linux -c -o scripts/kconfig/expr.o scripts/kconfig/expr.c -o lib/base64.o -D expr", False),
        (b"x=$(basename /home/me/linux)", True),
        (b"if ! LC_ALL=C /usr/bin/sed s/a/b/ /home/me/linux/a; then :; fi", True),
        (b"find /home/me/linux | xargs sha1sum", True),
        (b"/home/me/linux/scripts/mksed-tr /home/me/linux", False),
    ],
)
def test_a_shell_that_makes_something_of_a_path(text: bytes, does: bool) -> None:
    assert measures([b"/bin/sh", b"sh", b"-c", text], False) is does


def test_a_program_makes_something_of_a_path_where_its_answer_is_taken() -> None:
    """Make starts it without a shell where it needs none: in a recipe what it prints is for people."""
    command = [b"/usr/bin/dirname", b"dirname", b"/home/me/linux"]
    assert measures(command, True)
    assert not measures(command, False)


def test_a_command_without_a_shell_that_only_prints() -> None:
    assert only_prints([b"/usr/bin/echo", b"echo", b"a"])
    assert not only_prints([b"/usr/bin/rm", b"rm", b"a"])
    assert not only_prints([b"/bin/sh", b"sh", b"script.sh"])
