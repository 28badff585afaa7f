"""What steps left, shared between machines: satisfies judge.world.Remote, by a server of the Remote Execution API.

Two levels, both in the server's ActionCache, under names that are digests of Actions nobody runs:

    a step, slot 0 1 2 ...          one set of things that runs of it looked at, in each (model/shared.py: Questions)
    a step, such a set, its answers  what it left (Left); its contents lie in the ContentAddressableStorage

Before that the plan of the goal is read (plan.py): what its last builds found is known at once, and contents are read
ahead while what is found goes on being as the plan has it.

What is found is put into the store of this machine, and found there. Slots are written once: two machines that write
the same slot cost each other a hit. Nothing that comes is believed: contents have to have the digests that are their
names, and the versions that the result tells.
"""

import hashlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from hashmake.judge.world import Told
from hashmake.model import shared
from hashmake.store.calls import BATCH_READ, GET_RESULT, UPDATE_RESULT, ZSTD
from hashmake.store.client import REFUSED, Client
from hashmake.store.endpoint import Endpoint
from hashmake.store.figures import Figures
from hashmake.store.local import LocalStore
from hashmake.store.plan import Plan
from hashmake.store.sums import Sums
from hashmake.store.upload import Upload, message

_FORMAT = b"hashmake/1"
_SLOTS = 8
_STAGES = (
    (0,),
    (1, 2),
    tuple(range(3, _SLOTS)),
)  # slots that are asked for together, where those before hold something
_GROUP = 128  # results that are told together
_LARGEST_INLINE = 1 << 20
_VAIN = 64, 8  # after so many steps in a row that nobody had run only one in so many is asked for, until there is a hit
_SMALL_US = 100_000  # a step that leaves no file and takes no longer is told in the plan only
_GRACE_S = 3.0  # that steps may wait in all, before waiting has to have paid
_DRAIN_S = 10.0  # without any progress: what is left is not told
_END_S = 0.5  # what has not ended by then ends with the process
_EMPTY = hashlib.sha256(b"").digest()

_PLAN = b"plan"  # what waits for it waits for this key
_AHEAD = 8, 1024  # results of which contents are read ahead: at first, at most
_LARGEST_PLAN = 64 << 20

_Digest = tuple[bytes, int]


