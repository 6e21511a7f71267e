"""Prices as they were on a day: for plans made without asking the API. Unknown is unknown."""

import msgspec

AS_OF = "2026-08"
SOURCE = "DigitalOcean's price page and size list"


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """What a size was listed as."""

    per_hour: float
    """Dollars."""
    gpu: str
    """One of its cards, as `ten.hardware` knows it."""
    gpus: int = 1
    vram_gib: int
    """Of all cards together."""

    @property
    def cards(self) -> str:
        """What it has, for people."""
        return self.gpu if self.gpus == 1 else f"{self.gpus} × {self.gpu}"


_TABLE = {
    "gpu-4000adax1-20gb": Listed(per_hour=0.76, gpu="RTX 4000 Ada", vram_gib=20),
    "gpu-l40sx1-48gb": Listed(per_hour=1.57, gpu="L40S", vram_gib=48),
    "gpu-6000adax1-48gb": Listed(per_hour=1.57, gpu="RTX 6000 Ada", vram_gib=48),
    "gpu-h100x1-80gb": Listed(per_hour=3.39, gpu="H100", vram_gib=80),
    "gpu-h200x1-141gb": Listed(per_hour=3.44, gpu="H200", vram_gib=141),
    "gpu-h100x8-640gb": Listed(per_hour=23.92, gpu="H100", gpus=8, vram_gib=640),
    "gpu-h200x8-1128gb": Listed(per_hour=27.52, gpu="H200", gpus=8, vram_gib=1128),
}


def listed(slug: str) -> Listed | None:
    """What a size cost then; None for one that is not in the table."""
    return _TABLE.get(slug)


def listed_sizes() -> dict[str, Listed]:
    """The whole table."""
    return dict(_TABLE)
