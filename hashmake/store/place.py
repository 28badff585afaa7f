"""Where the store is, and how large it may become: as set (settings.py), else in the user's cache directory."""

import os
import re
import stat

from hashmake.settings import Settings

DEFAULT_SIZE = 10_000_000_000
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


class StorePlace:
    """The directory of the store ("": there is none), its limit in bytes.

    remote_set  a shared cache is named, too (endpoint.py)
    refused  why it can't be used, one line; "" if it can
    said     lines about settings that can't be used
    """

    def __init__(self, top: str, limit: int, refused: str = "") -> None:
        self.top = top
        self.limit = limit
        self.refused = refused
        self.said: list[str] = []
        self.remote_set = False


def choose(tree: tuple[str, ...] = (), instead: str = "") -> StorePlace:
    """As the settings say: a directory, `off`, or nothing.

    tree     source and output directory of a build: there the store would be seen by its steps
    instead  where it goes if the user's cache lies in there
    """
    settings = Settings()
    place = _choose(settings.get("store", "path"), settings.get("store", "size"), tree, instead)
    place.said = settings.wrong
    place.remote_set = bool(settings.get("remote", "endpoint"))
    return place


def _choose(said: str, size: str, tree: tuple[str, ...], instead: str) -> StorePlace:
    limit, wrong = size_of(size)
    if said.lower() in ("off", "no", "0") or not limit:
        return StorePlace("", limit)
    top = os.path.abspath(os.path.expanduser(said)) if said else _of_user()
    inside = any((os.path.realpath(top) + "/").startswith(directory + "/") for directory in tree)
    if inside and said:
        wrong = f"{top}: lies in the tree that is built; set store.path (HASHMAKE_STORE) to another place, or to off"
    elif inside:
        top = instead
    return StorePlace(top, limit, (wrong or _wrong_owner(top)) if top else "")


def _of_user() -> str:
    """In the user's cache directory; nowhere for a user without a home."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not base.startswith("/"):
        home = os.path.expanduser("~")
        if not home.startswith("/") or not os.path.isdir(home):
            return ""
        base = os.path.join(home, ".cache")
    return os.path.join(base, "hashmake", "store")


def size_of(text: str) -> tuple[int, str]:
    """Bytes, and what is wrong with the text."""
    if not text:
        return DEFAULT_SIZE, ""
    parts = re.fullmatch(r"(\d+)([kmgt]?)b?", text.strip().lower())
    if parts is None:
        return DEFAULT_SIZE, f"store.size {text!r}: give a number with k, M, G or T, as 20G"
    return int(parts[1]) * _UNITS[parts[2]], ""


def _wrong_owner(top: str) -> str:
    """What is restored is believed by who builds: nobody else may write there."""
    try:
        st = os.lstat(top)
    except OSError:
        return ""
    if not stat.S_ISDIR(st.st_mode):
        return f"{top}: not a directory; set store.path (HASHMAKE_STORE) to one, or to off"
    if st.st_uid != os.geteuid():
        return f"{top}: belongs to another user; set store.path (HASHMAKE_STORE) to a directory of your own, or to off"
    if st.st_mode & 0o022:
        return f"{top}: others may write there; chmod 700 it, or set store.path (HASHMAKE_STORE)"
    return ""
