"""A scratch place at the tree's own path: private mounts in which everything written goes elsewhere.

Outputs hold absolute paths, so a rebuild that is to be compared must run at the same path. In a mount namespace of its
own a process sees an overlay over each directory that a build writes to: below it the real directory, which nothing
can reach, above it a scratch directory. Where no overlay can be mounted, a copy is put over the directory instead.
"""

import ctypes
import os
import shutil
import stat

from hashmake.errors import UserError

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
# Where no products of a build lie that could be kept apart.
_KERNEL = ("/proc", "/sys", "/dev")


class Cover:
    """One directory under an overlay. `real`: a descriptor of the directory below it."""

    def __init__(self, directory: str, real: int) -> None:
        self.directory = directory
        self.real = real


def directories(wanted: list[str]) -> list[str]:
    """The outermost of these directories, and the places below them where something is mounted; shortest first.

    Raises UserError for one that can't be put under an overlay.
    """
    outermost: list[str] = []
    for path in sorted({os.path.realpath(w) for w in wanted if os.path.isdir(w)}, key=len):
        if path == "/" or path.startswith(tuple(k + "/" for k in _KERNEL)) or path in _KERNEL:
            raise UserError(f"{path}: a build that writes here can't be verified; give single steps by their PATH")
        if not any(path.startswith(above + "/") or path == above for above in outermost):
            outermost.append(path)
    below = [m for m in _mount_points() if any(m.startswith(above + "/") for above in outermost)]
    return sorted({*outermost, *below}, key=len)


def scratch_base(covered: list[str], given: str | None) -> str:
    """Where the scratch directory goes: not below what it covers. Raises UserError."""
    home = os.path.expanduser("~/.cache")
    choices = [given] if given else [os.environ.get("TMPDIR") or "/tmp", "/var/tmp", home]  # noqa: S108  # made private
    for choice in choices:
        path = os.path.realpath(choice)
        if os.path.isdir(path) and not any((path + "/").startswith(each + "/") for each in covered):
            return path
    raise UserError(f"{choices[0]}: lies in the tree that is verified; give a place outside it with --scratch DIR")


def enter() -> None:
    """Give this process mounts of its own; as user also a user namespace, as oneself. Raises UserError."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        if uid:
            _call("unshare", _CLONE_NEWUSER | _CLONE_NEWNS)
            for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
                with open(f"/proc/self/{name}", "w") as table:
                    table.write(text)
        else:
            _call("unshare", _CLONE_NEWNS)
        _mount("none", "/", None, _MS_REC | _MS_PRIVATE, None)
    except OSError as error:
        raise UserError(
            f"verify: no private mounts here ({error.strerror}); allow user namespaces"
            " (sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000), or run it as root"
        ) from error


def cover(directory: str, scratch: str, copy: bool) -> Cover:
    """Let everything that is written below directory go to scratch, an empty directory. Raises UserError."""
    real = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if copy or not _overlay(directory, real, scratch):
            shutil.copytree(f"/proc/self/fd/{real}", os.path.join(scratch, "copy"), symlinks=True)
            shutil.copystat(directory, os.path.join(scratch, "copy"))
            _mount(os.path.join(scratch, "copy"), directory, None, _MS_BIND, None)
    except (OSError, shutil.Error) as error:
        raise UserError(f"{directory}: can't be covered ({error}); give another place with --scratch DIR") from error
    return Cover(directory, real)


def _overlay(directory: str, real: int, scratch: str) -> bool:
    """Mount an overlay; False when the kernel or the file system of scratch can't."""
    layers = [real]
    for name in ("upper", "work"):
        os.mkdir(os.path.join(scratch, name), 0o700)
        layers.append(os.open(os.path.join(scratch, name), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    try:
        shutil.copystat(directory, os.path.join(scratch, "upper"))
        # By descriptor: no path has to be freed of colons and commas.
        lower, upper, work = (f"/proc/self/fd/{layer}" for layer in layers)
        options = f"lowerdir={lower},upperdir={upper},workdir={work}" + (",userxattr" if os.geteuid() else "")
        _mount("overlay", directory, "overlay", 0, options)
    except OSError:
        return False
    finally:
        for layer in layers[1:]:
            os.close(layer)
    return True


def remove(scratch: str) -> None:
    """Remove a scratch directory, also what the overlay or the build made unreadable."""
    for where, below, _files in os.walk(scratch):
        for name in below:
            path = os.path.join(where, name)
            mode = os.lstat(path).st_mode
            if stat.S_ISDIR(mode) and mode & 0o700 != 0o700:
                os.chmod(path, 0o700)  # the owner's own rights, no more
    shutil.rmtree(scratch, ignore_errors=True)


def _mount_points() -> list[str]:
    with open("/proc/self/mountinfo", "rb") as table:
        fields = [line.split()[4] for line in table]
    return [os.fsdecode(f.decode("unicode_escape").encode("latin-1")) for f in fields]


def _mount(source: str, target: str, kind: str | None, flags: int, options: str | None) -> None:
    words = [w if w is None else os.fsencode(w) for w in (source, target, kind)]
    _call("mount", *words, ctypes.c_ulong(flags), None if options is None else os.fsencode(options))


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
