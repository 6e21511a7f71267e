"""Which Ray cluster `--on` names, without one."""

import pytest

from ten.data import ray_cluster
from ten.data.ray_cluster import RayCluster
from ten.errors import ServiceUnavailable, SpecError


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are read before Ray is needed."""
    monkeypatch.setattr(ray_cluster, "find_spec", lambda name: name)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("rey", "did you mean 'ray'"),
        ("10.0.0.1:6379", "RAY_ADDRESS"),
        ("dask", "Write ray for the cluster of this machine"),
        ("ray://", "write ray://HOST:10001"),
        ("ray://head:port", "write ray://HOST:10001"),
        ("ray://head/path", "write ray://HOST:10001"),
    ],
)
def test_a_place_that_cannot_be_is_refused_with_what_can(place: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        RayCluster(place)


@pytest.mark.parametrize("place", ["ray", "ray://head", "ray://10.0.0.1:10001"])
def test_clusters_have_names(place: str) -> None:
    RayCluster(place)


def test_without_ray_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "find_spec", lambda _: None)
    with pytest.raises(SpecError, match=r"pip install 'ten\[ray\]'"):
        RayCluster("ray")


@pytest.mark.parametrize(("place", "address"), [("ray", "127.0.0.1:1"), ("ray://127.0.0.1:1", "")])
def test_a_head_that_does_not_listen_is_named_at_once(
    place: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", address)
    refused = pytest.raises(ServiceUnavailable, match=r"Ray at (ray://)?127.0.0.1:1 does not answer")
    with refused, RayCluster(place).connected():
        pass
