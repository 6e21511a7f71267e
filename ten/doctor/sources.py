"""Source checks: the job in numbers, its tokenizer without a network, the hub where it will be asked."""

from contextlib import closing
from pathlib import Path

from ten.calls.patience import Patience
from ten.dataset.reading import tokenizer_name
from ten.doctor.finding import Verdict, fail, ok, skipped, warn
from ten.doctor.subject import Subject
from ten.hub.endpoint import read_endpoint
from ten.text.hub_tokenizer import is_at_hand, is_hub_name
from ten.text.tokens import load_tokenizer, trained_vocabulary
from ten.units import format_bytes, format_count


def check_tokenizer(subject: Subject) -> Verdict:
    """Whether the tokenizer is here, or must be fetched where there is network."""
    name, data = tokenizer_name(subject.spec), subject.spec.data
    if trained_vocabulary(name) is not None:
        return ok(f"{name}: trained on the text itself, without a network")
    if is_hub_name(name) and not Path(name).expanduser().exists() and not is_at_hand(name, subject.job.cache_dir):
        if read_endpoint().offline:
            return fail(f"{name}: not here, and HF_HUB_OFFLINE forbids to fetch it", "run `ten plan` once with network")
        return warn(f"{name}: not here yet; the store or the hub is asked at the start", "run `ten plan` once")
    loaded = load_tokenizer(name, data.end_of_document, subject.job.cache_dir)
    return ok(f"{name}: here, {loaded.vocabulary:,} entries")


def check_plan(subject: Subject) -> Verdict:
    """Whether the job can be counted here, and whether what it wishes fits its limits on any machine in question."""
    plan = subject.plan
    told = (
        f"{format_count(plan.parameters)} parameters, {format_count(plan.tokens)} tokens in {plan.steps:,} steps, "
        f"{format_bytes(plan.kept_bytes)} to keep"
    )
    known = [quote for quote in plan.quotes if quote.fits is not None]
    if known and not any(quote.fits for quote in known):
        lacking = ", ".join(known[0].hindrances)
        return warn(f"{told}: does not fit on {known[0].machine} ({lacking})", "`ten plan` says what fits")
    return ok(told)


def check_hub(subject: Subject) -> Verdict:
    """Whether the hub answers, where the job will ask it for text."""
    repo, endpoint = subject.plan.repository, read_endpoint()
    if repo is None:
        return skipped("the dataset is none of the hub's")
    if subject.spec.mode == "pretok":
        return skipped("mode pretok reads packs alone")
    if subject.plan.packed:
        return skipped("the dataset is packed: nothing is asked of the hub")
    if endpoint.offline:
        return fail("HF_HUB_OFFLINE is set, and the dataset is not packed", "unset it, or pack where there is network")
    from ten.hub.transport import Transport  # brings urllib3

    with closing(Transport(endpoint, Patience.of(subject.patience_s))) as transport:
        transport.get_json(f"/api/datasets/{repo}", f"whether {endpoint.url} answers for {repo}")
    token = f"with the token from {endpoint.token_source}" if endpoint.token else "without a token"
    return ok(f"{endpoint.url} answers for {repo}, {token}")
