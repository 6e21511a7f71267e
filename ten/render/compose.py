"""A job as a Compose file."""

import os
from typing import Any

from ten.job import JobSpec
from ten.render.container import DATA, MEMLOCK, STACK, Container
from ten.render.document import document


def render_compose(spec: JobSpec) -> str:
    """A Compose file with the job as its one service."""
    name = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in spec.name.lower())
    container = Container(spec)
    volumes: list[dict[str, Any]] = [
        {"type": "bind", "source": str(container.folder), "target": DATA, "bind": {"create_host_path": True}}
        if container.folder
        else {"type": "volume", "source": "ten-data", "target": DATA},
        *(
            {"type": "bind", "source": str(folder), "target": str(folder), "read_only": True}
            for folder in container.read_folders
        ),
    ]
    service: dict[str, Any] = {
        "image": container.image,
        "command": [word.replace("$", "$$") for word in container.command],
        "environment": {**dict.fromkeys([*container.secrets, *container.plain]), "TEN_IMAGE": container.image},
        "volumes": volumes,
        "shm_size": container.shm_bytes,
        "ulimits": {"memlock": MEMLOCK, "stack": STACK},
        "stop_grace_period": f"{container.grace_s}s",
        "restart": "no",
        "read_only": True,
        "tmpfs": ["/tmp"],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
    }
    if container.folder:
        service["user"] = f"{os.getuid()}:{os.getgid()}"
    if container.gpus:
        device = {"driver": "nvidia", "count": container.gpus, "capabilities": ["gpu"]}
        service["deploy"] = {"resources": {"reservations": {"devices": [device]}}}
    tree: dict[str, Any] = {"name": name, "services": {name: service}}
    if not container.folder:
        tree["volumes"] = {"ten-data": {}}
    return document(tree, f"docker compose -f FILE up; `… stop` ends {spec.name} with a checkpoint")
