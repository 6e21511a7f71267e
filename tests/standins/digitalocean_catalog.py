"""What the stand-in of DigitalOcean's API has to offer at first: sizes, prices, regions, a key."""

from typing import Any

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIStandInKeyStandInKeyStandInKeyStandInKey somebody@laptop"


def sizes() -> list[dict[str, Any]]:
    """As /v2/sizes has them."""
    return [
        _size("s-2vcpu-4gb", 0.03571, ["nyc1", "tor1"], memory=4096),
        _size("gpu-l40sx1-48gb", 1.57, ["tor1"], gpu="nvidia_l40s", vram=48),
        _size("gpu-6000adax1-48gb", 1.57, ["tor1", "nyc2"], gpu="nvidia_rtx6000_ada", vram=48),
        _size("gpu-h100x1-80gb", 3.39, ["nyc2"], gpu="nvidia_h100", vram=80),
        _size("gpu-4000adax1-20gb", 0.76, [], gpu="nvidia_rtx4000_ada", vram=20),
    ]


def keys() -> list[dict[str, Any]]:
    """As /v2/account/keys has them."""
    return [{"id": 512189, "name": "laptop", "fingerprint": "3b:16:bf:e4:8b:00", "public_key": PUBLIC_KEY}]


def _size(
    slug: str, price: float, regions: list[str], *, gpu: str = "", vram: int = 0, memory: int = 65536
) -> dict[str, Any]:
    said = {
        "slug": slug, "memory": memory, "vcpus": 8, "disk": 500, "transfer": 10.0, "price_monthly": price * 744,
        "price_hourly": price, "regions": regions, "available": True, "description": slug,
    }  # fmt: skip
    if gpu:
        said["gpu_info"] = {"count": 1, "model": gpu, "vram": {"amount": vram, "unit": "gib"}}
    return said
