"""What cache/ has for a farm: its files parse, its scripts refuse what they must, its settings are hashmake's."""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

from hashmake.settings import KNOWN

CACHE = Path(__file__).resolve().parents[2] / "cache"
FILES = sorted(path for path in CACHE.rglob("*") if path.is_file())
SCRIPTS = [path for path in FILES if path.read_bytes().startswith(b"#!")]
YAML = [path for path in FILES if path.suffix in (".yml", ".yaml")]
UNITS = [path for path in FILES if path.suffix == ".service"]
PAGES = [path for path in FILES if path.suffix == ".md"]
CI = [CACHE / "ci" / name for name in ("gitlab-ci.yml", "github-actions.yml", "Jenkinsfile")]
README = (CACHE / "README.md").read_text()


def named(path: Path) -> str:
    return str(path.relative_to(CACHE))


def run(*words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


def parsed(path: Path) -> Any:
    """By PyYAML, or by ruamel.yaml, which comes with BuildStream; tags (BuildGrid's) mean nothing here."""
    try:
        yaml = importlib.import_module("yaml")
    except ImportError:
        return pytest.importorskip("ruamel.yaml").YAML().load(path.read_text())
    loader: Any = type("Tagged", (yaml.SafeLoader,), {})
    loader.add_multi_constructor("!", lambda load, _tag, node: plain(load, node))
    return yaml.load(path.read_text(), loader)


def plain(loader: Any, node: Any) -> Any:
    if hasattr(node, "value") and isinstance(node.value, str):
        return node.value
    return loader.construct_mapping(node, deep=True)


@pytest.mark.parametrize("path", YAML, ids=named)
def test_yaml_parses(path: Path) -> None:
    assert isinstance(parsed(path), dict)


@pytest.mark.parametrize("path", YAML, ids=named)
def test_yaml_looks_like_yaml_where_nothing_parses_it(path: Path) -> None:
    for line in path.read_text().splitlines():
        bare = line.split(" #")[0]
        indent = len(line) - len(line.lstrip())
        assert "\t" not in line, line
        assert indent % 2 == 0, line
        assert bare.count('"') % 2 == 0 or line.startswith("#"), line


@pytest.mark.parametrize("path", UNITS, ids=named)
def test_units_parse_and_are_locked_in(path: Path) -> None:
    sections: dict[str, dict[str, str]] = {}
    section: dict[str, str] = {}
    for line in filter(None, path.read_text().splitlines()):
        if line.startswith("["):
            section = sections[line.strip("[]")] = {}
        elif not line.startswith("#"):
            key, equals, value = line.partition("=")
            assert equals, line
            section[key] = value
    assert set(sections) == {"Unit", "Service", "Install"}
    service = sections["Service"]
    assert service["ExecStart"].startswith("/")
    assert service["User"] != "root"
    assert service["StateDirectory"] == service["User"]
    locked = ("NoNewPrivileges", "PrivateTmp", "ProtectHome", "MemoryDenyWriteExecute", "RestrictNamespaces")
    assert {service[key] for key in locked} == {"yes"}
    assert service["ProtectSystem"] == "strict"
    assert not service["CapabilityBoundingSet"]


@pytest.mark.parametrize("path", SCRIPTS, ids=named)
def test_scripts_parse_and_may_be_started(path: Path) -> None:
    assert path.read_text().startswith("#!/bin/sh\n")
    assert os.access(path, os.X_OK)
    done = run("sh", "-n", path)
    assert (done.returncode, done.stderr) == (0, "")


def test_there_are_scripts() -> None:
    """Or the test above looks at nothing."""
    assert set(map(named, SCRIPTS)) == {"buildgrid/make-certificates", "casd/start", "ci/make", "try-it"}


@pytest.mark.parametrize("path", FILES, ids=named)
def test_variables_are_hashmakes(path: Path) -> None:
    known = {variable for variable, _default in KNOWN.values()}
    assert set(re.findall(r"HASHMAKE_[A-Z_]*[A-Z]", path.read_text())) <= known


def test_the_page_has_every_remote_setting_and_no_other() -> None:
    blocks = [tomllib.loads(text) for text in re.findall(r"```toml\n(.*?)```", README, re.DOTALL)]
    shown = {
        (section, key): value for block in blocks for section, keys in block.items() for key, value in keys.items()
    }
    assert set(shown) == {name for name in KNOWN if name[0] == "remote"}
    assert all(isinstance(value, str) for value in shown.values())
    variables = re.findall(r"`(?:HASHMAKE_REMOTE)?(_[A-Z_]+)`", README)
    assert {f"HASHMAKE_REMOTE{end}" for end in variables} | {"HASHMAKE_REMOTE"} == {
        variable for name, (variable, _default) in KNOWN.items() if name[0] == "remote"
    }


def test_a_developer_only_reads() -> None:
    writer, reader = (tomllib.loads(text)["remote"] for text in re.findall(r"```toml\n(.*?)```", README, re.DOTALL))
    assert writer["mode"] == "read-write"
    assert "mode" not in reader
    assert reader["salt"] == writer["salt"]


@pytest.mark.parametrize("path", CI, ids=named)
def test_one_place_in_a_snippet_writes_and_another_reads(path: Path) -> None:
    modes = re.findall(r"HASHMAKE_REMOTE_MODE\s*[:=]\s*'?(read-write|read)\b", path.read_text())
    assert sorted(modes) == ["read", "read-write"]


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", path.read_text()):
        name, _mark, heading = target.partition("#")
        if not name.startswith("http"):
            assert (path.parent / name).exists(), target
        if heading:
            lines = (path.parent / name).read_text().splitlines()
            headings = [re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()) for line in lines if line.startswith("#")]
            assert heading in [text.replace(" ", "-") for text in headings], target


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give a directory"),
        (["/somewhere"], "at least one address"),
        (["cache", "unix:/somewhere"], "cache: give an absolute path"),
        (["/somewhere", "unix:somewhere"], "unix:somewhere: give an absolute path"),
        (["/somewhere", "nine"], "give unix:/PATH or HOST:PORT"),
        (["/somewhere", "0.0.0.0:9092"], "others could write"),
        (["/somewhere", ":9092"], "others could write"),
        (["/somewhere", "cache.example:9092"], "others could write"),
    ],
)
def test_casd_is_not_started_where_it_would_be_wrong(words: list[str], said: str) -> None:
    done = run(CACHE / "casd/start", *words, PYTHON=sys.executable)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_make_is_hmake_which_finds_the_real_make(tmp_path: Path) -> None:
    hmake = tmp_path / "hmake"
    hmake.write_text('#!/bin/sh\necho "$PATH" "$@"\n')
    hmake.chmod(0o755)
    front = CACHE / "ci"
    for path in (f"{front}:{tmp_path}:/bin", f"{front}/:{front}:{tmp_path}:/bin:{front}"):
        done = subprocess.run(
            ["/bin/sh", "-c", "make all -j2"], env={"PATH": path}, capture_output=True, text=True, check=False
        )
        assert done.stdout == f"{tmp_path}:/bin all -j2\n", done.stderr


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not shutil.which("openssl"):
        pytest.skip("no openssl")
    directory = tmp_path_factory.mktemp("keys") / "farm"
    done = run(CACHE / "buildgrid/make-certificates", directory, "cache.example", PYTHON=sys.executable)
    assert done.returncode == 0, done.stderr
    return directory


