"""Every error a caller can meet, and the exit status the command line gives it.

RegardError                     1   the program could not do what was asked
├── InputError                  2   what was given is wrong: a file, a line, an option
│   ├── DataError               2   text or pairs that cannot be read
│   ├── ConfigError             2   a configuration value, key or file
│   └── ModelError              2   a model folder that is broken, or does not fit the request
│       ├── CheckpointError     2   a checkpoint that is broken, or belongs to another run
│       └── TextError           2   one of several texts that the model cannot take
├── ShapeError                  1   tensors that do not fit together (a programming mistake)
├── TrainingError               1   training had to stop; weights are those of the last good step
├── StorageError                1   a disk that is full, read-only or gone
├── MissingDependencyError      3   an optional library; the message is the install line
└── Stopped                 130/143 SIGINT or SIGTERM; a checkpoint was written

A message says where, what was found, what was expected and what to do, one sentence each; the API and the command
line show the same text.
"""


class RegardError(Exception):
    """Base of all errors raised on purpose."""

    exit_status = 1


class InputError(RegardError):
    """What the caller gave is wrong."""

    exit_status = 2


class DataError(InputError):
    """Text or sentence pairs that cannot be read as asked."""


class ConfigError(InputError):
    """A configuration value out of range, an unknown key, an unreadable configuration file."""


class ModelError(InputError):
    """A model folder that is incomplete, damaged, or does not fit what is asked of it."""


class CheckpointError(ModelError):
    """A checkpoint that is incomplete, damaged, or belongs to a run with other settings."""


class TextError(ModelError):
    """One of several texts cannot be taken; the others can."""

    def __init__(self, message: str, row: int):
        super().__init__(message)
        self.row = row  # which of them, from 0

    def __reduce__(self) -> tuple[type, tuple[str, int]]:
        return type(self), (str(self), self.row)  # so that it passes from a worker process to its parent


class ShapeError(RegardError, ValueError):
    """Tensors whose shapes or types do not fit together."""


class TrainingError(RegardError):
    """Training cannot go on. The weights are those of the last good step."""


class StorageError(RegardError):
    """The disk refused: full, read-only, or gone. What was saved before is untouched."""


class MissingDependencyError(RegardError):
    """An optional library is not installed."""

    exit_status = 3

    def __init__(self, library: str, extra: str, purpose: str):
        super().__init__(f"{purpose} needs {library}. Install it with: pip install 'regard[{extra}]'")
        self._made_of = (library, extra, purpose)

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return type(self), self._made_of  # so that it passes from a worker process to its parent


class Stopped(RegardError):
    """A signal asked the program to stop, and everything worth keeping was saved first."""

    def __init__(self, signal_number: int, message: str):
        super().__init__(message)
        self.signal_number = signal_number
        self.exit_status = 128 + signal_number

    def __reduce__(self) -> tuple[type, tuple[int, str]]:
        return type(self), (self.signal_number, str(self))  # so that it passes from a worker process to its parent
