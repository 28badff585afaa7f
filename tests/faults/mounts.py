"""File systems of all kinds, mounted for one test."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from e2e.snapshot import names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SFTP_SERVER = "/usr/lib/openssh/sftp-server"


def run(*command: str | Path) -> None:
    subprocess.run([str(word) for word in command], check=True, capture_output=True)


@contextmanager
def mounted(kind: str, room: Path, megabytes: int = 32) -> Iterator[Path]:
    """A fresh file system of a kind, everything that it needs below `room`."""
    point = room / "mnt"
    point.mkdir(parents=True)
    _MOUNTS[kind](room, point, megabytes)
    try:
        yield point
    finally:
        run("umount", "--lazy", point)
        shutil.rmtree(room, ignore_errors=True)


def refusal(kind: str, room: Path) -> str:
    """Why this machine does not mount that; empty when it does."""
    try:
        with mounted(kind, room):
            return ""
    except subprocess.CalledProcessError as error:
        return f"{' '.join(error.cmd)}: {error.stderr.decode(errors='replace').strip()}"


def _wait_for_loop_device(image: Path) -> None:
    """A mount namespace that a test beside this one has made keeps what was mounted then, and its blocks in memory."""
    command = ["losetup", "--noheadings", "--associated", str(image)]
    for _ in range(600):
        if not subprocess.run(command, capture_output=True, check=True).stdout:
            return
        time.sleep(0.1)


def redate(room: Path, seconds: int) -> None:
    """Move all dates on a mounted image, ctimes too, which nothing but the clock can: as if that had been set."""
    point = room / "mnt"
    times = {name: os.lstat(point / name) for name in names(point)}
    commands = [
        f'set_inode_field "/{name}" {field} @{int(moment) + seconds}'
        for name, found in times.items()
        for field, moment in (("ctime", found.st_ctime), ("mtime", found.st_mtime))
    ]
    run("umount", point)
    _wait_for_loop_device(room / "image")
    subprocess.run(
        ["debugfs", "-w", "-f", "-", room / "image"],
        input="\n".join(commands),
        text=True,
        check=True,
        capture_output=True,
    )
    run("mount", "-o", "loop", room / "image", point)


def _plain(room: Path, point: Path, _megabytes: int) -> None:
    """The file system that the tests run on."""
    (room / "dir").mkdir()
    run("mount", "--bind", room / "dir", point)


def _tmpfs(_room: Path, point: Path, megabytes: int) -> None:
    run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", point)


def _loop(room: Path, point: Path, megabytes: int, *options: str) -> None:
    image = room / "image"
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    run("mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", *options, image)
    run("mount", "-o", "loop", image, point)


def _one_second(room: Path, point: Path, megabytes: int) -> None:
    """Inodes of 128 bytes have no room for fractions of a second."""
    _loop(room, point, megabytes, "-I", "128")


def _overlay(room: Path, point: Path, megabytes: int) -> None:
    """As a container's root; an overlay on an overlay is refused by the kernel, so its layers lie on a tmpfs."""
    layers = room / "layers"
    layers.mkdir()
    _tmpfs(room, layers, megabytes)
    for name in ("lower", "upper", "work"):
        (layers / name).mkdir()
    where = f"lowerdir={layers}/lower,upperdir={layers}/upper,workdir={layers}/work"
    run("mount", "-t", "overlay", "-o", where, "overlay", point)
    run("umount", "--lazy", layers)  # the overlay keeps it


def _sshfs(room: Path, point: Path, _megabytes: int) -> None:
    """A network file system without a network: its server is started as what stands for ssh."""
    (room / "served").mkdir()
    ssh = room / "ssh"
    ssh.write_text(f"#!/bin/sh\nexec {SFTP_SERVER}\n")
    ssh.chmod(0o755)
    run("sshfs", "-o", f"ssh_command={ssh}", f"localhost:{room}/served", point)


_MOUNTS = {
    "plain": _plain,
    "tmpfs": _tmpfs,
    "ext4": _loop,
    "one-second": _one_second,
    "overlay": _overlay,
    "sshfs": _sshfs,
}
LOCAL = ("plain", "tmpfs", "ext4", "one-second", "overlay")
