"""The command line. Commands are imported when they are called, so that help is quick."""

from __future__ import annotations

import importlib
import sys
from typing import NoReturn

import click

from mepipe import __version__, stages
from mepipe.errors import MepipeError, UsageError
from mepipe.names import nearest

COMMANDS = {
    "demo": "Write a look-alike release with synthetic micro-expressions and their ground truth.",
    "manifest": "Turn a release into a table of samples; check, show and compare such tables.",
    "extract": "Compute the features of a database that are missing.",
    "graph": "Print a recipe's DAG.",
    "status": "Say what is complete, missing, failed.",
    "qc": "Rank samples by what usually goes wrong with clips.",
    "inspect": "Write one picture that shows a sample's features.",
    "view": "Serve a local page to look at a store and its runs.",
    "store": "List and verify the store.",
    "weights": "List, add, fetch the named weights of networks.",
    "train": "Train and evaluate a model from the store.",
    "runs": "List, show and compare trainings.",
    "explain": "Show what the networks of a training look at, and how they arrange samples.",
    "report": "Write one HTML page about runs; several are compared.",
    "export-video": "Write a film of a sample: original, magnified, flow.",
    "doctor": "Say what this machine lacks, and how to get it.",
}


class LazyGroup(click.Group):
    """A group whose commands live in modules of their own, `mepipe.cli.<name>`; those of stages are derived.

    The start of a name is enough where only one command begins so: `mepipe magnify`.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *stages.names()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        known = self.list_commands(ctx)
        matches = [cmd_name] if cmd_name in known else [n for n in known if n.startswith(cmd_name)]
        if len(matches) != 1:
            return None
        name = matches[0]
        if name in COMMANDS:
            command: click.Command = importlib.import_module(f"mepipe.cli.{name.replace('-', '_')}").command
            return command
        return importlib.import_module("mepipe.cli.stage").command(name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            ctx.fail(f"No command {args[0]!r}.{nearest(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        with formatter.section("Stages (one node of the DAG, and what it needs)"):
            formatter.write_dl([(name, stages.summary(name)) for name in stages.names()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Begin with: mepipe demo cache/demo && mepipe manifest build demo --root cache/demo && "
    "mepipe extract --dataset demo --root cache/demo",
)
@click.version_option(__version__)
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
def cli() -> None:
    """Micro-expression databases to checked, cached, shareable features, and trainers that read them."""


def main() -> None:
    """The console script. Exit status: 0 all well, 1 some samples or checks failed, 2 wrong usage."""
    try:
        cli.main(standalone_mode=True)
    except MepipeError as error:
        if "--debug" in sys.argv:
            raise
        _fail(str(error), 2 if isinstance(error, UsageError) else 1)
    except OSError as error:  # a disk that is full, a share that went away, a folder that is not ours
        if "--debug" in sys.argv:
            raise
        _fail(f"{error}. Mend that, and run the same command again: what was finished is kept.", 1)


def _fail(message: str, status: int) -> NoReturn:
    click.secho("Error: ", nl=False, err=True, fg="red", bold=True)
    click.echo(message, err=True)
    sys.exit(status)
