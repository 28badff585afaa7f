"""The verbs other than `build`, with click: options in, one call out."""

import json
import os
import re
import sys

import click

from hashmake import __version__
from hashmake.errors import EXIT_INTERRUPTED
from hashmake.state.place import choose


class _Group(click.Group):
    """`build` is handled in front.py; it is named here so that --help shows it."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Build"):
            formatter.write_dl([("build [MAKE ARGUMENTS]", "Run make, skipping what is current. `hmake` is the same.")])
        super().format_commands(ctx, formatter)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="hashmake %(version)s")
@click.option("--state-dir", metavar="DIR", help="Where the state is (default: .hashmake of the output directory).")
@click.pass_context
def cli(ctx: click.Context, state_dir: str | None) -> None:
    """GNU make that decides by content: runs only the steps whose inputs' contents changed."""
    given = state_dir or os.environ.get("HASHMAKE_STATE_DIR")
    ctx.obj = os.path.abspath(given) if given else None


_directory = click.option(
    "-C", "directory", metavar="DIR", default=".", help="The output directory of the build (O=), default: here."
)


def _state(obj: str | None, directory: str) -> str:
    return obj or choose(os.path.abspath(directory), None).path


@cli.command()
@click.argument("path")
@_directory
@click.pass_obj
def why(obj: str | None, path: str, directory: str) -> None:
    """Say which step makes PATH, whether it ran in the last build, and why it would run now."""
    from hashmake.reports.why import why as report

    sys.exit(report(_state(obj, directory), path))


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@_directory
@click.pass_obj
def log(obj: str | None, as_json: bool, directory: str) -> None:
    """Show what the last build ran and why."""
    from hashmake.reports.log import lines
    from hashmake.reports.open import last_log

    found = last_log(_state(obj, directory))
    click.echo(json.dumps(found, indent=1) if as_json else "\n".join(lines(found)))


@cli.command()
@_directory
@click.pass_obj
def status(obj: str | None, directory: str) -> None:
    """Show what is recorded here: goals, steps, products, sizes, orphans."""
    from hashmake.reports.status import status as report

    sys.exit(report(_state(obj, directory)))


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@_directory
@click.pass_obj
def ksyms(obj: str | None, as_json: bool, directory: str) -> None:
    """Show the kernel's trimmed exports: which symbols modules need, who needs and offers them, what changed last."""
    from hashmake.reports.ksyms import ksyms as report

    click.echo(report(_state(obj, directory), as_json))


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def config(as_json: bool) -> None:
    """Show what is set, and where: hashmake.toml of the system and of the user, and variables."""
    from hashmake.reports.config import config as report

    text, code = report(as_json)
    click.echo(text)
    sys.exit(code)


@cli.command()
@click.option("--stats", "doing", flag_value="stats", default="stats", help="How many contents, how large (default).")
@click.option("--prometheus", "doing", flag_value="prometheus", help="Figures of the shared cache, as a text file.")
@click.option("--gc", "doing", flag_value="gc", help="Remove what was not used longest, down to the limit.")
@click.option("--clear", "doing", flag_value="clear", help="Remove everything.")
@click.option(
    "--verify", "doing", flag_value="verify", help="Compare each content with its name; 1: some were damaged."
)
@click.option("--limit", metavar="500M", help="Of `export`: at most so much, before it is compressed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.argument("verb", type=click.Choice(["export", "import"]), required=False)
@click.argument("file", type=click.Path(dir_okay=False), required=False)
@_directory
@click.pass_obj
def store(
    obj: str | None, doing: str, limit: str | None, as_json: bool, verb: str | None, file: str | None, directory: str
) -> None:
    """Look after the store: what steps left, kept so that they can be restored instead of run again.

    `export FILE` writes what the last build here used into one file, `import FILE` puts that into the store: for CI
    systems that keep a file between jobs.
    """
    from hashmake.reports.store import carry
    from hashmake.reports.store import store as report

    if verb is not None and file is None:
        raise click.UsageError(f"{verb}: which file?")
    if verb is not None and file is not None:
        text, code = carry(verb, os.path.abspath(file), limit or "", _state(obj, directory), as_json)
    else:
        text, code = report(doing, as_json)
    click.echo(text)
    sys.exit(code)


@cli.command()
@click.argument("path")
@click.option("--undo", is_flag=True, help="It is the build's again.")
@_directory
@click.pass_obj
def keep(obj: str | None, path: str, undo: bool, directory: str) -> None:
    """Say that PATH is yours, though a rule makes it: a source from now on, which no build replaces.

    If a build replaced what you had written there, that comes back.
    """
    from hashmake.reports.keep import keep as note

    click.echo(note(_state(obj, directory), os.path.realpath(directory), path, undo))


class _WithMake(click.Command):
    """What follows `--` are make's arguments."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words = None
        if "--" in args:
            at = args.index("--")
            args, words = args[:at], args[at + 1 :]
        ctx.meta["words"] = words
        return super().parse_args(ctx, args)


def _amount(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"\d+|\d+(\.\d+)?%", value):
        raise click.BadParameter("give a part, as 5%, or a number of steps")
    return value


@cli.command(cls=_WithMake, options_metavar="[OPTIONS] [PATH...] [-- MAKE ARGUMENTS]")
@click.argument("paths", nargs=-1, metavar="")
@click.option("--sample", metavar="5%", callback=_amount, help="Only so many steps, chosen at random: 5% or a number.")
@click.option("--seed", type=int, metavar="N", help="Which sample: the same number chooses the same steps.")
@click.option("--scratch", metavar="DIR", help="Where to write (default: $TMPDIR or /tmp).")
@click.option("--copy", is_flag=True, help="Work on a copy of the tree, where no overlay can be mounted.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@_directory
@click.pass_context
def verify(
    ctx: click.Context,
    paths: tuple[str, ...],
    sample: str | None,
    seed: int | None,
    scratch: str | None,
    copy: bool,
    as_json: bool,
    directory: str,
) -> None:
    """Run everything again, or the steps that make PATHs, without touching the tree; compare with what is recorded.

    Says which steps are not repeatable and which were wrongly judged current. Exit status 0: none; 1: a difference; 2:
    it can't be done here. make's arguments are those of the last build, unless some are given after `--`.
    """
    from hashmake.verify.run import verify as run
    from hashmake.verify.wanted import Wanted

    if paths and sample:
        raise click.UsageError("give either PATHs or --sample")
    state = _state(ctx.obj, directory)
    words: list[str] | None = ctx.meta["words"]
    wanted = Wanted(state, ctx.obj is not None, words, list(paths), sample, seed, scratch, copy)
    try:
        sys.exit(run(wanted, as_json))
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def demo(arguments: tuple[str, ...]) -> None:
    """Build a small packaged tree (or --linux TARBALL-OR-DIR) with make and with hashmake, and compare."""
    from hashmake.demo import main

    sys.exit(main(list(arguments)))
