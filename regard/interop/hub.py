"""Model folders from the Hugging Face hub, by name: the only code here that uses the network, and only when asked."""

import fnmatch
import re
from pathlib import Path

from regard.errors import InputError, MissingDependencyError, ModelError, StorageError
from regard.interop import pooling
from regard.interop.huggingface import PICKLE_ADVICE, PICKLE_NAMES

PREFIX = "hf:"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?")
_REVISION = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[\w-][\w.-]*)*")  # a commit, a tag, a branch such as refs/pr/1
# What importers read, and the card, which tells the language; nothing else is fetched, so no pickle and no code can be.
_WANTED = ("*.json", "*.safetensors", "vocab.txt", "merges.txt", "*.spm", "spiece.model", "README.md")


def fetch(source: str, folder: Path) -> None:
    """Download the files of a model that importers read.

    Args:
        source: "hf:NAME" or "hf:OWNER/NAME", with "@REVISION" after it for a commit, a tag or a branch.
        folder: where they are put; nothing is written elsewhere.

    Raises:
        InputError: that is no such name.
        ModelError: the hub has no such model or revision, or it has no safetensors file.
        StorageError: the network or the disk refused.
        MissingDependencyError: huggingface-hub is not installed.
    """
    name, pinned, revision = source.removeprefix(PREFIX).partition("@")
    if not _NAME.fullmatch(name) or (pinned and not _REVISION.fullmatch(revision)):
        raise InputError(
            f"{source}: is no name of a model, such as {PREFIX}google-bert/bert-base-uncased, or with a revision "
            f"{PREFIX}google-bert/bert-base-uncased@main."
        )
    try:
        import huggingface_hub
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError
    except ImportError as error:
        raise MissingDependencyError("huggingface-hub", "hf", "Importing by name") from error
    try:
        files = huggingface_hub.HfApi().list_repo_files(name, revision=revision or None)
        if not any(file.endswith(".safetensors") for file in files):
            pickles = [file for file in files if any(fnmatch.fnmatch(file, pattern) for pattern in PICKLE_NAMES)]
            found = f"its weights in {', '.join(pickles[:3])}" if pickles else "no weights"
            raise ModelError(f"{source}: has {found}, not in safetensors. {PICKLE_ADVICE}")
        top = [file for file in files if "/" not in file and any(fnmatch.fnmatch(file, each) for each in _WANTED)]
        wanted = top + [file for file in files if file == pooling.FILE]
        huggingface_hub.snapshot_download(name, revision=revision or None, allow_patterns=wanted, local_dir=folder)
    except RepositoryNotFoundError as error:
        raise ModelError(f"{source}: the hub has no such model, or it is private. Check the name.") from error
    except RevisionNotFoundError as error:
        raise ModelError(f"{source}: the hub has {name}, but no revision {revision} of it. Check its name.") from error
    except ModelError:
        raise
    except Exception as error:  # of the network, of the library's own kinds, of the disk
        raise StorageError(f"{source}: could not be fetched ({type(error).__name__}: {error!s:.200}).") from error
