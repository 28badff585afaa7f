"""Random options switched on and off on Linux 6.1, one at a time: each build is equal to a clean one.

Long, and asked for by HASHMAKE_KERNEL_ALL=1; HASHMAKE_KERNEL_TOGGLES steps from each configuration, HASHMAKE_SEED
chooses them. Each step prints its option and what it compiled; the clean stock build beside it is the oracle.
"""

from __future__ import annotations

import os
import random
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from . import linux as cache
from .linux import Linux

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.slow,
    pytest.mark.xdist_group("linux"),
    pytest.mark.usefixtures("everything"),
]
TOGGLES = int(os.environ.get("HASHMAKE_KERNEL_TOGGLES", "15"))
SEED = int(os.environ.get("HASHMAKE_SEED", "1"))
OFF = re.compile(r"^# (CONFIG_\w+) is not set$", re.MULTILINE)
ON = re.compile(r"^(CONFIG_\w+)=y$", re.MULTILINE)
# Other compilers, tools and languages, and what the configuration is about.
SPARED = re.compile(
    r"DEBUG|GCC|CC_|LTO|KASAN|RUST|COMPILE_TEST|WERROR|64BIT|MODULES|TRIM|EXPERT|KERNEL_|SMP|INITRD|XEN|FTRACE"
)


@pytest.fixture
def beside(configured: Linux) -> Iterator[Linux]:
    """The same configuration in another output directory, where stock make builds on what it has."""
    found = Linux(configured.source, configured.out.with_name(f"{configured.out.name}-stock"))
    shutil.copytree(configured.out, found.out, ignore=shutil.ignore_patterns(".hashmake"))
    yield found
    shutil.rmtree(found.out, ignore_errors=True)


def stock_compiles(linux: Linux, config: str) -> list[str]:
    """What stock make compiles, once more for each time, when it goes on from its last build with this .config."""
    (linux.out / ".config").write_text(config)
    before = len(cache.logged())
    linux.stock(PATH=f"{cache.CACHE}/bin:{cache.PLAIN_PATH}")
    return cache.Built(0, "", cache.logged()[before:], []).sources()


def switch(linux: Linux, chance: random.Random, switched: list[str]) -> str:
    """Edit .config: an option off or on, or the last one back."""
    path = linux.out / ".config"
    text = path.read_text()
    if switched and chance.random() < 0.4:
        path.write_text(switched.pop())
        return "back"
    names = sorted(name for name in (*OFF.findall(text), *ON.findall(text)) if not SPARED.search(name))
    name = chance.choice(names)
    off, on = f"# {name} is not set\n", f"{name}=y\n"
    switched.append(text)
    path.write_text(text.replace(off, on) if off in text else text.replace(on, off))
    return f"{name} {'on' if off in text else 'off'}"


def test_options_switched_one_at_a_time_end_like_clean_builds(configured: Linux, beside: Linux) -> None:
    """And compile no more than stock make. Where Kconfig refuses the change of one option, nothing happens."""
    chance = random.Random(SEED)
    switched: list[str] = []
    clean: dict[str, cache.Products] = {}
    totals = [0, 0]
    configured.level()
    configured.build()
    stock_compiles(beside, (configured.out / ".config").read_text())
    for number in range(TOGGLES):
        story = f"seed {SEED}, step {number}: {switch(configured, chance, switched)}"
        configured.build("olddefconfig")
        config = (configured.out / ".config").read_text()
        ours, stocks = len(configured.build().sources()), len(stock_compiles(beside, config))
        totals = [totals[0] + ours, totals[1] + stocks]
        print(f"{story}: compiled {ours}, stock make {stocks}", flush=True)
        if config not in clean:
            clean[config] = configured.clean_products(config)
        products = configured.products()
        wrong = sorted(path for path in clean[config] if products.get(path) != clean[config][path])
        assert not wrong, f"{story}\n{len(wrong)} products differ from a clean build's: {wrong[:20]}"
        assert ours <= stocks, story
    print(f"{TOGGLES} steps without a difference: compiled {totals[0]}, stock make {totals[1]} (seed {SEED})")