class RemoteStore:
    """See the module's text.

    client, endpoint  the server, and how to speak to it
    there    contents (SHA-256) that it is known to have
    figures  what came of it
    arrived  is called, in another thread, when an answer has come for which somebody waits
    """

    def __init__(
        self, endpoint: Endpoint, local: LocalStore, top: str, goal: bytes, say: Callable[[str], None]
    ) -> None:
        """`local`: one of its own, on the store of this machine at `top`; `goal`: its name; `say`: for lines."""
        self.arrived: Callable[[], None] = lambda: None
        self.figures = Figures()
        self._local = local
        self._top = top
        self._sums = Sums(top)
        self.salt, self.writes = endpoint.salt, endpoint.writes
        self.endpoint = endpoint
        self.client = Client(endpoint, say)
        self.client.given_up = self._given_up
        self._thread: threading.Thread | None = None
        self._goal = goal
        self._plan: Plan | None = None  # it is on its way
        self._place: dict[bytes, int] = {}  # in the plan
        self._ahead = _AHEAD[0]
        self._ahead_to = 0
        self._sets: dict[bytes, list[shared.Seen] | None] = {}  # None: on its way
        self._results: dict[bytes, bytes | None] = {}  # by key; empty: there is none
        self._vain = 0  # steps in a row that nobody had run
        self._unasked: set[bytes] = set()  # steps that were not asked for, since it would have been in vain
        self._since: dict[bytes, float] = {}  # when somebody began to wait
        self._after_sets: dict[bytes, list[Callable[[], None]]] = {}  # what to do when a step's sets are known
        self._told: set[bytes] = set()
        self._telling = deque[Told]()
        self._at_work = 0  # groups that are being told
        self.there: set[bytes] = {_EMPTY}  # contents that the server has
        self._wanted: list[_Digest] = []
        self._coming: dict[_Digest, list[Callable[[bytes | None], None]]] = {}
        self._bringing: set[bytes] = set()
        self._counted: set[bytes] = set()
        self._command = b""
        self._plan_told = False
        self._progress = 0

    # -- for the judge ----------------------------------------------------------------------------------------------

    def sets(self, step: bytes) -> list[shared.Seen] | None:
        """What runs of a step looked at. None: that is on its way."""
        found = self._sets.get(step, _NEVER)
        if self.client.off:
            return found or []
        self._start()
        if self._plan is None:
            return None if self._patient(_PLAN) else []
        if found is _NEVER:
            self.figures.asked += 1
            found = self._planned(self._plan, step)
            if found is None and self._vain >= _VAIN[0] and step[0] % _VAIN[1]:
                self._unasked.add(step)
                found = []
            self._sets[step] = found
            if found is None:
                self.client.put(lambda: self._ask_sets(step))
            elif found:
                self._vain = 0
        if found is None:
            return None if self._patient(step) else []
        return found

    def _planned(self, plan: Plan, step: bytes) -> list[shared.Seen] | None:
        """What the plan knows of a step."""
        if step in plan.silent:
            self.figures.not_shared += 1
            return []
        try:
            return [plan.set_named(name) for name in list(plan.of_step.get(step, ()))] or None
        except ValueError:
            self.figures.damaged += 1
            return None

    def result(self, step: bytes, seen: shared.Seen, answers: bytes, tools: bytes) -> bytes | None:
        """What a step left (a packed Left, its contents in the store); empty: nobody knows; None: it is on its way."""
        key = step + seen.name + answers
        found = self._results.get(key, b"\0")
        if self.client.off:
            return found if found and found != b"\0" else b""
        place = self._place.get(key)
        if place is not None and place + self._ahead // 2 >= self._ahead_to:
            self.client.put(lambda: self._read_ahead(place))
        if found == b"\0":
            self._results[key] = found = None
            if place is None:
                self._ahead = _AHEAD[0]
                self.client.put(lambda: self._ask_result(key, tools == seen.tools))
            else:
                self.client.put(lambda: self._bring_planned(key))
        if found is None:
            return None if self._patient(key) else b""
        if found and key not in self._counted:
            self._counted.add(key)
            self.figures.hits += 1
            self.figures.saved_s += shared.Left.unpack(found).wall_us / 1e6
            if self._plan is not None and key in self._plan.results:
                self._plan.use(key)
        return found

    def sum_of(self, path: bytes, version: bytes) -> bytes | None:
        """SHA-256 of the content with this version, which lies at this path or in the store; None: it does not."""
        found = self._sums.known(version)
        if found is None:
            content = self.content_of(path, version)
            found = self._sums.learn(version, content) if content is not None else None
        return found

    def content_of(self, path: bytes, version: bytes) -> bytes | None:
        """The content with this version, which lies at this path or in the store; None: it does not."""
        content = self._local.get(version)
        if content is None:
            try:
                with open(path, "rb") as file:
                    content = file.read()
            except OSError:
                return None
        return content if LocalStore.version_of(content, False)[2:] == version[2:] else None

    def connect(self) -> None:
        """Start to, where that has not been done."""
        self._start()

    def tell(self, told: Told) -> None:
        """A result that others may know; in the background."""
        if self.endpoint.writes and not self.client.off:
            self._start()
            self._telling.append(told)
            self.client.put(lambda: None)

    def close(self) -> None:
        """The build is over: what has to be told still is, unless that does not get on."""
        if self._thread is not None:
            progress, since = self._progress, time.monotonic()
            self.client.put(self._tell_plan)
            while self.writes and (self._telling or self._at_work or not self._plan_told) and not self.client.off:
                time.sleep(0.005)
                if progress != self._progress:
                    progress, since = self._progress, time.monotonic()
                elif time.monotonic() - since > _DRAIN_S:
                    break
            self.client.stop()
            self._thread.join(_DRAIN_S if self.writes else _END_S)
            self.figures.errors = self.client.errors
            self.figures.given_up = int(bool(self.client.off))
            self.figures.add_to(self._top)
        self._sums.close()
        self._local.close()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self.client.run, args=(self._idle,), daemon=True)
            self._thread.start()
            self.client.put(self._ask_plan)

    def _patient(self, key: bytes) -> bool:
        """Whether a step should wait for an answer: as long as waiting pays."""
        figures = self.figures
        if self.client.off or figures.waited_s > _GRACE_S + figures.saved_s:
            return False
        self._since.setdefault(key, time.monotonic())
        return True

    # -- looking up (in the client's thread) ------------------------------------------------------------------------

    def _key(self, *parts: bytes) -> tuple[_Digest, bytes]:
        """The digest of the Action that stands for these parts, and the Action."""
        client = self.client
        if not self._command:
            self._command = client.serialized("Command", arguments=["hashmake"])
        data = client.serialized(
            "Action",
            command_digest=message(client, _named(self._command)),
            input_root_digest=message(client, (_EMPTY, 0)),
            salt=shared.pack([_FORMAT, self.endpoint.salt, *parts]),
        )
        return _named(data), data

    def _ask_plan(self) -> None:
        key, _action = self._key(_PLAN, self._goal)
        fields = {"action_digest": message(self.client, key)}
        self.client.call(GET_RESULT, "GetActionResultRequest", fields, self._got_plan)

    def _got_plan(self, answer: Any, _status: str) -> None:
        files: list[Any] = list(answer.output_files) if answer is not None else []
        if len(files) != 1 or files[0].digest.size_bytes > _LARGEST_PLAN:
            self._take_plan(None)
            return
        self.want((bytes.fromhex(files[0].digest.hash), files[0].digest.size_bytes), self._take_plan)

    def _take_plan(self, content: bytes | None) -> None:
        plan = Plan()
        try:
            plan = Plan.unpack(content) if content is not None else plan
        except ValueError:
            self.figures.damaged += 1
        plan.grow_older()
        self._place = {key: at for at, key in enumerate(plan.order)}
        self._plan = plan
        self._stop_waiting(_PLAN)

    def _read_ahead(self, place: int) -> None:
        """What the plan has after this place is fetched, a longer stretch each time."""
        plan = self._plan
        if plan is None or place + self._ahead // 2 < self._ahead_to:
            return
        self._ahead = min(self._ahead * 2, _AHEAD[1])
        end = min(place + self._ahead, len(self._place))
        for key in plan.order[max(place, self._ahead_to) : end]:
            self._bring_planned(key)
        self._ahead_to = end

    def _bring_planned(self, key: bytes) -> None:
        if self._plan is not None:
            left, digests, _age = self._plan.results[key]
            self._bring(key, left, digests)

    def _ask_sets(self, step: bytes) -> None:
        if self.client.off:
            self._publish(self._sets, step, [])
            return
        found: dict[int, shared.Seen | None] = {}
        stages = iter(_STAGES)

        def answered(slot: int, answer: Any) -> None:
            found[slot] = _set_of(answer)
            if len(found) == asked:
                more()

        asked = 0

        def more() -> None:
            nonlocal asked
            stage = next(stages, ()) if all(found.values()) else ()
            if not stage:
                sets = [each for _slot, each in sorted(found.items()) if each]
                self.figures.new_commands += not sets
                self._vain = 0 if sets else self._vain + 1
                self._publish(self._sets, step, sets)
            asked += len(stage)
            for slot in stage:
                self._ask(step, slot, answered)

        more()

    def _ask(self, step: bytes, slot: int, then: Callable[[int, Any], None]) -> None:
        key, _action = self._key(step, b"%d" % slot)
        fields = {"action_digest": message(self.client, key), "inline_stdout": True}
        self.client.call(GET_RESULT, "GetActionResultRequest", fields, lambda answer, _status: then(slot, answer))

    def _ask_result(self, key: bytes, same_tools: bool) -> None:
        if self.client.off:
            self._publish(self._results, key, b"")
            return
        name, _action = self._key(key)
        fields = {"action_digest": message(self.client, name), "inline_stdout": True}
        self.client.call(
            GET_RESULT,
            "GetActionResultRequest",
            fields,
            lambda answer, _status: self._got_result(key, answer) if answer else self._missed(key, same_tools),
        )

    def _got_result(self, key: bytes, answer: Any) -> None:
        """What a step left: its contents are fetched, before anybody hears of it."""
        digests = [(bytes.fromhex(file.digest.hash), file.digest.size_bytes) for file in answer.output_files]
        self._bring(key, answer.stdout_raw, digests)

    def _bring(self, key: bytes, left: bytes, digests: list[_Digest]) -> None:
        """Get what a step left into the store; before, nobody hears of it."""
        if key in self._bringing:
            return
        self._bringing.add(key)
        try:
            contents = _contents(left, digests)
        except ValueError:
            self.figures.damaged += 1
            self._publish(self._results, key, b"")
            return
        missing = {version: digest for version, digest in contents if not self._local.holds(version)}
        left_over = len(missing)
        whole = True

        def came(version: bytes, content: bytes | None) -> None:
            nonlocal left_over, whole
            left_over -= 1
            whole &= content is not None and self._local.put(content, version[1:2] == b"x") == version
            if not left_over:
                self._publish(self._results, key, left if whole else b"")

        if not missing:
            self._publish(self._results, key, left)
        for version, digest in missing.items():
            self.want(digest, lambda content, version=version: came(version, content))  # type: ignore[misc]  # bound
        self._into_plan(key, left, digests)

    def _into_plan(self, key: bytes, left: bytes, digests: list[_Digest]) -> None:
        """What was found, or told, without the plan is in the next one."""
        if not self.endpoint.writes or self._plan is None or key in self._plan.results:
            return
        for seen in self._sets.get(key[:32]) or ():
            if seen.name == key[32:64]:
                self._plan.add(key, seen, left, digests)

    def _missed(self, key: bytes, same_tools: bool) -> None:
        """Nobody has run that step with these inputs."""
        self.figures.new_inputs += same_tools
        self.figures.other_tools += not same_tools
        self._publish(self._results, key, b"")

    def _publish(self, table: dict[bytes, Any], key: bytes, found: Any) -> None:
        table[key] = found
        self._stop_waiting(key)
        for then in self._after_sets.pop(key, ()):
            then()

    def _stop_waiting(self, key: bytes) -> None:
        since = self._since.pop(key, None)
        if since is not None:
            self.figures.waited_s += time.monotonic() - since
            self.arrived()

    def _given_up(self) -> None:
        """Nothing more arrives: nobody waits any longer."""
        self._since.clear()
        self._after_sets.clear()
        self.arrived()

    # -- contents -----------------------------------------------------------------------------------------------------

    def want(self, digest: _Digest, then: Callable[[bytes | None], None]) -> None:
        """A content; None: it is not to be had. Small ones are asked for together."""
        if not digest[1]:
            then(b"")
            return
        self._coming.setdefault(digest, []).append(then)
        if len(self._coming[digest]) > 1:
            return
        if digest[1] > self.client.batch // 2:
            self.client.read(*digest, lambda content, _status: self._came(digest, content))
        else:
            self._wanted.append(digest)

    def _came(self, digest: _Digest, content: bytes | None) -> None:
        content = self._checked(digest, content)
        for then in self._coming.pop(digest, ()):
            then(content)

    def _checked(self, digest: _Digest, content: bytes | None) -> bytes | None:
        if content is None or _named(content) != digest:
            self.figures.damaged += 1
            return None
        self.figures.received += len(content)
        self.there.add(digest[0])
        return content

    def _idle(self) -> None:
        """Nothing else is to be done: what has gathered is asked for, or told."""
        while self._wanted:
            batch: list[_Digest] = []
            size = 0
            while self._wanted and (not batch or size + self._wanted[-1][1] < self.client.batch):
                digest = self._wanted.pop()
                size += digest[1] + 128
                batch.append(digest)
            self._read_batch(batch)
        while self._telling and self._plan is not None and not self.client.off:
            group: list[Told] = []
            while self._telling and len(group) < _GROUP:
                told = self._telling.popleft()
                if told.files or told.wall_us >= _SMALL_US:
                    group.append(told)
                elif self.client.up:
                    self._tell_in_plan(self._plan, told)
            if not self.client.up or not group:
                continue
            self._at_work += 1
            _Group(self, group)
        if self.client.off:
            self._telling.clear()

    def _tell_in_plan(self, plan: Plan, told: Told) -> None:
        """A small step: another machine runs it in less time than it takes to tell of it, and to ask, by itself."""
        key = _key_of(told)
        if key not in plan.results and _is_told(told):
            self.figures.told += 1
            plan.add(key, told.seen, told.left, [])

    def _read_batch(self, batch: list[_Digest]) -> None:
        def came(answer: Any, _status: str) -> None:
            found = {each.digest.hash: each for each in answer.responses} if answer is not None else {}
            for digest in batch:
                each = found.get(digest[0].hex())
                content: bytes | None = each.data if each is not None else None
                if each is not None and each.compressor:
                    content = self.client.packing.unpack(each.data, digest[1])
                self._came(digest, content)

        fields: dict[str, Any] = {"digests": [message(self.client, digest) for digest in batch]}
        if self.client.packs:
            fields["acceptable_compressors"] = [ZSTD]
        self.client.call(BATCH_READ, "BatchReadBlobsRequest", fields, came)

    def _tell_plan(self) -> None:
        """What this build has found and told, for the next one; last of all."""
        if self._telling or self._at_work:
            self.client.later(self._tell_plan)
            return
        plan = self._plan
        if plan is None or not plan.changed or not self.client.up:
            self._plan_told = True
            return
        plan.silent |= {step for step, sets in self._sets.items() if not sets} - self._unasked
        data = plan.packed()
        name = _named(data)

        def told(_answer: Any, _status: str) -> None:
            self._plan_told = True

        def there(answer: Any, _status: str) -> None:
            self._progress += 1
            if answer is None:
                self._plan_told = True
                return
            file = self.client.message("OutputFile", path="plan", digest=message(self.client, name))
            fields = {
                "action_digest": message(self.client, self._key(_PLAN, self._goal)[0]),
                "action_result": self.client.message("ActionResult", output_files=[file]),
            }
            self.client.call(UPDATE_RESULT, "UpdateActionResultRequest", fields, told)

        self.client.write(name[0], data, there)