def test_certificates_are_signed_and_keys_are_nobody_elses(keys: Path) -> None:
    one = ["ca", "server", "ci-farm", "dev-one"]
    names = {f"{name}{end}" for name in one for end in (".key", ".pem")} | {
        "ci-farm.token",
        "dev-one.token",
        "jwt.secret",
    }
    assert {path.name for path in keys.iterdir()} == names
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys.iterdir()} == {0o600}
    for name, purpose, other in (("server", "sslserver", "sslclient"), ("ci-farm", "sslclient", "sslserver")):
        check = ["openssl", "verify", "-CAfile", f"{keys}/ca.pem", "-purpose"]
        assert run(*check, purpose, f"{keys}/{name}.pem").returncode == 0
        assert run(*check, other, f"{keys}/{name}.pem").returncode != 0
    check = ["openssl", "x509", "-noout", "-checkhost", "cache.example", "-in", f"{keys}/server.pem"]
    assert "does match" in run(*check).stdout


def test_a_token_says_who_one_is_and_for_how_long(keys: Path) -> None:
    header, claims, signature = (keys / "ci-farm.token").read_text().strip().split(".")
    secret = (keys / "jwt.secret").read_bytes().strip()
    right = hmac.digest(secret, f"{header}.{claims}".encode(), hashlib.sha256)
    assert base64.urlsafe_b64decode(signature + "=") == right
    assert json.loads(base64.urlsafe_b64decode(header + "==")) == {"alg": "HS256", "typ": "JWT"}
    said = json.loads(base64.urlsafe_b64decode(claims + "=="))
    assert said["sub"] == "ci-farm"
    assert 364 * 86400 < said["exp"] - time.time() < 366 * 86400


def test_made_again_what_is_there_stays(keys: Path, tmp_path: Path) -> None:
    copy = tmp_path / "keys"
    shutil.copytree(keys, copy)
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    (copy / "ci-farm.token").unlink()
    done = run(CACHE / "buildgrid/make-certificates", copy, "cache.example", "ci-farm", DAYS="1", PYTHON=sys.executable)
    assert done.returncode == 0, done.stderr
    after = {path.name: path.read_bytes() for path in copy.iterdir()}
    assert [name for name in after if after[name] != before[name]] == ["ci-farm.token"]


@pytest.mark.parametrize("name", ["ca", "server", "../dev-one", "-x", "a/b", "a b"])
def test_a_client_has_a_plain_name(tmp_path: Path, name: str) -> None:
    done = run(CACHE / "buildgrid/make-certificates", tmp_path / "keys", "cache.example", name)
    assert done.returncode == 2
    assert not (tmp_path / "keys").exists()
