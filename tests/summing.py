"""What launcher/summary.c does, said once more: a trace in fewer words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

WRITES = b"wutc"
LOOKS = b"rnslak"
BEYOND = b"PmM+"


def sum_up(records: list[bytes], known: Mapping[bytes, int]) -> tuple[list[int], list[bytes]] | None:
    """Facts, and the other records; None: only the whole trace will do."""
    if any(record[:1] in (b"", *(bytes([kind]) for kind in BEYOND)) for record in records):
        return None
    written = {record[1:] for record in records if record[0] in WRITES}
    facts: list[int] = []
    others: list[bytes] = []
    seen: set[bytes] = set()
    for record in records:
        if record[0] not in WRITES:
            if record in seen:
                continue
            seen.add(record)
            if record[0] in LOOKS and record[1:] not in written and known.get(record):
                facts.append(known[record])
                continue
        others.append(record)
    return facts, others
