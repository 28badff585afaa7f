"""A trace as its launcher sums it up (events.h, known records)."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from array import array


class Summary:
    """What a plain step did.

    facts       array "I": those that known records tell, about paths that the step has not written
    records     all others, in their order; those that are no writes once each
    generation  that of the known records when they were looked up
    tail        how much of the trace this is
    """

    __slots__ = ("facts", "generation", "records", "tail")

    def __init__(self, facts: "array[int]", records: list[bytes], generation: int, tail: int) -> None:
        self.facts = facts
        self.records = records
        self.generation = generation
        self.tail = tail
