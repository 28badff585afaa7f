"""What strace saw is in the trace: every file opened, looked up, changed or missed, with the right kind."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from . import harness, stracing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MISSING = ("ENOENT", "ENOTDIR", "ELOOP")
LOOKS = ("stat", "lstat", "newfstatat", "statx", "access", "faccessat", "faccessat2", "readlink", "readlinkat")
# Files that a program of that name finds in its directory; a final slash makes a directory, -> a link.
FILES = {
    "opens": "dir/at dir/at64 dir/attwo dir/attwo64 read read64 two two64 path append both plain plain2 "
    "link->dir plainlink->plain plainlink2->plain2",
    "streams": "read again read64 append both",
    "looks": "dir/fxstatat dir/fstatat dir/fstatat64 dir/statx dir/faccessat stat stat64 lstat lstat64 xstat lxstat "
    "access eaccess euidaccess link->stat dir/link->x link2->stat dir/link2->x link3->stat link4->stat "
    "dir/link5->../stat loop->loop sub/dir/ dirlink->sub/dir sub/stat2",
    "names": "dir/from dir/from2 dir/linked dir/gone dir/mode dir/time from olddir/ linked gone gone2 gonedir/ mode "
    "fmode owner time time2 cut cut2",
    "raw": "openat openat2 fstatat statx faccessat faccessat2 readlinkat->x from unlinkat utimensat open stat unlink",
    "places": "here one/in-one two/in-two beside two/beside link->two here-again mapped copied away/",
}


def populate(folder: Path, files: str) -> None:
    """Make the files that a program expects."""
    for name in files.split():
        path, _, target = name.partition("->")
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        if target:
            os.symlink(target, folder / path)
        elif path.endswith("/"):
            (folder / path).mkdir(exist_ok=True)
        else:
            (folder / path).write_text("content\n")


def physical(path: str) -> str:
    """Resolve the directory part, as traces do."""
    head, tail = os.path.split(os.path.normpath(path) if "/../" not in path else path)
    return os.path.join(os.path.realpath(head), tail)


def missed(call: stracing.Call, kinds: str) -> str:
    """Say what the trace should have had for this call, or nothing."""
    if call.error:
        wanted = {"ENOENT": "nwu"}.get(call.error, "nwul") if call.error in MISSING else ""
    elif call.name.startswith("open") and "O_PATH" not in call.flags and "O_DIRECTORY" not in call.flags:
        writes = any(flag in call.flags for flag in ("O_WRONLY", "O_RDWR"))
        wanted = "w" if writes else "rs"
    elif call.name.startswith(("unlink", "rmdir")):
        wanted = "u"
    elif call.name.startswith(("mkdir", "mknod", "truncate")):
        wanted = "w"
    elif call.name.startswith(("chmod", "chown", "fchmod", "fchown", "lchown")):
        wanted = "c"
    elif call.name.startswith("utim"):
        wanted = "t"
    elif call.name.startswith("exec"):
        wanted = "r"
    elif call.name in LOOKS:
        wanted = "slarwkn"
    else:
        wanted = ""
    return wanted if wanted and not set(wanted) & set(kinds) else ""


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is needed")
@pytest.mark.parametrize("name", sorted(FILES))
def test_a_trace_has_what_strace_saw(
    name: str, program: Callable[..., Path], run: harness.RunDirectory, work: Path
) -> None:
    """Compare a program's trace with the system calls that it made."""
    populate(work, FILES[name])
    calls = stracing.strace(run, work, program(name))
    trace = run.trace()
    assert not trace.lost
    missing = []
    for call in calls:
        path = physical(call.path)
        if not path.startswith(f"{work}/") or call.flags.startswith(", O_TMPFILE"):
            continue
        kinds = trace.kinds(path) + (trace.kinds(os.path.realpath(path)) if os.path.islink(path) else "")
        if " (deleted)" not in path and (wanted := missed(call, kinds)):
            missing.append((call, wanted, kinds))
    assert not missing
    assert len([call for call in calls if call.path.startswith(f"{work}/")]) > 10