_NEVER: list[shared.Seen] = []  # it was not asked for yet


class _Group:
    """Results that are told together: contents first, then what refers to them, then where that is looked for."""

    def __init__(self, store: RemoteStore, group: list[Told]) -> None:
        self._store = store
        self.client = store.client
        self._results: list[tuple[Told, list[_Digest]]] = []
        self._small: dict[bytes, bytes] = {}  # contents that lie nowhere
        self._files: dict[bytes, tuple[bytes, int]] = {}  # version and size of those that lie in the store
        self._calls = 0
        for told in group:
            self._take(told)
        wanted = [(sha, len(data)) for sha, data in self._small.items()]
        wanted += [(sha, size) for sha, (_version, size) in self._files.items()]
        Upload(self.client, store.there, store.figures, wanted, self._content, self._refer)

    def _content(self, sha: bytes) -> bytes | None:
        small = self._small.get(sha)
        return small if small is not None else self._store._local.get(self._files[sha][0])

    def _take(self, told: Told) -> None:
        store = self._store
        key = _key_of(told)
        if key in store._told or not _is_told(told):
            return
        store._told.add(key)
        digests = []
        for version, _name in told.files:
            size = int.from_bytes(version[2:10], "little")
            content = None if store._sums.known(version) else store._local.get(version)
            sha = store._sums.known(version) or (store._sums.learn(version, content) if content is not None else None)
            if sha is None or size > store.endpoint.largest:
                return
            self._files[sha] = (version, size)
            digests.append((sha, size))
        name, action = store._key(key)
        self._small[name[0]] = action
        self._small[_named(store._command)[0]] = store._command
        self._results.append((told, digests))

    def _refer(self, failed: set[bytes]) -> None:
        """The contents are there: what refers to them."""
        self._calls = 1
        for told, digests in self._results:
            if not self.client.up or any(sha in failed for sha, _size in digests):
                continue
            self._calls += 1
            self._update(told, digests)
        self._updated()

    def _update(self, told: Told, digests: list[_Digest]) -> None:
        files = [
            self.client.message(
                "OutputFile",
                path=_name(at, name),
                digest=message(self.client, digest),
                is_executable=version[1:2] == b"x",
            )
            for at, (digest, (version, name)) in enumerate(zip(digests, told.files, strict=True))
        ]
        result = self.client.message("ActionResult", output_files=files, stdout_raw=told.left)
        key, _action = self._store._key(_key_of(told))
        self._put(key, result, lambda: self._refer_to_set(told))

    def _put(self, key: _Digest, result: Any, then: Callable[[], None]) -> None:
        def updated(_answer: Any, status: str) -> None:
            if status in REFUSED:
                self.client.refused(f"{status.lower().replace('_', ' ')}")
            if status == "OK":
                then()
            else:
                self._updated()

        fields = {"action_digest": message(self.client, key), "action_result": result}
        self.client.call(UPDATE_RESULT, "UpdateActionResultRequest", fields, updated)

    def _refer_to_set(self, told: Told) -> None:
        """Where its set of things is looked for: in a slot of its step."""
        store = self._store
        known = store._sets.get(told.step)
        if known is None:
            store._after_sets.setdefault(told.step, []).append(lambda: self._refer_to_set(told))
            if told.step not in store._sets:  # nobody has asked
                store._sets[told.step] = None
                store._ask_sets(told.step)
            return
        if any(seen.name == told.seen.name for seen in known):
            self._all_told(told)
            return
        slot = len(known) if len(known) < _SLOTS else told.seen.name[0] % _SLOTS
        known.append(told.seen)
        key, _action = store._key(told.step, b"%d" % slot)
        data = told.seen.pack()
        result = self.client.message("ActionResult", stdout_raw=data)
        if len(data) > _LARGEST_INLINE:
            self._updated()
        else:
            self._put(key, result, lambda: self._all_told(told))

    def _all_told(self, told: Told) -> None:
        self._store.figures.told += 1
        self._store._into_plan(_key_of(told), told.left, self._digests_of(told))
        self._updated()

    def _digests_of(self, told: Told) -> list[_Digest]:
        return next(digests for each, digests in self._results if each is told)

    def _updated(self) -> None:
        self._calls -= 1
        self._store._progress += 1
        if not self._calls:
            self._over()

    def _over(self) -> None:
        self._store._at_work -= 1
        self._store._progress += 1


