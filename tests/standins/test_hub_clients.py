"""The unmodified clients work against the stand-in, each in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.standins.hub import Hub
from tests.standins.hub_corpora import READER, parquet_texts

HUB = """
import huggingface_hub
api, name = huggingface_hub.HfApi(), "HuggingFaceFW/fineweb-edu"
info = api.dataset_info(name, files_metadata=True)
say("sha", info.sha)
say("configs", [config["config_name"] for config in info.card_data["configs"]])
say("sizes", {file.rfilename: file.size for file in info.siblings})
say("tree", {file.path: file.size for file in api.list_repo_tree(name, repo_type="dataset", recursive=True)
             if hasattr(file, "size")})
say("information", [file.path for file in api.get_paths_info(name, ["README.md", "sample"], repo_type="dataset")])
say("converts", [ref.ref for ref in api.list_repo_refs("Skylion007/openwebtext", repo_type="dataset").converts])
say("commits", [commit.commit_id for commit in api.list_repo_commits(name, repo_type="dataset")])
def fetch(repo, path, **options):
    try:
        return huggingface_hub.hf_hub_download(repo, path, repo_type="dataset", **options)
    except huggingface_hub.errors.HfHubHTTPError as error:
        return type(error).__name__
say("file", fetch(name, "sample/10BT/000_00000.parquet"))
say("refused", [fetch(repo, "README.md") for repo in ("standin/gated", "standin/private", "no/where")])
say("let_in", fetch("standin/gated", "data/train-00000-of-00001.parquet", token=TOKEN))
say("user", api.whoami(token=TOKEN)["name"])
"""
STREAMING = """
import datasets
def stream(*words, **options):
    return datasets.load_dataset(*words, split="train", streaming=True, **options)
rows = stream("HuggingFaceFW/fineweb-edu", "sample-10BT", columns=["text"])
say("texts", [row["text"] for row in rows])
converted = stream("Skylion007/openwebtext", revision="refs/convert/parquet", columns=["text"])
say("converted", sum(1 for _ in converted))
say("jsonl", sum(1 for _ in stream("standin/jsonl")))
def refusal(*words):
    try:
        stream(*words)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
names = [("Skylion007/openwebtext",), ("standin/gated",), ("no/where",), ("Salesforce/wikitext",)]
say("refused", [refusal(*words) for words in names])
"""
WHOLE = """
import datasets
def lengths(*words):
    return {split: len(rows) for split, rows in datasets.load_dataset(*words).items()}
say("tinystories", lengths("roneneldan/TinyStories"))
say("wikitext", lengths("Salesforce/wikitext", "wikitext-103-raw-v1"))
say("csv", lengths("standin/csv"))
"""
TOKENIZER = """
from transformers import AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained("gpt2")
say("length", len(tokenizer))
say("back", tokenizer.decode(tokenizer("Hello, café")["input_ids"]))
"""


def _run(hub: Hub, home: Path, code: str) -> dict[str, Any]:
    """What a client says, one JSON line a thing."""
    head = f"import json\nTOKEN = {READER!r}\ndef say(name, value): print(json.dumps([name, value]))\n"
    environment = {**hub.environment(home), "USE_TORCH": "0"}
    done = subprocess.run(
        [sys.executable, "-c", head + code], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not any(entry.had_authorization for entry in hub.log("cdn"))
    return dict(json.loads(line) for line in done.stdout.splitlines())


def test_huggingface_hub_lists_downloads_and_names_refusals(hub: Hub, home: Path) -> None:
    said = _run(hub, home, HUB)
    folder = hub.root / "datasets/HuggingFaceFW/fineweb-edu"
    name = "sample/10BT/000_00000.parquet"
    assert "sample-10BT" in said["configs"]
    assert said["sizes"] == said["tree"]
    assert said["sizes"][name] == (folder / name).stat().st_size
    assert said["information"] == ["README.md", "sample"]
    assert said["converts"] == ["refs/convert/parquet"]
    assert said["commits"][0] == said["sha"] == Path(said["file"]).parts[-4]
    assert Path(said["file"]).read_bytes() == (folder / name).read_bytes()
    assert said["refused"] == ["GatedRepoError", "RepositoryNotFoundError", "RepositoryNotFoundError"]
    assert Path(said["let_in"]).read_bytes()[:4] == b"PAR1"
    assert said["user"] == "tester"
    assert any(entry.had_authorization for entry in hub.log("hub"))


def test_datasets_streams(hub: Hub, home: Path) -> None:
    said = _run(hub, home, STREAMING)
    folder = hub.root / "datasets/HuggingFaceFW/fineweb-edu"
    assert said["texts"] == parquet_texts(folder, "sample/10BT/*.parquet")
    assert (said["converted"], said["jsonl"]) == (200, 200)
    script, gated, missing, configless = said["refused"]
    assert script.startswith("RuntimeError: Dataset scripts are no longer supported")
    assert gated.startswith("DatasetNotFoundError: Dataset 'standin/gated' is a gated dataset")
    assert missing.startswith("DatasetNotFoundError: Dataset 'no/where' doesn't exist")
    assert configless.startswith("ValueError: Config name is missing")


def test_datasets_loads_whole_files(hub: Hub, home: Path) -> None:
    said = _run(hub, home, WHOLE)
    assert said["tinystories"] == {"train": 400, "validation": 50}
    assert said["wikitext"] == {"test": 30, "train": 300, "validation": 20}
    assert said["csv"] == {"train": 50, "test": 50}


def test_transformers_finds_a_tokenizer_by_its_short_name(hub: Hub, home: Path) -> None:
    said = _run(hub, home, TOKENIZER)
    assert said == {"length": 2000, "back": "Hello, café"}


@pytest.mark.parametrize("token", ["", "hf_mine"])
def test_a_clients_environment_knows_no_other_hub(
    hub: Hub, home: Path, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_real")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    environment = hub.environment(home, token)
    assert environment.get("HF_TOKEN", "") == token
    assert not {"HF_HUB_OFFLINE", "https_proxy"} & environment.keys()
    assert (environment["HF_ENDPOINT"], environment["HF_HOME"]) == (hub.endpoint, str(home))
