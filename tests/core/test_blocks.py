"""Environment blocks of a replay."""

from hashmake.judge.blocks import Blocks


def test_what_came_from_outside_is_as_it_is_now_and_what_make_set_stays() -> None:
    before = b"A=1\0B=1\0GONE=1\0OWN=1"
    here = b"A=2\0B=1\0OWN=2\0NEW=1"
    recorded = [b"MAKELEVEL=1\0A=1\0B=1\0GONE=1\0OWN=make's", b"GONE=step's\0NEW=step's\0OWN=1"]
    blocks = Blocks(recorded, before, here)
    assert blocks[0] == b"MAKELEVEL=1\0A=2\0B=1\0OWN=make's\0NEW=1"
    assert blocks[1] == b"GONE=step's\0NEW=step's\0OWN=2"
    assert blocks.recorded(0) == recorded[0]


def test_the_same_environment_leaves_blocks_as_they_were() -> None:
    assert Blocks([b"A=1"], b"A=0\0B=1", b"B=1\0A=0")[0] == b"A=1"
