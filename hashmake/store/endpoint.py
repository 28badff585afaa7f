"""Where other machines' results are: a server of the Remote Execution API, as the settings name it (docs/farm.md)."""

from typing import NamedTuple

from hashmake.settings import Settings
from hashmake.store.place import size_of

_SECURE = "grpcs://"
_PLAIN = "grpc://"
_SOCKET = "unix:"
_OFF = ("", "off", "no", "0")
_LARGEST = "100M"


class Endpoint(NamedTuple):
    """A server, and how to speak to it.

    name      as it is set
    target    as grpc names it
    secure    over TLS
    writes    results of this machine are told to others
    ca, certificate, key  PEM; None: the system's authorities, no certificate of ours
    token     who we are; empty: nobody
    salt      names another cache on the same server
    largest   bytes of the largest content that is told
    executes  steps are sent there to be run
    platform  what the machines that run them must be: names and values
    """

    name: str
    target: str
    secure: bool = False
    instance: str = ""
    writes: bool = False
    ca: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = None
    token: str = ""
    salt: bytes = b""
    largest: int = 100_000_000
    executes: bool = False
    platform: tuple[tuple[str, str], ...] = ()


def choose(settings: Settings) -> tuple[Endpoint | None, str]:
    """As the settings say; None where there is none, or (and then why, in one line) where it can't be used."""
    name = settings.get("remote", "endpoint")
    if name.lower() in _OFF:
        return None, ""
    try:
        return _endpoint(name, settings), ""
    except OSError as error:
        return None, f"{error.filename}: {error.strerror}; the shared cache {name} is not used"
    except ValueError as error:
        return None, f"{error}; the shared cache is not used"


def _endpoint(name: str, settings: Settings) -> Endpoint:
    secure = name.startswith(_SECURE)
    target = name if name.startswith(_SOCKET) else name.removeprefix(_SECURE if secure else _PLAIN).rstrip("/")
    if target == name and not name.startswith(_SOCKET):
        raise ValueError(f"remote.endpoint {name!r}: give grpc://HOST:PORT, grpcs://HOST:PORT or unix:/PATH")
    mode = settings.get("remote", "mode") or "read"
    if mode not in ("read", "read-write"):
        raise ValueError(f'remote.mode {mode!r}: give "read" or "read-write"')
    execute = settings.get("remote", "execute") or "off"
    if execute not in ("on", "off"):
        raise ValueError(f'remote.execute {execute!r}: give "on" or "off"')
    largest, wrong = size_of(settings.get("remote", "largest") or _LARGEST)
    if wrong:
        raise ValueError(f"remote.largest {settings.get('remote', 'largest')!r}: give a number with k, M or G, as 100M")
    files = {key: _content(settings.get("remote", key)) for key in ("ca", "certificate", "key", "token-file")}
    if (files["certificate"] is None) != (files["key"] is None):
        raise ValueError("remote.certificate and remote.key: give both, or none")
    token = (files["token-file"] or b"").decode("ascii", "replace").strip()
    if not secure and any(files[key] is not None for key in ("ca", "certificate")):
        raise ValueError(f"remote.endpoint {name!r}: certificates are for grpcs://")
    if token and name.startswith(_PLAIN):
        raise ValueError(f"remote.endpoint {name!r}: a token is not sent where others could read it; give grpcs://")
    return Endpoint(
        name,
        target,
        secure,
        settings.get("remote", "instance"),
        mode == "read-write",
        files["ca"],
        files["certificate"],
        files["key"],
        token,
        settings.get("remote", "salt").encode("utf-8", "surrogateescape"),
        largest,
        execute == "on",
        _properties(settings.get("remote", "platform")),
    )


def _properties(text: str) -> tuple[tuple[str, str], ...]:
    pairs = [part.strip().partition("=") for part in text.split(",") if part.strip()]
    if not all(name and equals for name, equals, _value in pairs):
        raise ValueError(f"remote.platform {text!r}: give names and values, as OSFamily=linux,ISA=x86-64")
    return tuple(sorted((name, value) for name, _equals, value in pairs))


def _content(path: str) -> bytes | None:
    if not path:
        return None
    with open(path, "rb") as file:
        return file.read()
