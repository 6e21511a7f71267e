"""What gpu.py prints and writes: sections with their rows, as they come, and what became of each. Standard library."""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

Cell = str | float | int | None


class NotMeasured(Exception):
    """Raised by a section that cannot be measured here, with the reason."""


@dataclass(slots=True, kw_only=True)
class Result:
    """One section as it was measured."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]] = field(default_factory=list)
    seconds: float = 0.0
    budget_s: float = 0.0
    failure: str | None = None
    omission: str | None = None
    """Why nothing, or no more, was measured."""

    @property
    def verdict(self) -> str:
        """In words, with the time it took."""
        took = f"{self.seconds:.0f} s of {self.budget_s:.0f} s"
        if self.failure:
            return f"FAILED after {took}: {self.failure}"
        return f"{self.omission} ({took})" if self.omission else f"measured in {took}"


def lines(result: Result) -> Iterator[str]:
    """The section for a terminal."""
    yield f"\n{result.name}: {result.title}"
    if result.rows:
        table = [result.columns, *(tuple(map(shown, row)) for row in result.rows)]
        widths = [max(len(row[at]) for row in table) for at in range(len(result.columns))]
        for row in table:
            yield "  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
    yield f"  {result.verdict}"


def write(path: Path, headline: str, command: str, results: list[Result]) -> None:
    """The report as it stands, in one move: a call that is cut short leaves what it had."""
    parts = [f"# {headline}, {datetime.date.today():%Y-%m-%d}", "", f"`{command}`"]
    for result in results:
        parts += ["", f"## {result.name}: {result.title}", ""]
        if result.rows:
            parts += [_row(result.columns), _row(["---"] * len(result.columns))]
            parts += [_row([shown(cell) for cell in row]) for row in result.rows]
            parts.append("")
        parts.append(f"{result.verdict[0].upper()}{result.verdict[1:]}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text("\n".join(parts) + "\n", encoding="utf-8")
    part.replace(path)


def shown(cell: Cell) -> str:
    """A figure with three digits and a little, a word as it is, nothing as a dash."""
    if cell is None:
        return "–"
    if isinstance(cell, float):
        return f"{cell:.2e}" if cell and abs(cell) < 1e-2 else f"{cell:,.3g}" if abs(cell) < 1000 else f"{cell:,.0f}"
    return f"{cell:,}" if isinstance(cell, int) else cell


def _row(cells: "list[str] | tuple[str, ...]") -> str:
    return "| " + " | ".join(cells) + " |"
