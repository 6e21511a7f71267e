"""A rendered YAML document."""

from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    """Texts of several lines stand as they are."""


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def document(tree: dict[str, Any], how: str) -> str:
    """YAML with a first line that says how it is used."""
    return f"# {how}\n" + yaml.dump(tree, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)
