"""What is in the database: docs/database.md is generated from this text."""

VERSION = 8

SCHEMA = """\
One LMDB environment per output directory, `.hashmake/db/`. Keys are a table letter followed by what is said below.
Every value ends with 4 bytes: CRC-32 of key and value, since LMDB has no checksums of its own. Integers are
little-endian u32 unless said otherwise; "list" is a count, that many lengths, then the byte strings one after another.

| key | value |
| --- | --- |
| `V` | version of this schema (u32). Another version: the database is set aside |
| `M` | state: seq (u64), build, next result number, next chunk number (u32 each) |
| `O` | while a build runs: goal (16), run directory, NUL, boot id; empty when the last build ended in order |
| `p` chunk (u32 BE) | new paths of one save (list); a path's number is its place over all chunks |
| `v` chunk | new versions (list); number 0 is ABSENT and is not stored |
| `f` chunk | new facts: count, kinds (u8 each), paths, versions |
| `e` chunk, `b` chunk | sets of environment facts (list); environment blocks (list, compressed) |
| `l` chunk | (path, version before, version after, result) of each output of each plain step; 0: of a composite |
| `r` number (u32 BE) | one result, see model/result.py (Result.pack) |
| `y` number (u32 BE) | how make last went through that composite, see model/course.py (Course.pack); empty: not known |
| `k` key (16 bytes) | numbers of the results of that step, newest last |
| `x` goal (16), chunk | paths that builds of this goal wrote, added by one save |
| `g` goal (16) | roots (input digest, result number); products (path, before, after); began (path, version, moment) |
| `W` | goals (list); paths, and the place in that list of the goal that last wrote each |
| `P` | all products: path, version, moment (u64) |
| `S` | all sources: path, version, moment (u64) at which each was last seen to change, or first seen (run/view.py) |
| `K` path | table of names (list): as its step wrote it, after the last build, before its last change, build of that |
| `T` kind (1), version of a file | what was found in its text: names joined by NUL (projections) |
| `L` build (u32 BE) | log of a build, the last 20: compressed JSON. That of the last null build is the file `null` |
| `A` | the real time (ns, u64) of what git tracks, unchanged at first sight; of builds real time and moment (u64) |
| `D` | not empty: what is not recorded in the tree can't be believed (after damage, or when the machine went down) |
| `C` | size of the file (bytes, u64) when it was first complete, or after the last compaction (state/compact.py) |
| `H` | the state directory's path when this was written: a tree that was moved is noticed |
"""
