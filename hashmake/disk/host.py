"""Facts about the host: paths that do not start with "/"."""

import os


def host_fact(name: bytes) -> bytes:
    """The version of a fact about the host: "uname" or "user" (events.h, HM_HOST).

    looker/compare.c has the same.
    """
    if name == b"uname":
        u = os.uname()
        return b"H" + os.fsencode(f"{u.sysname} {u.nodename} {u.release} {u.version} {u.machine}")
    if name == b"user":
        import pwd

        try:
            entry = pwd.getpwuid(os.getuid())
            return b"H" + os.fsencode(f"{entry.pw_uid} {entry.pw_name} {entry.pw_dir}")
        except KeyError:
            return b"H%d" % os.getuid()
    return b"H"
