#!/usr/bin/env bash
# Runs a verb of `ten` in its image where docker or podman answers and has it, else in the virtual environment:
#   docker/run.sh pack|train|… [WORDS]     the verb with its words, in the working folder
#   docker/run.sh logs|stop|where [WORDS]  what runs in a container, its end; where a verb would run
# ENGINE=docker|podman|none, IMAGE=NAME, GPUS=all|none|0,1, NAME=CONTAINER, ENGINE_ARGS='--volume /mnt:/mnt', DRY=1,
# GRACE_S=SECONDS from a stop to the end of a container: 330, more where limits.stop_grace is more than five minutes
set -euo pipefail

readonly GRACE_S="${GRACE_S:-330}" # limits.stop_grace and half a minute
readonly VENV="${VENV:-.venv}"
readonly LABEL="ten.bundle=job"
ROOT="$(cd "$(dirname "$0")/.." && pwd)"
readonly ROOT
engine="" image="" why="" code=0
env_names=()

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "make: $2"
  exit "$1"
}

show() { # a command as a person could type it
  printf '%q ' "$@"
  printf '\n'
}

find_engine() {
  local wanted="${ENGINE:-auto}" candidate
  [[ "${wanted}" != none ]] || { why="ENGINE=none" && return; }
  [[ "${wanted}" != auto ]] || wanted="docker podman"
  for candidate in ${wanted}; do
    if command -v "${candidate}" >/dev/null 2>&1 && "${candidate}" info >/dev/null 2>&1; then
      engine="${candidate}"
      return
    fi
  done
  why="neither docker nor podman answers"
  [[ "${ENGINE:-auto}" == auto ]] || fail 69 "ENGINE=${ENGINE}: does not answer"
}

find_gpus() { # all, none, or numbers with commas between
  if [[ -n "${GPUS:-}" ]]; then
    printf '%s' "${GPUS}"
  elif nvidia-smi -L >/dev/null 2>&1; then
    printf all
  else
    printf none
  fi
}

find_image() {
  local candidate candidates=(ten:cuda)
  image="${IMAGE:-${TEN_IMAGE:-}}"
  if [[ -n "${image}" ]]; then
    [[ -n "${engine}" ]] || fail 69 "image ${image}: ${why}"
    return
  fi
  [[ -n "${engine}" ]] || return 0
  [[ "$1" != none ]] || candidates=(ten:cpu ten:cuda)
  for candidate in "${candidates[@]}"; do
    if "${engine}" image inspect "${candidate}" >/dev/null 2>&1; then
      image="${candidate}"
      return
    fi
  done
  why="${engine} has no image ${candidates[0]}; \`make image\` makes it"
}

place() { # where a verb runs, in words
  if [[ -n "${image}" ]]; then
    printf 'in the image %s (%s)' "${image}" "${engine}"
  else
    printf 'in the virtual environment %s (%s)' "${VENV}" "${why}"
  fi
}

gpu_options() {
  local number
  [[ "$1" == none ]] || options+=(--ulimit memlock=-1 --ulimit stack=67108864) # NCCL pins its buffers
  case "${engine}:$1" in
    *:none) ;;
    docker:all) options+=(--gpus all) ;;
    docker:*) options+=(--gpus "\"device=$1\"") ;;
    *) for number in ${1//,/ }; do options+=(--device "nvidia.com/gpu=${number}"); done ;;
  esac
}