def _is_told(told: Told) -> bool:
    """Whether others would believe it, and servers take it."""
    try:
        shared.refers_to(told.left)
    except ValueError:
        return False
    return len(told.left) <= _LARGEST_INLINE


def _contents(left: bytes, digests: list[_Digest]) -> list[tuple[bytes, _Digest]]:
    """Version and digest of each content to which a packed Left refers. Raises ValueError."""
    versions = [version for version, _name in shared.refers_to(left)]
    if [int.from_bytes(version[2:10], "little") for version in versions] != [size for _sha, size in digests]:
        raise ValueError("contents")
    return list(zip(versions, digests, strict=True))


def _key_of(told: Told) -> bytes:
    """What a result is found by."""
    return told.step + told.seen.name + told.answers


def _set_of(answer: Any) -> shared.Seen | None:
    """What lies in a slot."""
    data: bytes = answer.stdout_raw if answer is not None else b""
    try:
        return shared.Seen.unpack(data) if data else None
    except ValueError:
        return None


def _named(content: bytes) -> _Digest:
    return hashlib.sha256(content).digest(), len(content)


def _name(at: int, name: bytes) -> str:
    """A path for people who look into the server: relative, and of this result only."""
    text = os.fsdecode(name).encode("ascii", "replace").decode().replace("/", "_")
    return f"{at}/{text}"
