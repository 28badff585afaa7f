"""`hashmake verify`: its findings for people. The findings are the JSON object of docs/verify.md."""

from typing import Any

Row = dict[str, Any]


def lines(found: dict[str, Any]) -> list[str]:
    """The findings as lines; the last one sums up."""
    out: list[str] = []
    for row in found["wrongly_current"]:
        out += [f"wrongly judged current: {_name(row)}", *_more(row)]
    for row in found["not_repeatable"]:
        out += [f"not repeatable: {_name(row)}", *_more(row)]
    for row in found["not_comparable"]:
        out += [f"can't be compared: {_name(row)}", f"  {row['because']}"]
    for row in found["altered"]:
        out.append(f"altered since it was built: {row['path']}: {row['before']} -> {row['now']}")
    if found["failed"]:
        out.append(f"the clean build failed: make's exit status was {found['failed']}")
    steps = found["steps"]
    command = " ".join(["make", *found["argv"]])
    what = f"{steps['verified']} of {steps['known']} steps of `{command}` verified"
    parts = [
        f"{len(found['not_repeatable'])} not repeatable",
        f"{len(found['wrongly_current'])} wrongly judged current",
        f"{len(found['altered'])} products altered",
    ]
    if found["follows"]:
        parts.append(f"{found['follows']} more differ because of these")
    out.append(f"{what} in {found['wall_s']:.1f} s: {', '.join(parts)}")
    if found["seed"] is not None:
        out.append(f"the same sample again: --sample {found['sample']} --seed {found['seed']}")
    return out


def _name(row: Row) -> str:
    command: str = row["command"].strip().split("\n")[0]
    command = command if len(command) <= 160 else command[:157] + "..."
    times = f" ({row['times']} times)" if row["times"] > 1 else ""
    return ("$(shell) " if row["shell_function"] else "") + command + times


def _more(row: Row) -> list[str]:
    out = [f"  in {row['cwd']}"]
    if row["because"]:
        out.append(f"  {row['because']}")
    for each in row["differences"]:
        place = {"text": "line {line}, column {column}", "bytes": "byte {offset}"}.get(each["kind"], "").format(**each)
        out.append(f"  {', '.join(p for p in (each['path'] or 'what it prints', place) if p)}:")
        out += [f"    before: {each['before']}", f"    again:  {each['again']}"]
    return out
