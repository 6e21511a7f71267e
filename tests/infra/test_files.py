"""What infra/ holds, read by the programs that it is for, where they are installed."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import hcl2
import pytest
import yaml

from ten.cloud.host_files import user_data
from ten.cloud.offers import Candidate
from ten.cloud.unit import job_unit
from ten.job import JobSpec

INFRA = Path(__file__).parents[2] / "infra"
TERRAFORM = INFRA / "terraform"
needs = {
    name: pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed")
    for name in ("terraform", "systemd-analyze", "cloud-init", "iptables")
}


def test_user_data_holds_every_file_and_fits() -> None:
    text = user_data()
    assert text.startswith("#cloud-config\n") and len(text.encode()) < 64 * 1024
    written = {file["path"]: file["content"] for file in yaml.safe_load(text)["write_files"]}
    for path in INFRA.glob("systemd/*"):
        assert written[f"/etc/systemd/system/{path.name}"] == path.read_text()
    assert written["/usr/local/lib/ten/lease.py"] == (INFRA / "lease.py").read_text()


def test_no_variable_is_filled_into_user_data_so_that_no_secret_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    before = user_data()
    for name in ("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_LEASE_TOKEN", "SPACES_SECRET_ACCESS_KEY", "HF_TOKEN"):
        monkeypatch.setenv(name, "canary")
    assert user_data() == before


def test_the_first_boot_masks_updates_and_guards_the_metadata() -> None:
    tree = yaml.safe_load(user_data())
    assert "apt-daily-upgrade.timer" in tree["bootcmd"][0] and "unattended-upgrades.service" in tree["bootcmd"][0]
    assert ["systemctl", "enable", "--now", "ten-guard.service"] in tree["runcmd"]
    assert "169.254.169.254" in (INFRA / "guard.sh").read_text()


@needs["cloud-init"]
def test_cloud_init_knows_every_key(tmp_path: Path) -> None:
    file = tmp_path / "user-data"
    file.write_text(user_data())
    checked = subprocess.run(["cloud-init", "schema", "-c", str(file)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@needs["systemd-analyze"]
def test_systemd_has_nothing_to_say_about_the_units(tmp_path: Path) -> None:
    for path in INFRA.glob("systemd/*"):
        text = path.read_text().replace("/usr/local/lib/ten/guard.sh", "/bin/true").replace("docker.service", "")
        (tmp_path / path.name).write_text(text)
    machine = Candidate(size="gpu-l40sx1-48gb", region="tor1", price_per_hour=1.57, in_stock=True)
    unit = job_unit(JobSpec(image="registry.example.com/me/ten@sha256:ab%$ '\""), machine)
    (tmp_path / "ten-job.service").write_text(
        unit.replace("/usr/bin/docker", "/bin/true").replace("docker.service", "")
    )
    units = sorted(map(str, tmp_path.iterdir()))
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )
    ours = [line for line in said.stderr.splitlines() if "ten-" in line]
    assert not ours  # its exit code is no answer


@needs["terraform"]
def test_terraform_files_are_in_its_own_format() -> None:
    command = ["terraform", "fmt", "-check", "-diff", str(TERRAFORM)]
    formatted = subprocess.run(command, capture_output=True, text=True, check=False)
    assert formatted.returncode == 0, formatted.stdout


def test_terraform_makes_what_outlives_a_run_and_no_machine() -> None:
    resources = terraform()
    assert set(resources) == {
        "digitalocean_spaces_bucket", "digitalocean_spaces_key", "digitalocean_ssh_key", "digitalocean_tag",
        "digitalocean_firewall",
    }  # fmt: skip
    said = json.dumps(resources)
    assert '"abort_incomplete_multipart_upload_days": 1' in said
    assert '"prevent_destroy": true' in said and '"force_destroy": false' in said
    assert "readwrite" in json.dumps(resources["digitalocean_spaces_key"]) and "fullaccess" not in said


def test_the_firewall_holds_for_what_carries_our_tag() -> None:
    firewall = json.dumps(terraform()["digitalocean_firewall"])
    assert "digitalocean_tag.ten.name" in firewall
    assert re.findall(r'"port_range": "\\?"?(\d+)\\?"?"', firewall)[0] == "22"


def terraform() -> dict[str, object]:
    """Every resource by its type."""
    found: dict[str, object] = {}
    for path in sorted(TERRAFORM.glob("*.tf")):
        with path.open() as file:
            for block in hcl2.load(file).get("resource", []):
                found |= {kind.strip('"'): body for kind, body in block.items()}
    return found
