"""The errors a user may meet and their exit codes."""

import pytest

from ten import errors
from ten.errors import TenError


def kinds() -> list[type[TenError]]:
    return [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, TenError)]


def test_every_error_has_an_exit_code_of_its_own() -> None:
    codes = {kind: kind.exit_code for kind in kinds()}
    assert len(set(codes.values())) == len(codes) == 10
    assert all(0 < code < 126 for code in codes.values())


def test_the_codes_are_those_of_sysexits() -> None:
    import os

    for name, error in [
        ("EX_DATAERR", errors.DataError), ("EX_NOINPUT", errors.MissingInput),
        ("EX_UNAVAILABLE", errors.ServiceUnavailable),
        ("EX_SOFTWARE", errors.TrainingDiverged), ("EX_CANTCREAT", errors.DiskFull), ("EX_IOERR", errors.StoreError),
        ("EX_TEMPFAIL", errors.Resumable), ("EX_NOPERM", errors.CredentialsError), ("EX_CONFIG", errors.SpecError),
    ]:  # fmt: skip
        assert error.exit_code == getattr(os, name)


def test_the_table_at_the_top_is_complete() -> None:
    for kind in kinds():
        line = next(line for line in (errors.__doc__ or "").splitlines() if kind.__name__ in line.split())
        assert str(kind.exit_code) in line.split()


@pytest.mark.parametrize("kind", kinds())
def test_an_error_is_its_message(kind: type[TenError]) -> None:
    assert str(kind("file: what: cure")) == "file: what: cure"
    assert kind.__doc__
