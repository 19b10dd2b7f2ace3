"""Teach a small model one job on text, see what it attends to, and run it on an ordinary machine."""

from typing import TYPE_CHECKING

from regard.decoding.options import SearchOptions
from regard.errors import RegardError

if TYPE_CHECKING:
    from regard.api import Model, load

__version__ = "0.1.0"
__all__ = ["Model", "RegardError", "SearchOptions", "__version__", "load"]


def __getattr__(name: str) -> object:
    """Import the API when it is asked for: `import regard` stays quick."""
    if name in ("Model", "load"):
        from regard import api

        return getattr(api, name)
    raise AttributeError(f"module 'regard' has no attribute {name!r}")
