"""Every error a user can meet, as one tree. The command line prints them as one line and exits with 1.

GristmillError(ValueError)
├── RecipeError        a recipe or a command's settings are wrong; found before any data is read
├── InputError         an input file, glob or URI is missing or cannot be read
├── ModelError         a language, toxicity or tokenizer file is missing or of another format
├── SchemaMismatch     a table does not have the declared columns
├── IntegrityError     bytes on disk differ from their recorded digest, or counts do not add up
├── ManifestMismatch   a manifest is of another format, recipe or digest than what the work needs
├── GateFailed         a gate of the recipe (audit, retention) is not met
├── StorageError       an output cannot be written (full disk, no permission, lost connection, another build)
└── JobFailed          a cluster job or a worker ended without success

A message says what happened, where (file, row, column, key), and how to fix it.
"""

import errno


class GristmillError(ValueError):
    """Base of all errors that a user of gristmill can cause or mend."""


class RecipeError(GristmillError):
    """A recipe or a command's settings are wrong."""


class InputError(GristmillError):
    """An input is missing or unreadable."""


class ModelError(GristmillError):
    """A model or tokenizer file is missing or has another format than the recipe says."""


class SchemaMismatch(GristmillError):
    """A table lacks a declared column or has it with another type."""


class IntegrityError(GristmillError):
    """Bytes or counts on disk are not the recorded ones."""


class ManifestMismatch(GristmillError):
    """A manifest belongs to another recipe, format or digest."""


class GateFailed(GristmillError):
    """A gate that the recipe sets is not met."""


class StorageError(GristmillError):
    """An output cannot be written."""


class JobFailed(GristmillError):
    """A cluster job or one of its workers ended without success."""


def storage_error(uri: str, error: OSError) -> StorageError:
    """The StorageError for a failed write, with the remedy for the usual causes."""
    cause = error.strerror or str(error)
    remedy = {
        errno.ENOSPC: "Free space or choose another --out, then run the same command again: finished work is kept.",
        errno.EDQUOT: "Free space or choose another --out, then run the same command again: finished work is kept.",
        errno.EFBIG: "Raise the limit of ulimit -f, then run the same command again: finished work is kept.",
        errno.EACCES: "Give this user write permission there, or choose another --out.",
        errno.EROFS: "The file system is read-only; choose another --out.",
    }.get(error.errno or 0, "Check the path and the connection, then run the same command again.")
    return StorageError(f"{uri}: cannot be written: {cause}. {remedy}")
