"""The page: complete, inert, small, and seen in a real browser."""

import json
import re
import subprocess
import sys
import tracemalloc
import zlib
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ten.cli import main
from ten.errors import DataError, MissingInput
from ten.report.curves import CURVES
from ten.report.page import render
from ten.report.source import gather
from ten.train.run_record import read_run
from tests.report.browser import Browser
from tests.report.runs import make_run

NOW = datetime(2026, 9, 1, tzinfo=UTC)


def _page(*folders: Path) -> str:
    records = [(folder, read_run(folder / "run.json")) for folder in folders]
    return render([gather(n, folder, record) for n, (folder, record) in enumerate(records) if record], NOW)


class _Reader(HTMLParser):
    """Elements of a page and the texts in them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def _tags(page: str, name: str) -> list[dict[str, str | None]]:
    reader = _Reader()
    reader.feed(page)
    return [attributes for tag, attributes in reader.tags if tag == name]


def test_a_page_has_every_curve_on_every_axis_and_every_layer(tmp_path: Path) -> None:
    page = _page(make_run(tmp_path / "tale", layers=3))
    ids = {svg.get("id") for svg in _tags(page, "svg")}
    assert ids >= {f"{curve.key}-{against}" for curve in CURVES for against in ("tokens", "seconds", "dollars")}
    assert "by-context" in ids
    assert len([svg for svg in _tags(page, "svg") if svg.get("class") == "layer"]) == 3
    for text in ("NVIDIA L40S", "stopped by SIGTERM", "killed", "spike: step skipped", "restart", "upon a time 300",
                 "ten:cuda", "580.1", "A processor", "32.0 GiB", "train.seed"):  # fmt: skip
        assert text in page


def test_every_picture_tells_itself_in_words(tmp_path: Path) -> None:
    page = _page(make_run(tmp_path / "tale"))
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert pictures
    for picture in pictures:
        assert 'role="img"' in picture
        assert re.search(r"<title>[^<]+</title><desc>A tale[^<]+</desc>", picture)
    assert "from 0.4 at" not in page
    assert "A tale: model FLOPs utilization from 40% at 1K to 40% at 300K tokens; least 40%, greatest 40%." in page


def test_without_a_price_there_are_no_dollars_and_without_a_checkpoint_no_eigenvalues(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "tale", price=None, layers=0)
    (folder / "samples.jsonl").unlink()
    page = _page(folder)
    assert 'id="loss-dollars"' not in page
    assert 'id="eigenvalues"' not in page
    assert 'id="samples"' not in page
    assert "3 attempts without a price: resources.price_per_hour states it" in page


def test_what_is_known_of_the_dollars_is_shown(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "tale")
    tree = json.loads((folder / "run.json").read_text())
    tree["attempts"][0]["price_per_hour"] = None
    (folder / "run.json").write_text(json.dumps(tree))
    page, record = _page(folder), read_run(folder / "run.json")
    assert record is not None
    assert f"${record.cost:.3g} + ?" in page
    assert "and 1 attempt without a price: resources.price_per_hour states it" in page


def test_the_newest_figures_are_means_with_their_units(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "tale", steps=1000)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    lines[-1]["loss"] = 9.0
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    mean = sum(line["loss"] for line in lines[-50:]) / 50
    assert f"<dd>{mean:.3f}</dd>" in _page(folder)
    compared = _page(folder, make_run(tmp_path / "other"))
    assert f"{mean:.3f}" in compared and "loss, nats/token" in compared and "held-out, bits/byte" in compared


def test_settings_read_as_in_a_job_file_and_files_from_the_runs_folder_on(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "tale")
    tree = json.loads((folder / "run.json").read_text())
    tree["spec"]["resources"] = {"ordered": [{"infra": "do", "gpus": 2}], "price_per_hour": None}
    tree["spec"]["secrets"] = []
    tree["attempts"][0]["reason"] = "full: /data/far/runs/tale/checkpoints/step-00000100; no room on /data/far"
    (folder / "run.json").write_text(json.dumps(tree))
    page = _page(folder)
    assert '<td data-head="value">[{infra: do, gpus: 2}]</td>' in page
    assert '<td data-head="value">unset</td>' in page and ">[]</td>" in page
    assert "full: checkpoints/step-00000100; no room on /data/far" in page
    assert "8 cores of A processor" in page


def test_runs_are_compared_in_the_same_charts(tmp_path: Path) -> None:
    page = _page(make_run(tmp_path / "first"), make_run(tmp_path / "second", steps=120, seed=1))
    loss = re.search(r'<svg[^>]*id="loss-tokens".*?</svg>', page, re.DOTALL)
    assert loss
    assert [path["data-label"] for path in _tags(loss[0], "path") if path["class"].startswith("line")] == [  # type: ignore[union-attr]
        "A first",
        "B second",
    ]
    assert page.index("train.seed") < page.index("data.dataset")  # what differs comes first


_NASTY = "<script>document.title='gone'</script>&\"'\x00\x1b[31m</style></title>"


def test_texts_of_a_run_are_inert(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "tale")
    tree = json.loads((folder / "run.json").read_text())
    tree["run"] = _NASTY
    tree["spec"]["data"]["dataset"] = _NASTY
    tree["spec"][_NASTY] = _NASTY
    for attempt in tree["attempts"]:
        attempt |= {"device": _NASTY, "reason": _NASTY, "job_sha256": _NASTY}
        attempt["machine"] |= {"image": _NASTY, "cpu": _NASTY, "revision": _NASTY}
    (folder / "run.json").write_text(json.dumps(tree))
    (folder / "samples.jsonl").write_text(
        json.dumps({"step": 300, "tokens": 3, "prompt": _NASTY, "text": _NASTY}) + "\n"
    )
    page = _page(folder)
    assert len(_tags(page, "script")) == 1
    assert "&lt;script&gt;" in page
    assert not set(page) & set("\x00\x1b")


def test_a_long_run_is_small_and_takes_bounded_memory(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "tale", steps=20_000)
    gather(0, folder, read_run(folder / "run.json"))  # type: ignore[arg-type]  # imports what it needs
    tracemalloc.start()
    page = _page(folder)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(page) < 500_000
    assert peak < 40e6


@pytest.mark.slow
def test_a_million_steps_are_a_page_of_seconds(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "tale", steps=1_000_000)
    tracemalloc.start()
    page = _page(folder)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(page) < 500_000
    assert peak < 40e6


def test_many_runs_stay_below_two_megabytes(tmp_path: Path) -> None:
    folders = [make_run(tmp_path / f"tale-{n}", steps=1500, seed=n, layers=12) for n in range(8)]
    assert len(_page(*folders)) < 2_000_000


def test_a_run_without_a_step_or_with_damaged_files_is_an_error_that_names_it(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "tale")
    record = read_run(folder / "run.json")
    assert record
    (folder / "samples.jsonl").write_text('{"step": 1}\n')
    with pytest.raises(DataError, match=r"samples\.jsonl: line 1"):
        gather(0, folder, record)
    (folder / "metrics.jsonl").write_text('{"step": 1}\n')
    with pytest.raises(DataError, match=r"metrics\.jsonl: line 1"):
        gather(0, folder, record)
    (folder / "metrics.jsonl").write_text("")
    with pytest.raises(MissingInput, match="no step yet"):
        gather(0, folder, record)
    (folder / "metrics.jsonl").unlink()
    with pytest.raises(MissingInput, match="no such metrics file"):
        gather(0, folder, record)


def test_the_verb_writes_the_page_beside_the_run_or_where_it_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path / "runs" / "tale", layers=1)
    assert main(["report", "tale", "--store", str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "runs" / "tale" / "report.html")
    assert main(["report", str(tmp_path / "runs" / "tale"), "--to", str(tmp_path / "deep" / "page.html")]) == 0
    assert (tmp_path / "deep" / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert main(["report", "tail", "--store", str(tmp_path)]) == 66


def test_the_verb_does_without_torch(tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "tale", layers=1)
    words = ["report", "tale", "--store", str(tmp_path)]
    code = f"import sys; from ten.cli import main; main({words!r}); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


_VISIBLE = "[...document.querySelectorAll('svg.chart')].filter((svg) => svg.checkVisibility()).map((svg) => svg.id)"
_COLOURS = (
    """(() => { const style = getComputedStyle(document.body); return [style.backgroundColor, style.color]; })()"""
)


def test_in_a_browser_it_is_whole_quiet_and_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(_page(make_run(tmp_path / "tale"), make_run(tmp_path / "more", seed=1)), encoding="utf-8")
    keys = [curve.key for curve in CURVES]
    with Browser(tmp_path / "profile") as browser:
        browser.open(page)
        assert browser.ask(_VISIBLE) == [*(f"{key}-tokens" for key in keys), "by-context", "depth"]
        light, picture = browser.ask(_COLOURS), browser.picture()
        for against in ("seconds", "dollars"):
            browser.ask(f"document.getElementById('against-{against}').click()")
            assert browser.ask(_VISIBLE) == [*(f"{key}-{against}" for key in keys), "by-context", "depth"]
        box = browser.ask("(() => { const b = document.getElementById('loss-dollars').getBoundingClientRect();"
                          "return [b.x + b.width / 2, b.y + b.height / 2]; })()")  # fmt: skip
        browser.point(*box)
        shown = browser.ask("document.querySelector('.tip')?.textContent")
        assert re.fullmatch(r"0\.\d+ \$\nA  3\.\d+\nB  3\.\d+", shown)
        browser.open(page, width=500)
        wide = "[...document.querySelectorAll('.scroll')].filter((one) => one.scrollWidth > one.clientWidth).length"
        assert browser.ask(wide) == 0
        browser.open(page, width=400, dark=True)
        assert browser.ask("document.documentElement.scrollWidth") <= 400
        dark = browser.ask(_COLOURS)
        assert dark[0] != light[0] and dark[1] != light[1]
        assert set(browser.requests) == {page.as_uri()}
        assert browser.complaints == []
    assert _colours(picture) > 50


def _colours(picture: bytes) -> int:
    """How many different stretches of pixels a PNG has: hardly any where it is blank."""
    data = b"".join(chunk for kind, chunk in _chunks(picture) if kind == b"IDAT")
    pixels = zlib.decompress(data)
    return len({pixels[at : at + 12] for at in range(0, len(pixels) - 12, 97)})


def _chunks(picture: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(picture):
        length = int.from_bytes(picture[at : at + 4], "big")
        found.append((picture[at + 4 : at + 8], picture[at + 8 : at + 8 + length]))
        at += 12 + length
    return found
