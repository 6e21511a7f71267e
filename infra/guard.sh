#!/usr/bin/env bash
# Containers do not reach the metadata address: it tells whoever asks what the droplet was made with.
set -euo pipefail
metadata=169.254.169.254
iptables --wait --new-chain DOCKER-USER 2>/dev/null || true
if ! iptables --wait --check DOCKER-USER --destination "$metadata" --jump DROP 2>/dev/null; then
  iptables --wait --insert DOCKER-USER --destination "$metadata" --jump DROP
fi
