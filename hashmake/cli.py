"""The verbs other than `build`, with click: options in, one call out."""

import json
import os
import sys

import click

from hashmake import __version__


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
    ctx.obj = os.path.abspath(state_dir or os.environ.get("HASHMAKE_STATE_DIR") or ".hashmake")


_directory = click.option(
    "-C", "directory", metavar="DIR", default=".", help="The output directory of the build (O=), default: here."
)


def _state(obj: str, directory: str) -> str:
    given = "HASHMAKE_STATE_DIR" in os.environ or not obj.endswith("/.hashmake")
    return obj if given or directory == "." else os.path.abspath(os.path.join(directory, ".hashmake"))


@cli.command()
@click.argument("path")
@_directory
@click.pass_obj
def why(obj: str, path: str, directory: str) -> None:
    """Say which step makes PATH, whether it ran in the last build, and why it would run now."""
    from hashmake.reports.why import why as report

    sys.exit(report(_state(obj, directory), path))


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@_directory
@click.pass_obj
def log(obj: str, as_json: bool, directory: str) -> None:
    """Show what the last build ran and why."""
    from hashmake.reports.last import last_log
    from hashmake.reports.log import lines

    found = last_log(_state(obj, directory))
    click.echo(json.dumps(found, indent=1) if as_json else "\n".join(lines(found)))


@cli.command()
@_directory
@click.pass_obj
def status(obj: str, directory: str) -> None:
    """Show what is recorded here: goals, steps, products, sizes, orphans."""
    from hashmake.reports.status import status as report

    sys.exit(report(_state(obj, directory)))


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def demo(arguments: tuple[str, ...]) -> None:
    """Build a small packaged tree (or --linux TARBALL-OR-DIR) with make and with hashmake, and compare."""
    from hashmake.demo import main

    sys.exit(main(list(arguments)))
