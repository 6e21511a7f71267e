#!/usr/bin/env bash
# Builds the image: docker/build.sh [NAME] [VARIANT], ten:cuda or ten:cpu where no name is given.
# With docker, podman or buildah, whichever answers, or with the command in IMAGE_BUILD. PIP_EXTRA_INDEX_URL,
# PIP_FIND_LINKS, TOKENIZERS, HF_ENDPOINT and BASE_IMAGE go into it when they are set, HF_TOKEN as a secret of the build.
set -euo pipefail
cd "$(dirname "$0")/.."

variant="${2:-${VARIANT:-cuda}}"
name="${1:-ten:${variant}}"

pass() { # a variable into the build, where it is set
  [[ -n "${!1:-}" ]] || return 0
  if [[ "${!1}" == *://*@* ]]; then
    echo "build.sh: $1 has a password in it, which would stay in the image's history; name an address without one" >&2
    exit 78
  fi
  build+=(--build-arg "$1=${!1}")
}

if [[ -n "${IMAGE_BUILD:-}" ]]; then
  read -r -a build <<<"${IMAGE_BUILD}"
else
  build=()
  for engine in ${ENGINE:-docker podman}; do
    if command -v "${engine}" >/dev/null && "${engine}" info >/dev/null 2>&1; then
      build=("${engine}" build)
      break
    fi
  done
  if [[ -z "${build[*]}" ]] && command -v buildah >/dev/null; then
    build=(buildah bud)
  fi
  if [[ -z "${build[*]}" ]]; then
    echo "build.sh: none of docker, podman and buildah answers; start one, or name a command in IMAGE_BUILD" >&2
    exit 69
  fi
  # The OCI format has no health checks.
  [[ "${build[0]}" == docker ]] || build+=(--format docker)
  for argument in PIP_EXTRA_INDEX_URL PIP_FIND_LINKS BASE_IMAGE; do
    pass "${argument}"
  done
fi

[[ "${build[0]}" != buildah ]] || build+=(--layers) # as the others do by themselves
version="$(sed -n 's/^__version__ = "\(.*\)"/\1/p' ten/__init__.py)"
revision="$(git rev-parse HEAD 2>/dev/null || echo unknown)"
build+=(--build-arg "VARIANT=${variant}" --build-arg "VERSION=${version}" --build-arg "REVISION=${revision}")
for argument in TOKENIZERS HF_ENDPOINT; do
  pass "${argument}"
done
if [[ -n "${HF_TOKEN:-}" && -n "${TOKENIZERS:-}" ]]; then
  secret="$(mktemp)"
  trap 'rm -f "${secret}"' EXIT
  printf '%s' "${HF_TOKEN}" >"${secret}" # mktemp made it for this user alone
  build+=(--secret "id=hf_token,src=${secret}")
fi
"${build[@]}" --tag "${name}" --file Dockerfile .
