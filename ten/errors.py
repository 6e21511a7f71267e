"""The errors a user may meet, each with the exit code a supervisor acts on.

TenError                 1   anything below; never raised itself
├─ DataError            65   the data is not what it should be (truncated, wrong hash, no text)
├─ MissingInput         66   a file, corpus, pack or run that was named is not there
├─ ServiceUnavailable   69   a host or helper process did not answer in time
├─ TrainingDiverged     70   loss or gradients are no longer finite
├─ DiskFull             73   no room or no permission to write
├─ StoreError           74   the store answered with an error
├─ Resumable            75   stopped on purpose (signal, deadline): run the same command again
├─ CredentialsError     77   a key is missing, wrong or not allowed
└─ SpecError            78   a job, flag or setting is wrong

The codes are those of sysexits.h where it has one. A message names the thing, the value and the way out.
"""

from typing import ClassVar


class TenError(Exception):
    """Base of every error that is the user's to solve; a traceback is shown only for other exceptions."""

    exit_code: ClassVar[int] = 1


class DataError(TenError):
    """Input or stored bytes are damaged or unusable."""

    exit_code = 65


class MissingInput(TenError):
    """Something that was named does not exist."""

    exit_code = 66


class ServiceUnavailable(TenError):
    """A service or helper process did not answer within its deadline."""

    exit_code = 69


class TrainingDiverged(TenError):
    """The loss or a gradient is not finite."""

    exit_code = 70


class DiskFull(TenError):
    """Nothing more can be written where it must be written."""

    exit_code = 73


class StoreError(TenError):
    """The store failed; the object and the store's own words are in the message."""

    exit_code = 74


class Resumable(TenError):
    """Stopped before the end with everything saved: the same command goes on."""

    exit_code = 75


class CredentialsError(TenError):
    """A credential is missing, wrong or lacks a right."""

    exit_code = 77


class SpecError(TenError):
    """A setting cannot be used as given."""

    exit_code = 78