def kinds_of(run: harness.RunDirectory, work: Path) -> dict[str, str]:
    """Give the kinds of every path below the work directory, by relative name."""
    kinds: dict[str, str] = {}
    for record in run.trace().records:
        if record.text.startswith(f"{work}/"):
            name = record.text[len(str(work)) + 1 :]
            kinds[name] = kinds.get(name, "") + record.kind
    return kinds


def test_opens_have_their_kinds(program: Callable[..., Path], run: harness.RunDirectory, work: Path) -> None:
    """Each way of opening is told as the contract says."""
    populate(work, FILES["opens"])
    run.run(program("opens"), cwd=work)
    kinds = kinds_of(run, work)
    assert all(kinds[name] == "r" for name in ("read", "read64", "two", "two64", "dir/at", "dir/attwo", "plainlink"))
    assert kinds["absent"] == "n"
    assert kinds["link"] == "l"
    assert (kinds["path"], kinds["dir"]) == ("s", "s")
    assert all(kinds[name] == "w" for name in ("new", "created", "created64"))
    assert (kinds["excl"], kinds["named"]) == ("nw", "nw")
    assert (kinds["append"], kinds["appendnew"], kinds["both"]) == ("rw", "nw", "rw")
    assert (kinds["plainlink2"], kinds["plain2"]) == ("l", "w")
    temporary = [name for name in kinds if name.startswith("t") and name not in FILES["opens"].split()]
    assert len(temporary) == 3
    assert all(kinds[name] == "nw" for name in temporary)


def test_streams_have_their_kinds(program: Callable[..., Path], run: harness.RunDirectory, work: Path) -> None:
    """A stdio mode stands for its flags."""
    populate(work, FILES["streams"])
    run.run(program("streams"), cwd=work)
    assert kinds_of(run, work) == {
        "read": "r", "again": "r", "read64": "r", "absent": "n", "new": "w", "newx": "nw",
        "append": "rw", "appendnew": "nw", "both": "rw",
    }  # fmt: skip


def test_names_have_their_kinds(program: Callable[..., Path], run: harness.RunDirectory, work: Path) -> None:
    """Renames, links and removals are told with both names."""
    populate(work, FILES["names"])
    run.run(program("names"), cwd=work)
    kinds = kinds_of(run, work)
    assert (kinds["from"], kinds["to"]) == ("ru", "w")
    assert (kinds["dir/from2"], kinds["to2"]) == ("ru", "w")
    assert (kinds["olddir"], kinds["newdir"]) == ("sm", "M")
    assert (kinds["linked"], kinds["hard"], kinds["sym"], kinds["dir/sym"]) == ("r", "nw", "nw", "nw")
    assert (kinds["made"], kinds["gone"], kinds["gonedir"], kinds["absent2"]) == ("nws", "u", "u", "n")
    assert all(kinds[name] == "t" for name in ("time", "time2", "dir/time"))
    assert (kinds["cut"], kinds["cut2"], kinds["fmode"]) == ("w", "rw", "rct")
    records = run.trace().records
    moved = next(i for i, record in enumerate(records) if record.kind == "m")
    assert records[moved + 1] == ("M", str(work / "newdir"))


def test_a_removed_working_directory_does_no_harm(
    program: Callable[..., Path], run: harness.RunDirectory, work: Path
) -> None:
    """Names relative to nowhere are not recorded, and nothing is lost."""
    populate(work, FILES["places"])
    run.run(program("places"), cwd=work)
    kinds = kinds_of(run, work)
    assert (kinds["two/in-two"], kinds["beside"], kinds["here-again"], kinds["link"]) == ("r", "r", "r", "l")
    assert (kinds["copied"], kinds["copy"], kinds["mapped"]) == ("r", "w", "rw")
    assert not run.trace().lost


def test_a_link_to_nothing_is_there(program: Callable[..., Path], run: harness.RunDirectory, work: Path) -> None:
    """What is missing is the end of it."""
    os.symlink("between", work / "dangling")
    os.symlink("sub/end", work / "between")
    (work / "sub").mkdir()
    words = "stat dangling read dangling access dangling create dangling".split()
    assert run.run(program("tool"), *words, cwd=work).split() == ["ENOENT", "ENOENT", "ENOENT", "ok"]
    kinds = kinds_of(run, work)
    assert (kinds["dangling"], kinds["between"], kinds["sub/end"]) == ("l", "l", "nw")
