"""`hashmake config`: what is set, and where that is said."""

import json

from hashmake.settings import KNOWN, SYSTEM, Settings, user_file


def config(as_json: bool) -> tuple[str, int]:
    """What is to be said, and the exit status: 1 where something can't be used."""
    settings = Settings()
    rows = {
        f"{section}.{key}": settings.values.get((section, key), (default, "default"))
        for (section, key), (_variable, default) in KNOWN.items()
    }
    if as_json:
        found = {name: {"value": value, "origin": origin} for name, (value, origin) in rows.items()}
        return json.dumps({"settings": found, "files": [SYSTEM, user_file()], "wrong": settings.wrong}), bool(
            settings.wrong
        )
    lines = [f"{name} = {value}  ({origin})" for name, (value, origin) in rows.items()]
    return "\n".join(lines + settings.wrong), int(bool(settings.wrong))
