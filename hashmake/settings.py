"""What a user or a system has set: `hashmake.toml`, and over it the environment.

/etc/hashmake.toml, then $XDG_CONFIG_HOME/hashmake/hashmake.toml (else ~/.config/...), then variables: the latter wins.
A file in a source tree is never read: it would be set by whoever wrote the tree.

    [store]
    path = "/big/disk/hashmake"   # or "off"
    size = "20G"

    [remote]
    endpoint = "grpc://cache.example:9092"   # docs/farm.md has all of them
"""

import os

SYSTEM = "/etc/hashmake.toml"
# Section and key, the variable that wins over them, the default.
KNOWN = {
    ("store", "path"): ("HASHMAKE_STORE", "$XDG_CACHE_HOME/hashmake/store"),
    ("store", "size"): ("HASHMAKE_STORE_SIZE", "10G"),
    ("remote", "endpoint"): ("HASHMAKE_REMOTE", "off"),
    ("remote", "instance"): ("HASHMAKE_REMOTE_INSTANCE", ""),
    ("remote", "mode"): ("HASHMAKE_REMOTE_MODE", "read"),
    ("remote", "ca"): ("HASHMAKE_REMOTE_CA", ""),
    ("remote", "certificate"): ("HASHMAKE_REMOTE_CERTIFICATE", ""),
    ("remote", "key"): ("HASHMAKE_REMOTE_KEY", ""),
    ("remote", "token-file"): ("HASHMAKE_REMOTE_TOKEN_FILE", ""),
    ("remote", "salt"): ("HASHMAKE_REMOTE_SALT", ""),
    ("remote", "largest"): ("HASHMAKE_REMOTE_LARGEST", "100M"),
    ("remote", "execute"): ("HASHMAKE_REMOTE_EXECUTE", "off"),
    ("remote", "platform"): ("HASHMAKE_REMOTE_PLATFORM", ""),
}


class Settings:
    """Values by section and key, each with its origin; only what is set.

    wrong  lines that say what can't be used: file, what, what to do
    """

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], tuple[str, str]] = {}
        self.wrong: list[str] = []
        for path in (SYSTEM, user_file()):
            self._read(path)
        for name, (variable, _default) in KNOWN.items():
            if os.environ.get(variable):
                self.values[name] = (os.environ[variable], variable)

    def get(self, section: str, key: str) -> str:
        """The value; empty where it is not set."""
        return self.values.get((section, key), ("", ""))[0]

    def _read(self, path: str) -> None:
        try:
            with open(path, "rb") as file:
                import tomllib  # where there is something to read: it takes a twentieth of a small build

                found = tomllib.load(file)
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            self.wrong.append(f"{path}: {getattr(error, 'strerror', None) or error}; nothing in it counts")
            return
        for section, entries in found.items():
            for key, value in entries.items() if isinstance(entries, dict) else [("", entries)]:
                self._take(path, section, key, value)

    def _take(self, path: str, section: str, key: str, value: object) -> None:
        if (section, key) not in KNOWN:
            name = f"{section}.{key}" if key else section
            known = ", ".join(f"{s}.{k}" for s, k in KNOWN)
            self.wrong.append(f"{path}: {name}: no such setting; there are {known}")
        elif not isinstance(value, str):
            self.wrong.append(f'{path}: {section}.{key}: give a text in quotes, as {key} = "..."')
        else:
            self.values[section, key] = (value, path)


def user_file() -> str:
    """Where a user's own settings are."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return os.path.join(base if base.startswith("/") else os.path.expanduser("~/.config"), "hashmake", "hashmake.toml")
