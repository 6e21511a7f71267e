"""The registry: names that work, and what to choose when one does not."""

import itertools

import pytest

from ten.hub.registry import REGISTRY, known_dataset, offer, registered_names, registered_of

STREAMED = {"finewebedu", "openwebtext", "pg19"}


def test_the_datasets_people_ask_for_are_registered() -> None:
    assert set(registered_names()) == {*STREAMED, "wikitext-103", "imdb", "ag_news", "tinystories"}
    assert {known.name for known in REGISTRY if known.streams} == STREAMED


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("finewebedu", "finewebedu"),
        ("fineweb-edu", "finewebedu"),
        ("FineWeb_Edu", "finewebedu"),
        ("HuggingFaceFW/fineweb-edu:sample-10BT", "finewebedu"),
        ("deepmind/pg19", "pg19"),
        ("wikitext-103-raw-v1", "wikitext-103"),
        ("Salesforce/wikitext:wikitext-103-raw-v1", "wikitext-103"),
        ("agnews", "ag_news"),
        ("roneneldan/TinyStories", "tinystories"),
        ("Skylion007/openwebtext", "openwebtext"),
        ("stanfordnlp/imdb", "imdb"),
    ],
)
def test_old_ids_and_spellings_lead_to_one_dataset(typed: str, name: str) -> None:
    known = known_dataset(typed)
    assert known is not None and known.name == name


@pytest.mark.parametrize(
    "typed", ["wikitext", "HuggingFaceFW/fineweb-edu", "Salesforce/wikitext", "fineweb", "stdlib", "", "imdb2"]
)
def test_what_could_mean_another_config_is_not_guessed(typed: str) -> None:
    assert known_dataset(typed) is None


def test_a_repository_knows_what_is_registered_of_it() -> None:
    assert [known.name for known in registered_of("huggingfacefw/fineweb-edu")] == ["finewebedu"]
    assert registered_of("ns/other") == ()


def test_no_two_datasets_share_a_name() -> None:
    spelled = [
        {name.replace("-", "").replace("_", "").lower() for name in (known.name, known.repo, *known.aliases)}
        for known in REGISTRY
    ]
    assert all(not one & other for one, other in itertools.combinations(spelled, 2))


def test_counts_are_of_the_size_that_text_has() -> None:
    for known in REGISTRY:
        assert 0.5 < known.bytes / known.tokens < 5, known.name
        assert known.tokens > 20 * known.documents, known.name


def test_an_offer_names_the_nearest_and_all() -> None:
    assert offer("wikitext", registered_names()).startswith("did you mean 'wikitext-103'? (known: ag_news, finewebedu")
    assert offer("zzz", ["b", "a"]) == "known: a, b"
    assert offer("x", []) == "known: none"
    assert offer("zzz", [f"{number:03d}" for number in range(100)]).endswith("039 and 60 more")
