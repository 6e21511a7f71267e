"""Host files: what a droplet has from its first boot, as cloud-init takes it. None of it is a secret."""

from pathlib import Path
from typing import Any

import yaml

from ten.errors import SpecError

_MAX_BYTES = 64 * 1024
_ROOT = Path(__file__).parents[2] / "infra"
_PACKAGED = Path(__file__).parent / "infra"
_FILES = {
    "lease.py": ("/usr/local/lib/ten/lease.py", "0755"),
    "guard.sh": ("/usr/local/lib/ten/guard.sh", "0755"),
    "systemd/ten-lease.service": ("/etc/systemd/system/ten-lease.service", "0644"),
    "systemd/ten-lease.timer": ("/etc/systemd/system/ten-lease.timer", "0644"),
    "systemd/ten-guard.service": ("/etc/systemd/system/ten-guard.service", "0644"),
}


def user_data() -> str:
    """The whole of cloud-init's file: infra/cloud-init.yaml with the files beside it written out in it."""
    tree: dict[str, Any] = yaml.safe_load(infra_file("cloud-init.yaml"))
    written = [
        {"path": path, "permissions": mode, "owner": "root:root", "content": infra_file(name)}
        for name, (path, mode) in _FILES.items()
    ]
    tree["write_files"] = [*tree.get("write_files", ()), *written]
    text = "#cloud-config\n" + yaml.safe_dump(tree, sort_keys=False, width=120)
    if len(text.encode()) > _MAX_BYTES:
        raise SpecError(f"infra/: {len(text.encode())} bytes of user data; a droplet takes {_MAX_BYTES}")
    return text


def infra_file(name: str) -> str:
    """A file of infra/, from the sources or from the installed package."""
    path = next((root / name for root in (_PACKAGED, _ROOT) if (root / name).is_file()), _ROOT / name)
    return path.read_text(encoding="utf-8")
