# What outlives a run. Droplets are not in here: `ten up` makes them and their lease ends them, so that nothing that
# takes down a machine can touch data.

resource "digitalocean_spaces_bucket" "store" {
  name          = var.bucket
  region        = var.region
  acl           = "private"
  force_destroy = false

  # An upload that was killed is billed until its parts are gone.
  lifecycle_rule {
    id                                     = "unfinished-uploads"
    enabled                                = true
    abort_incomplete_multipart_upload_days = 1
  }

  lifecycle {
    prevent_destroy = true
  }
}

# Reads and writes this bucket and no other. Its secret is kept in Terraform's state: keep that where keys are kept.
resource "digitalocean_spaces_key" "store" {
  name = "${var.bucket}-ten"

  grant {
    bucket     = digitalocean_spaces_bucket.store.name
    permission = "readwrite"
  }
}

resource "digitalocean_ssh_key" "ten" {
  name       = "ten"
  public_key = file(pathexpand(var.ssh_public_key))
}

# By tag: it holds for droplets that Terraform has never heard of.
resource "digitalocean_tag" "ten" {
  name = "ten"
}

resource "digitalocean_firewall" "ten" {
  name = "ten"
  tags = [digitalocean_tag.ten.name]

  inbound_rule {
    protocol         = "tcp"
    port_range       = "22"
    source_addresses = var.ssh_from
  }

  outbound_rule {
    protocol              = "tcp"
    port_range            = "1-65535"
    destination_addresses = ["0.0.0.0/0", "::/0"]
  }

  outbound_rule {
    protocol              = "udp"
    port_range            = "1-65535"
    destination_addresses = ["0.0.0.0/0", "::/0"]
  }

  outbound_rule {
    protocol              = "icmp"
    destination_addresses = ["0.0.0.0/0", "::/0"]
  }
}
