"""What is said at the end of a build about files that a person or plain make may have made."""

import os

from hashmake.build.prepare import Preparation
from hashmake.build.setting import Setting
from hashmake.judge.account import Account
from hashmake.judge.tree import Tree
from hashmake.model.kinds import READ
from hashmake.model.result import Result, ResultId
from hashmake.model.tables import Tables
from hashmake.tell import say

_MOST_LINES = 5  # about files of one kind


def tell_what_was_replaced(setting: Setting, preparation: Preparation, tree: Tree, code: int) -> bool:
    """Say where a person's version of a product is now, and which products have become a person's.

    Whether make has to evaluate once more: a step had written what is a person's.
    """
    out, paths = setting.request.out, setting.recording.tables.paths
    kept: list[tuple[str, str]] = []
    again = False
    for path, copy in setting.keeper.replaced():
        name = os.path.relpath(os.fsdecode(path), out)
        if path in setting.keeper.mine and setting.keeper.put_back(path, copy):
            again = True  # who read it meanwhile read the step's
        else:
            kept.append((name, os.path.relpath(os.fsdecode(copy), out)))
    for name, where in kept[:_MOST_LINES]:
        say(f"{out}: {name}: changed by hand, made again; yours is {where}; `hashmake keep {name}` brings it back")
    if kept[_MOST_LINES:]:
        say(f"{out}: {len(kept) - _MOST_LINES} more changed by hand and made again; yours are beside the first")
    if code == 0:
        setting.keeper.forget_given_back()
        left = [
            p for p, version in preparation.altered.items() if p in preparation.taken and tree.on_disk(p) == version
        ]
        for pid in left[:_MOST_LINES] if not setting.request.quiet else ():
            name = os.path.relpath(os.fsdecode(paths[pid]), out)
            say(f"{out}: {name}: changed by hand, yours now; `hashmake keep --undo {name}` has it made again")
    return again


def tell_orphans(setting: Setting, orphans: list[bytes]) -> None:
    """Products that no step of this goal makes any more."""
    first = os.path.relpath(os.fsdecode(orphans[0]), setting.request.where)
    more = f" and {len(orphans) - 1} more" if len(orphans) > 1 else ""
    say(f"{first}{more}: no rule makes it any more; hidden from this build, not removed")


def tell_first_contact(setting: Setting, tables: Tables, account: Account, result: Result) -> None:
    """Files make looked at that no step made or read: perhaps products of plain make."""
    read = {tables.fact_path[f] for f in result.facts if tables.fact_kind[f] == READ}
    made = set(result.outs[0::3])
    below = [setting.recording.result(ResultId(rid)) for rid in result.kids]
    kids = {tables.fact_path[f] for kid in below if kid is not None for f in kid.facts}
    kids.update(tables.fact_path[f] for f in account.facts if tables.fact_kind[f] == READ)
    inside = tuple(os.fsencode(d) + b"/" for d in (setting.request.where, setting.request.out))
    looked = [p for p in account.looks if p in read and p not in made and p not in kids]
    taken = sorted(path for p in looked if (path := tables.paths[p]).startswith(inside))
    if taken:
        first = os.path.relpath(os.fsdecode(taken[0]), setting.request.where)
        say(
            f"first build here: {len(taken)} files (such as {first}) were taken as they are;"
            " if plain make made them before, `hashmake build -B` distrusts them"
        )
