"""The built library exports what the decision table says, has every twin, and imports nothing that may allocate."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

TABLE = Path(__file__).with_name("decisions.txt")
# Allocation, formatted output, and ways to die; exit handlers that gcc puts in by itself are weak and not counted.
FORBIDDEN = re.compile(
    r"^(m|c|re|memal|reallocarr)?alloc|^free$|printf|^puts$|^fwrite|^abort$|^__assert|^exit$|^pthread_mutex"
)
# A wrapped name asks for the others in its line, as far as libc has them.
TWINS = (
    "open open64 __open __open64 __open_2 __open64_2 openat openat64 __openat_2 __openat64_2 creat creat64",
    "fopen fopen64 freopen freopen64",
    "mkstemp mkstemp64 mkostemp mkostemp64 mkstemps mkstemps64 mkostemps mkostemps64 mkdtemp",
    "stat stat64 lstat lstat64 fstat fstat64 fstatat fstatat64 statx",
    "__xstat __xstat64 __lxstat __lxstat64 __fxstat __fxstat64 __fxstatat __fxstatat64",
    "access eaccess euidaccess faccessat",
    "readlink __readlink_chk readlinkat __readlinkat_chk realpath __realpath_chk canonicalize_file_name",
    "getcwd __getcwd_chk getwd __getwd_chk get_current_dir_name",
    "readdir readdir64 readdir_r readdir64_r scandir scandir64 scandirat scandirat64 getdents64",
    "glob glob64 ftw ftw64 nftw nftw64 fts_read fts64_read fts_children fts64_children",
    "mkdir mkdirat mknod mknodat __xmknod __xmknodat mkfifo mkfifoat symlink symlinkat link linkat",
    "rename renameat renameat2 unlink unlinkat rmdir remove truncate truncate64",
    "chmod lchmod fchmod fchmodat chown lchown fchown fchownat",
    "utime utimes lutimes utimensat futimesat futimes futimens",
    "execl execle execlp execv execve execvp execvpe execveat fexecve posix_spawn posix_spawnp system popen",
    "fork __fork _Fork _exit _Exit",
    "read __read_chk fgets __fgets_chk fread __fread_chk",
    "gethostname __gethostname_chk getdomainname __getdomainname_chk getlogin_r __getlogin_r_chk",
)


def symbols(path: str | Path, kind: str) -> set[str]:
    """Give the dynamic symbols that an object defines or needs, without versions."""
    out = subprocess.run(["nm", "-D", f"--{kind}-only", str(path)], check=True, capture_output=True, text=True).stdout
    return {line.split()[-1].split("@")[0] for line in out.splitlines() if " w " not in line}


def decisions() -> dict[str, str]:
    """Read the table: name to decision."""
    lines = [line for line in TABLE.read_text().splitlines() if not line.startswith("#")]
    table = dict(line.split(" ", 1) for line in lines)
    assert len(table) == len(lines)
    return table


def libc() -> set[str]:
    """Give what libc exports."""
    out = subprocess.run(["ldd", "/bin/sh"], check=True, capture_output=True, text=True).stdout
    found = re.search(r"libc\.so\S* => (\S+)", out)
    assert found
    return symbols(found[1], "defined")


def test_the_library_exports_what_the_table_says(built: Path) -> None:
    """Every wrapper has its line, every line its wrapper, and libc has all of them."""
    exported = symbols(built / "libhashmake.so", "defined")
    table = decisions()
    decided = {name for name, decision in table.items() if decision in ("wrapped", "refused")}
    assert exported == decided
    assert not exported - libc()


def test_every_line_is_a_decision() -> None:
    """And a covered function names one that is in the table."""
    table = decisions()
    for name, decision in table.items():
        word, _, reason = decision.partition(" ")
        assert word in ("wrapped", "refused", "covered-by", "not-needed"), name
        assert word != "not-needed" or reason.startswith("because "), name
        assert word != "covered-by" or reason.split()[0] in table, name


def test_every_wrapper_has_its_twins(built: Path) -> None:
    """The 64-bit, at and fortified forms of a call come together."""
    exported = symbols(built / "libhashmake.so", "defined")
    known = libc()
    missing = {name for line in TWINS for name in line.split() if name in known} - exported
    assert not missing


def test_the_library_neither_allocates_nor_prints_nor_dies(built: Path) -> None:
    """It runs inside other programs' signal handlers and vfork children."""
    needed = symbols(built / "libhashmake.so", "undefined")
    assert not {name for name in needed if FORBIDDEN.search(name)}
    assert len(needed) < 40
