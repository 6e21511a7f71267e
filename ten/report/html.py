"""HTML and SVG as text: an element escapes every text that is put into it, so that none can become markup."""

import html
import re

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


class Markup(str):
    """A text that is HTML already; anything else is escaped."""

    __slots__ = ()


Child = str | int | None


def tag(name: str, *children: Child, **attributes: str | int | float | None) -> Markup:
    """An element with its children; attributes that are None are left out, `_` in a name is `-` (`class_` is class)."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if not children and name in ("path", "line", "rect", "circle", "input", "meta"):
        return Markup(f"<{name}{given}/>")
    return Markup(f"<{name}{given}>{join(*children)}</{name}>")


def join(*children: Child) -> Markup:
    """Children one after the other; None is nothing."""
    return Markup("".join(c if isinstance(c, Markup) else escape(str(c)) for c in children if c is not None))


def escape(text: str) -> str:
    """A text that means itself, between tags and inside an attribute's quotes; U+FFFD for what HTML cannot hold."""
    return html.escape(_CONTROL.sub("\ufffd", text))


def table(heads: list[str], rows: list[list[Child]], **attributes: str | None) -> Markup:
    """A table whose first column names the row; numbers are aligned by the style."""
    head = tag("tr", *(tag("th", text, scope="col") for text in heads))
    cells = [[tag("td", cell, data_head=name) for name, cell in zip(heads[1:], row[1:], strict=True)] for row in rows]
    body = [tag("tr", tag("th", row[0], scope="row"), *rest) for row, rest in zip(rows, cells, strict=True)]
    return tag("div", tag("table", tag("thead", head), tag("tbody", *body), **attributes), class_="scroll")
