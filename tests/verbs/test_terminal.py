"""What verbs print."""

import pytest

from ten.verbs.terminal import as_json, show, show_as_it_comes


def test_results_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    show("one")
    show_as_it_comes(iter(["two", " and", " three"]))
    assert capsys.readouterr().out == "one\ntwo and three\n"
    assert as_json({"a": [1]}) == '{\n  "a": [\n    1\n  ]\n}'
