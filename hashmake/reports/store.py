"""`hashmake store`: what the store of this user holds; trim, empty or check it."""

import json
import shutil
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from hashmake.errors import UserError
from hashmake.reports.carry import used
from hashmake.store import figures, jar, local
from hashmake.store.place import StorePlace, choose, size_of


def _place() -> StorePlace:
    place = choose()
    if place.refused:
        raise UserError(place.refused)
    if not place.top:
        raise UserError("there is no store: `hashmake config` says so, or there is no home directory")
    return place


def carry(verb: str, file: str, limit: str, state: str, as_json: bool) -> tuple[str, int]:
    """Export to a file or import from one: what is to be said, and the exit status. Raises UserError."""
    place = _place()
    if verb == "export":
        size, wrong = size_of(limit)
        if wrong:
            raise UserError(f"--limit {limit}: give a number with k, M, G or T, as 500M")
        sets = used(state, place.top)
        count, written = jar.pour_out(place.top, sets, file, size)
        found: dict[str, Any] = {"file": file, "steps": count, "left_out": len(sets) - count, "bytes": written}
        text = f"{file}: {count} steps, {_megabytes(written)} before it was compressed; {found['left_out']} left out"
    else:
        new, refused = jar.pour_in(place.top, file)
        found = {"file": file, "new": new, "refused": refused}
        text = f"{file}: {new} files are new in {place.top}, {refused} were refused"
    return (json.dumps(found) if as_json else text), int(bool(found.get("refused")))


def store(doing: str, as_json: bool) -> tuple[str, int]:
    """Do it (stats, gc, clear or verify): what is to be said, and the exit status. Raises UserError."""
    place = _place()
    try:
        found, code = _VERBS[doing](place)
    except OSError as error:
        raise UserError(f"{error.filename or place.top}: {error.strerror}") from error
    if doing == "prometheus":
        return figures.as_prometheus(found.get("remote", {})), code
    found = {"store": place.top, "limit": place.limit, **found}
    return (json.dumps(found) if as_json else "\n".join(_lines(found))), code


def _stats(place: StorePlace) -> tuple[dict[str, Any], int]:
    there = local.contents(place.top)
    results = local.contents(place.top, ("results",))
    contents = local.contents(place.top, ("objects",))
    size = sum(size for _path, size, _used in there)
    found: dict[str, Any] = {"results": len(results), "contents": len(contents), "bytes": size}
    remote = figures.remembered(place.top)
    return ({**found, "remote": remote} if remote else found), 0


def _collect(place: StorePlace) -> tuple[dict[str, Any], int]:
    local.make(place.top)
    before = len(local.contents(place.top))
    local.collect(place.top, place.limit)
    found, code = _stats(place)
    return {"removed": before - len(local.contents(place.top)), **found}, code


def _clear(place: StorePlace) -> tuple[dict[str, Any], int]:
    before = len(local.contents(place.top))
    for name in (*local.TABLES, "new"):
        shutil.rmtree(f"{place.top}/{name}", ignore_errors=True)
    local.make(place.top)
    local.collect(place.top, place.limit)
    found, code = _stats(place)
    return {"removed": before, **found}, code


def _verify(place: StorePlace) -> tuple[dict[str, Any], int]:
    bad = local.damaged(place.top)
    found, _code = _stats(place)
    return {"damaged": bad, **found}, 1 if bad else 0


_VERBS: dict[str, Callable[[StorePlace], tuple[dict[str, Any], int]]] = {
    "stats": _stats,
    "prometheus": _stats,
    "gc": _collect,
    "clear": _clear,
    "verify": _verify,
}


def _lines(found: dict[str, Any]) -> list[str]:
    out = [f"store      {found['store']} (at most {_megabytes(found['limit'])})"]
    if "removed" in found:
        out.append(f"removed    {found['removed']} files")
    out += [f"damaged    {path}: removed; whoever needs it makes it again" for path in found.get("damaged", [])]
    if found.get("remote"):
        out += _shared(defaultdict(float, found["remote"]))
    return [*out, f"results    {found['results']}, contents {found['contents']} ({_megabytes(found['bytes'])})"]


def _shared(remote: dict[str, float]) -> list[str]:
    """What came of asking other machines."""
    received, sent = _megabytes(remote["received"]), _megabytes(remote["sent"])
    known = (
        f"{remote['hits']:.0f} hits of {remote['asked']:.0f} steps asked for: they had taken {remote['saved_s']:,.0f} s"
    )
    new = f"{remote['new_commands']:.0f} steps nobody had run, {remote['new_inputs']:.0f} sets of inputs new"
    new += f", {remote['other_tools']:.0f} with other tools"
    new += f", {remote['not_shared']:.0f} can't be shared; {remote['local']:.0f} more were in this store"
    return [
        f"shared     {known}; {remote['told']:.0f} results told",
        f"           {new}; {received} received, {sent} sent, {remote['errors']:.0f} errors",
    ]


def _megabytes(size: float) -> str:
    return f"{size / 1e6:,.1f} MB"