mount_at_same_path() { # a folder or file, and how
  case "$1/" in
    "${PWD}"/*) ;; # there with the working folder
    *) options+=(--volume "$1:$1$2") ;;
  esac
}

user_options() {
  if [[ "${engine}" == podman ]]; then
    options+=(--security-opt label=disable) # else SELinux wants every folder relabelled
    [[ "$(id -u)" == 0 ]] || options+=(--userns keep-id)
  fi
  if [[ "${engine}" == docker ]] && docker info --format '{{.SecurityOptions}}' 2>/dev/null | grep -q rootless; then
    options+=(--user 0:0) # which is this user, outside
  else
    options+=(--user "$(id -u):$(id -g)")
  fi
}

read_env_file() { # into this environment, by the parser of `ten`: here, or where it is not, in the image
  local python lines file="${TEN_ENV_FILE:-.env}"
  [[ -f "${file}" ]] || return 0
  for python in "${VENV}/bin/python" "${PYTHON:-python3}"; do
    if PYTHONPATH="${ROOT}" "${python}" -c 'import ten.environment, dotenv' 2>/dev/null; then
      lines="$(PYTHONPATH="${ROOT}" "${python}" -m ten.environment)"
      eval "${lines}"
      return
    fi
  done
  [[ -z "${DRY:-}" ]] || return 0
  file="$(cd "$(dirname "${file}")" && pwd)/$(basename "${file}")"
  lines="$("${engine}" run --rm --network none "${options[@]}" --volume "${file}:/run/ten-env:ro" \
    --env TEN_ENV_FILE=/run/ten-env --entrypoint python "${image}" -m ten.environment)"
  eval "${lines}"
}

environment_options() { # names alone; their values go from this environment
  local name
  options+=(--env "HOME=${HOME}")
  # The image's own are for who mounts no folder of this machine.
  for name in TEN_STORE TEN_CACHE_DIR; do [[ -n "${!name:-}" ]] || options+=(--env "${name}="); done
  [[ -n "${HF_HOME:-}" ]] || options+=(--env "HF_HOME=${HOME}/.cache/huggingface")
  options+=(--env "TRITON_CACHE_DIR=${HOME}/.cache/ten/triton" --env "TORCHINDUCTOR_CACHE_DIR=${HOME}/.cache/ten/inductor")
  while read -r name; do
    [[ -z "${name}" || -z "${!name:-}" ]] || options+=(--env "${name}")
  done < <(
    {
      printf '%s\n' ${env_names[@]+"${env_names[@]}"}
      compgen -e | grep -E '^(TEN|SPACES|AWS|HF|WANDB)_|^(https?|no)_proxy$|^(HTTPS?|NO)_PROXY$'
    } | sort -u
  )
}

folder_options() {
  local path word
  options+=(--workdir "${PWD}" --volume "${PWD}:${PWD}" --tmpfs "${HOME}:mode=1777")
  mkdir -p "${HOME}/.cache/ten"
  mount_at_same_path "${HOME}/.cache/ten" ""
  [[ ! -d "${HOME}/.cache/huggingface" ]] || mount_at_same_path "${HOME}/.cache/huggingface" ""
  for path in "${TEN_STORE:-}" "${TEN_CACHE_DIR:-}"; do
    [[ "${path}" == /* ]] || continue
    mkdir -p "${path}"
    mount_at_same_path "${path}" ""
  done
  for word in "${TEN_ENV_FILE:-}" "${TEN_DATASET:-}" "$@"; do
    if [[ "${word}" == /* && -d "${word}" ]]; then
      mount_at_same_path "${word}" ""
    elif [[ "${word}" == /* && -f "${word}" ]]; then
      mount_at_same_path "${word}" ":ro"
    fi
  done
}

in_container() {
  local name="${NAME:-ten-$1}" gpus="$2" running extra
  shift 2
  options=(--read-only --cap-drop ALL --security-opt no-new-privileges)
  user_options
  read_env_file
  export TEN_IMAGE="${image}" # run.json names it
  options+=(--detach --name "${name}" --label "${LABEL}" --stop-timeout "${GRACE_S}" --tmpfs /tmp:exec
    --shm-size "${SHM_SIZE:-2g}")
  gpu_options "${gpus}"
  environment_options
  folder_options "$@"
  read -r -a extra <<<"${ENGINE_ARGS:-}"
  local words=("${engine}" run "${options[@]}" ${extra[@]+"${extra[@]}"} "${image}" "$@")
  if [[ -n "${DRY:-}" ]]; then
    show "${words[@]}"
    return
  fi
  running="$("${engine}" inspect --format '{{.State.Running}}' "${name}" 2>/dev/null || true)"
  [[ "${running}" != true ]] || fail 1 "${name} runs already: \`make logs\` shows it, \`make stop\` stops it"
  [[ -z "${running}" ]] || "${engine}" rm --volumes "${name}" >/dev/null
  "${words[@]}" >/dev/null || code=$?
  if [[ "${code}" != 0 ]]; then
    "${engine}" rm --volumes "${name}" >/dev/null 2>&1 || true
    fail "${code}" "${engine} could not start ${name}"
  fi
  say "${name} runs $(place). Ctrl-C stops it with everything saved; if this terminal closes it goes on:"
  say "\`make logs\` shows it again, \`make stop\` stops it."
  trap 'stop_container "${name}"' INT TERM
  follow "${name}"
  code="$("${engine}" wait "${name}")"
  "${engine}" rm --volumes "${name}" >/dev/null
}

follow() { # until the container has ended, or this terminal has gone
  local follower
  set -m # a group of its own: Ctrl-C ends the job, and what it says then is still shown
  "${engine}" logs --follow "$1" &
  follower=$!
  set +m
  trap 'kill "${follower}" 2>/dev/null; exit 129' HUP
  while kill -0 "${follower}" 2>/dev/null; do wait "${follower}" || true; done
}

stop_container() {
  say "stopping $1: what is finished is being saved"
  "${engine}" stop -t "${GRACE_S}" "$1" >/dev/null 2>&1 &
}

in_venv() {
  local gpus="$1" child
  shift
  case "${gpus}" in
    all) ;;
    none) [[ -z "${GPUS:-}" ]] || export CUDA_VISIBLE_DEVICES="" ;;
    *) export CUDA_VISIBLE_DEVICES="${gpus}" ;;
  esac
  if [[ -n "${DRY:-}" ]]; then
    show "${MAKE:-make}" setup
    show "${VENV}/bin/ten" "$@"
    return
  fi
  "${MAKE:-make}" --silent --no-print-directory setup
  set -m # a group of its own: one Ctrl-C is one signal, and the last line is still printed
  "${VENV}/bin/ten" "$@" &
  child=$!
  set +m
  trap 'kill -INT "${child}" 2>/dev/null' INT
  trap 'kill -TERM "${child}" 2>/dev/null' TERM HUP
  while kill -0 "${child}" 2>/dev/null; do wait "${child}" || true; done
  wait "${child}" || code=$?
}

containers() { "${engine}" ps "$@" --filter "label=${LABEL}" --format '{{.Names}}'; }

one_container() { # the one that NAME names, or the only one
  local names
  names="${NAME:-$(containers "$@")}"
  [[ "${names}" != *$'\n'* ]] || fail 64 "several containers are there; name one: NAME=${names//$'\n'/ or NAME=}"
  printf '%s' "${names}"
}

logs() {
  local name=""
  [[ -z "${engine}" ]] || name="$(one_container --all)"
  if [[ -n "${name}" ]]; then
    exec "${engine}" logs --follow "${name}"
  fi
  say "no job runs in a container here; asking the droplets"
  exec "${VENV}/bin/ten" logs "$@"
}

stop() {
  local name=""
  [[ -z "${engine}" ]] || name="$(one_container)"
  if [[ -z "${name}" ]]; then
    say "no job runs in a container here; in the virtual environment Ctrl-C stops it, on a droplet \`make down\`"
    return
  fi
  say "stopping ${name}: what is finished is being saved"
  "${engine}" stop -t "${GRACE_S}" "${name}" >/dev/null
}

main() {
  local verb="${1:-}" gpus
  [[ -n "${verb}" ]] || fail 64 "name a verb: docker/run.sh train jobs/demo.yaml"
  find_engine
  case "${verb}" in
    logs | stop)
      shift
      "${verb}" "$@"
      return
      ;;
    *) ;;
  esac
  gpus="$(find_gpus)"
  find_image "${gpus}"
  if [[ "${verb}" != where ]]; then
    if [[ -n "${image}" ]]; then
      in_container "${verb}" "${gpus}" "$@"
    else
      in_venv "${gpus}" "$@"
    fi
  fi
  [[ "${code}" != 75 ]] || say "stopped with everything saved (75): the same command goes on (after limits.max_cost: with a higher one)"
  if [[ "${verb}" == where ]]; then
    verb="jobs run"
  elif [[ -n "${DRY:-}" ]]; then
    verb="${verb} would run"
  else
    verb="${verb} ran"
  fi
  say "${verb} $(place), GPUs: ${gpus}"
  exit "${code}"
}

main "$@"
