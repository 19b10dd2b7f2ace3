"""The command line: parse, call one function, print. Words for people go to stderr, results to stdout."""

import errno
import os
import signal
import sys
from typing import Annotated

import typer

import regard
from regard.cli import finetuning, generating, looking, predicting, training, translating
from regard.cli.options import say
from regard.errors import InputError, MissingDependencyError, RegardError, Stopped, StorageError

app = typer.Typer(
    add_completion=True,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Teach a small model one job on text, see what it attends to, and run it on an ordinary machine.",
)
for command in (  # in the order of `regard --help`
    training.audit,
    training.train,
    translating.translate,
    translating.evaluate,
    looking.look,
    looking.align,
    looking.heads,
    finetuning.pretrain,
    finetuning.finetune,
    finetuning.distil,
    finetuning.average,
    predicting.predict,
    generating.generate,
    training.compare,
    training.demo,
):
    app.command()(command)
app.command("import")(training.import_model)
app.command("export")(training.export_model)

# torch's kernels are compiled for each shape of their inputs, and batches of text have thousands of shapes. By default
# 1,024 are kept, which in a long training come to gigabytes; fewer cost no time (results/LOG.md). It is read when the
# first one is made.
_KERNEL_CACHE = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")


def main() -> None:
    """Run the command line; a caller's mistake ends with one sentence and its exit status, never a traceback."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `regard ... | head` ends quietly
    os.environ.setdefault(*_KERNEL_CACHE)
    if sys.stdout is None:
        say("regard: error: standard output: is closed. Results have nowhere to go.")
        sys.exit(StorageError.exit_status)
    # Results are UTF-8 whatever the locale says, and lines end at LF. The name of a file may be no text; results are.
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")  # type: ignore[union-attr]
    try:
        app(arguments, prog_name="regard", standalone_mode=True)
    except Exception as error:
        told = _told(error)
        if debug or told is None:
            raise
        say(f"regard: {told}" if isinstance(told, Stopped) else f"regard: error: {told}")
        sys.exit(told.exit_status)


def _told(error: Exception) -> RegardError | None:
    """What a person is told of an error; None: it is a mistake of ours, and the traceback is what helps."""
    if isinstance(error, RegardError):
        return error
    if isinstance(error, ModuleNotFoundError) and error.name in _EXTRAS:
        return MissingDependencyError(error.name, _EXTRAS[error.name], "This command")
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "not enough memory" in str(error)):
        return RegardError("out of memory. Use smaller batches, for example --set training.batch_tokens=1000.")
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return InputError(f"{error.filename!s:.60}...: too long for the name of a file. Check the arguments.")
    if isinstance(error, OSError) and error.strerror:  # a disk or a pipe that nothing nearer has explained
        if error.filename is None:  # of stdout, most likely: Python must not try again at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return StorageError(f"{error.filename or 'standard output'}: {error.strerror}.")
    return None


_EXTRAS = {"torch": "train", "sacrebleu": "eval", "sacremoses": "eval", "matplotlib": "plot"}


@app.callback(invoke_without_command=True)
def _common(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show an error's traceback; goes anywhere on the line.")
    ] = False,
) -> None:
    del debug  # `main` has looked for it
    if version:
        typer.echo(regard.__version__)
        raise typer.Exit
