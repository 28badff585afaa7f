#!/usr/bin/env python3
"""Generate a make project with a given number of steps, the same one for the same seed.

    benchmarks/generate.py DIR --steps 10000 [--flat] [--size 1000] [--seed 1]

Each step runs one small C program, bin/mix, which reads a source and three of a hundred shared headers and writes one
product. Steps are in directories of 50 with a makefile each, directories in groups of 25, so that 50,000 steps make
1,000 directories in 40 groups; each directory and each group joins its products in one more step. With --flat all is
one directory with one makefile.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
from dataclasses import dataclass

HEADERS = 100
HEADERS_PER_STEP = 3
STEPS_PER_DIRECTORY = 50
DIRECTORIES_PER_GROUP = 25

MIX = r"""
#include <stdio.h>

/* mix OUT IN...: writes a kilobyte that depends on every byte of the inputs. */
int main(int argc, char **argv)
{
	unsigned long h = 14695981039346656037ul;
	char buffer[8192];

	for (int i = 2; i < argc; i++) {
		FILE *in = fopen(argv[i], "r");
		size_t n;

		if (!in)
			return perror(argv[i]), 1;
		while ((n = fread(buffer, 1, sizeof buffer, in)) > 0)
			for (size_t k = 0; k < n; k++)
				h = (h ^ (unsigned char)buffer[k]) * 1099511628211ul;
		fclose(in);
	}
	FILE *out = fopen(argv[1], "w");

	if (!out)
		return perror(argv[1]), 1;
	for (int k = 0; k < 60; k++, h = h * 6364136223846793005ul + 1)
		fprintf(out, "%016lx\n", h);
	return fclose(out) ? 1 : 0;
}
"""


@dataclass(frozen=True)
class Shape:
    """What a generated project looks like."""

    steps: int
    flat: bool = False
    size: int = 1000
    seed: int = 1


def text(rng: random.Random, size: int) -> str:
    """Random lines of about the given size, lengths varied by a half either way."""
    words = rng.randint(size // 2, size * 3 // 2) // 17 + 1
    return "".join(f"{rng.getrandbits(64):016x}\n" for _ in range(words))


def put(path: str, content: str) -> None:
    """Write a file of the project."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(content)


def step_rules(rng: random.Random, names: list[str], up: str) -> list[str]:
    """Rules of one directory's steps."""
    lines = []
    for name in names:
        headers = " ".join(f"{up}include/h{n}" for n in sorted(rng.sample(range(HEADERS), HEADERS_PER_STEP)))
        lines += [f"{name}.out: {name}.in {headers}", f"\t{up}bin/mix $@ $^"]
    return lines


def joined(target: str, parts: list[str], up: str) -> list[str]:
    """Rule that joins products into one."""
    return [f"{target}: {' '.join(parts)}", f"\t{up}bin/mix $@ $^"]


def directory(rng: random.Random, path: str, count: int, shape: Shape, up: str) -> None:
    """One directory with its sources and makefile."""
    os.makedirs(path)
    names = [f"s{n}" for n in range(count)]
    for name in names:
        put(os.path.join(path, f"{name}.in"), text(rng, shape.size))
    rules = ["all: dir.out", *joined("dir.out", [f"{name}.out" for name in names], up), *step_rules(rng, names, up)]
    put(os.path.join(path, "Makefile"), "\n".join(rules) + "\n")


def descend(path: str, folders: list[str], target: str, product: str, up: str) -> None:
    """A makefile that runs make in each folder and joins what comes out."""
    parts = [f"{folder}/{product}" for folder in folders]
    lines = [
        f"all: {target}",
        f"folders := {' '.join(folders)}",
        ".PHONY: $(folders)",
        "$(folders):",
        "\t$(MAKE) -C $@",
    ]
    lines += [f"{part}: {folder} ;" for part, folder in zip(parts, folders, strict=True)]
    put(os.path.join(path, "Makefile"), "\n".join(lines + joined(target, parts, up)) + "\n")


def generate(top: str, shape: Shape) -> None:
    """Write the whole project below a directory that does not exist yet."""
    rng = random.Random(shape.seed)
    os.makedirs(os.path.join(top, "include"))
    os.makedirs(os.path.join(top, "bin"))
    put(os.path.join(top, "bin", "mix.c"), MIX)
    subprocess.run(["gcc", "-O2", "-w", "-o", "mix", "mix.c"], cwd=os.path.join(top, "bin"), check=True)
    for n in range(HEADERS):
        put(os.path.join(top, "include", f"h{n}"), text(rng, shape.size * 3))
    if shape.flat:
        directory(rng, os.path.join(top, "flat"), shape.steps, shape, "../")
        descend(top, ["flat"], "all.out", "dir.out", "")
        return
    sizes = [min(STEPS_PER_DIRECTORY, shape.steps - first) for first in range(0, shape.steps, STEPS_PER_DIRECTORY)]
    groups: list[str] = []
    for first in range(0, len(sizes), DIRECTORIES_PER_GROUP):
        groups.append(f"g{len(groups)}")
        folders = [f"d{n}" for n in range(len(sizes[first : first + DIRECTORIES_PER_GROUP]))]
        for n, folder in enumerate(folders):
            directory(rng, os.path.join(top, groups[-1], folder), sizes[first + n], shape, "../../")
        descend(os.path.join(top, groups[-1]), folders, "group.out", "dir.out", "../")
    descend(top, groups, "all.out", "group.out", "")


def main() -> None:
    """Generate what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("dir")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--flat", action="store_true", help="one directory, one makefile")
    parser.add_argument("--size", type=int, default=1000, help="bytes of a source, on average")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    generate(chosen.dir, Shape(chosen.steps, chosen.flat, chosen.size, chosen.seed))


if __name__ == "__main__":
    main()
