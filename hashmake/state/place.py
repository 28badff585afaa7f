"""Where the state goes: beside the products; where those lie on a network file system, among the user's own state.

LMDB maps its file into memory and the lock is flock's: neither can be relied on across a network, or through a file
system of user space, which is why those are treated as remote unless they are known to lie on a local disk.
"""

import os

from hashmake.model import digest

NAME = ".hashmake"
_REMOTE = frozenset(
    "nfs nfs4 cifs smb3 smbfs ncpfs 9p virtiofs afs kafs coda ceph lustre gpfs beegfs orangefs pvfs2 glusterfs gfs2"
    " ocfs2 acfs vboxsf prl_fs drvfs fuse".split()
)
_LOCAL_FUSE = frozenset("fuse.fuse-overlayfs fuse.bindfs fuse.gocryptfs fuse.encfs fuse.mergerfs fuse.unionfs".split())


class Place:
    """The state directory's path; `remote`: what file system kept it from lying beside the products.

    refused   why it can't lie there, one line; "" if it can
    """

    def __init__(self, path: str, remote: str = "", refused: str = "") -> None:
        self.path = path
        self.remote = remote
        self.refused = refused


def choose(out: str, given: str | None) -> Place:
    """Where the state of builds in directory `out` goes; `given` is what the user said, if anything."""
    path = os.path.abspath(given) if given else os.path.join(out, NAME)
    remote = remote_type(path)
    if not remote:
        return Place(path)
    if not given:
        base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
        moved = os.path.join(base, "hashmake", digest.of_bytes(os.fsencode(os.path.realpath(out))).hex())
        if not remote_type(moved):
            return Place(moved, remote)
        path = moved
    return Place(path, remote, f"{path}: on a network file system ({remote}); give a local place with --state-dir")


def remote_type(path: str) -> str:
    """The type of the network file system that path is on, or will be when it is made; "" on a local one."""
    while True:
        try:
            device = os.stat(path).st_dev
            break
        except OSError:
            if path in {"/", ""}:
                return ""
            path = os.path.dirname(path)
    if os.major(device):
        return ""  # a disk: no need to look any further
    kind = _type_of(path, device)
    return kind if _is_remote(kind) else ""


def _is_remote(kind: str) -> bool:
    return kind in _REMOTE or (kind.startswith("fuse.") and kind not in _LOCAL_FUSE)


def _type_of(path: str, device: int) -> str:
    """As /proc/self/mountinfo has it; found by device number, or by mount point where that is the file system's own."""
    number = f"{os.major(device)}:{os.minor(device)}"
    path = os.path.realpath(path) + "/"
    best, kind = -1, ""
    try:
        with open("/proc/self/mountinfo") as mounts:
            for line in mounts:
                fields = line.split(" ")
                found = fields[fields.index("-") + 1]
                if fields[2] == number:
                    return found
                point = fields[4].encode().decode("unicode_escape").rstrip("/") + "/"
                if path.startswith(point) and len(point) >= best:
                    best, kind = len(point), found
    except (OSError, ValueError, IndexError):
        return ""
    return kind
