#!/usr/bin/env bash
# Builds the CPU image and checks that it keeps what it promises: docker/test-image.sh [--or-skip] [NAME]
# With docker or podman, whichever answers (and buildah for the build), or with the commands in IMAGE_BUILD and IMAGE_RUN.
# Given a NAME that is there it checks that image. --or-skip: where nothing can build it, say so and succeed.
# shellcheck disable=SC2016,SC2329 # some words are for another shell; functions are called by claim and trap
set -euo pipefail
cd "$(dirname "$0")/.."

readonly SIZE_LIMIT_MB=1900 CODE_LIMIT_BYTES=1000000 STOP_LIMIT_S=60 PULL_LIMIT_S=300
readonly JOB=(jobs/smoke.yaml --set train.device=cpu)
work=""
volume="ten-check-$$"
failed=0
or_skip=""
image=""

skip() {
  printf '\n%s\n' "**** THE IMAGE WAS NOT CHECKED: $1" >&2
  [[ -n "${or_skip}" ]] && exit 0
  exit 69
}

clean() {
  "${engine}" rm --force "${volume}" >/dev/null 2>&1 || true
  "${engine}" volume rm --force "${volume}" >/dev/null 2>&1 || true
  rm -rf "${work}" 2>/dev/null || "${run[@]}" --user 0 --volume "${work}:/made" --entrypoint rm "${image}" -rf /made/data
  rm -rf "${work}"
}

find_engine() {
  local candidate
  if [[ -n "${IMAGE_RUN:-}" ]]; then
    read -r -a run <<<"${IMAGE_RUN}"
  else
    run=()
    for candidate in ${ENGINE:-docker podman}; do
      if command -v "${candidate}" >/dev/null && "${candidate}" info >/dev/null 2>&1; then
        run=("${candidate}" run --rm)
        break
      fi
    done
    [[ -n "${run[*]}" ]] || skip "neither docker nor podman answers (buildah alone builds, but runs nothing as they do)"
    export ENGINE="${run[0]}"
    [[ -n "${IMAGE_BUILD:-}${PIP_EXTRA_INDEX_URL:-}${PIP_FIND_LINKS:-}${image}" ]] ||
      skip "set PIP_EXTRA_INDEX_URL to the index that has torch's CPU wheels"
  fi
  engine="${run[0]}"
}

find_base() { # the image that ours is built on, where the build has to pull it
  local base pulled
  [[ -z "${IMAGE_BUILD:-}" ]] || return 0
  base="${BASE_IMAGE:-$(sed -n 's/^ARG BASE_IMAGE=//p' Dockerfile)}"
  "${engine}" image inspect "${base}" >/dev/null 2>&1 && return
  pulled="$(timeout "${PULL_LIMIT_S}" "${engine}" pull "${base}" 2>&1)" ||
    skip "${base%@*} cannot be pulled here: $(tail -n 1 <<<"${pulled}")"
}

options() { # of a hardened run; the volume stays
  local fences=(--read-only --cap-drop=ALL --security-opt no-new-privileges --network none --pids-limit 256
    --tmpfs "/tmp:rw,size=64m,mode=1777")
  [[ "${engine}" != podman ]] || fences+=(--read-only-tmpfs=false)
  hardened=("${run[@]}" "${fences[@]}")
}

claim() { # what must hold, and the command that shows it
  local what="$1" began=${SECONDS} code
  shift
  set +e # a subshell in a condition would not end at its first failure
  (
    set -e
    "$@"
  ) >"${work}/output" 2>&1
  code=$?
  set -e
  if ((code == 0)); then
    printf 'ok      %s (%d s)\n' "${what}" $((SECONDS - began))
  else
    printf 'FAILED  %s\n' "${what}" >&2
    tail -n 30 "${work}/output" >&2
    failed=1
  fi
}

ends_with() { # an exit code, words of the output, a command
  local code="$1" words="$2" got=0
  shift 2
  "$@" >"${work}/said" 2>&1 || got=$?
  cat "${work}/said"
  [[ "${got}" == "${code}" ]] || {
    echo "exit code ${got}, not ${code}"
    return 1
  }
  grep -qF -- "${words}" "${work}/said"
}

inspect() { # a Go template
  "${engine}" image inspect --format "$1" "${image}"
}

is_described() {
  [[ "$(inspect '{{.Config.User}}')" == 10001:10001 ]]
  [[ "$(inspect '{{json .Config.Entrypoint}}')" == '["tini","--","entrypoint.sh"]' ]]
  [[ "$(inspect '{{.Config.StopSignal}}')" == SIGTERM ]]
  [[ "$(inspect '{{index .Config.Labels "ten.variant"}}')" == cpu ]]
  [[ -n "$(inspect '{{index .Config.Labels "org.opencontainers.image.revision"}}')" ]]
  "${engine}" image inspect "${image}" | grep -qF /app/docker/healthcheck.py
}

is_small() {
  local megabytes code
  megabytes=$(($(inspect '{{.Size}}') / 1000000))
  code="$("${run[@]}" "${image}" bash -c 'tar -C / --exclude=app/ten/text/gpt2 -c app | gzip | wc -c')"
  echo "${megabytes} MB, of them ${code} bytes of code as they are pushed" | tee "${work}/size"
  ((megabytes < SIZE_LIMIT_MB && code < CODE_LIMIT_BYTES))
}

holds_the_code_alone() {
  local found
  found="$("${run[@]}" "${image}" bash -c \
    'cd /app && ls -A && find / -xdev \( -name .env -o -name .git -o -name pip.conf -o -name "*_rsa" \) -print 2>/dev/null; true')"
  echo "${found}"
  [[ "${found}" == $'docker\njobs\nten' ]]
}

runs_as_nobody_special() {
  local words
  words="$("${hardened[@]}" "${image}" bash -c 'id -u; grep CapEff /proc/self/status; touch /app/x /opt/x 2>&1; touch /data/x')"
  echo "${words}"
  [[ "${words}" == 10001$'\n'*0000000000000000* ]]
  [[ "$(grep -c 'Read-only file system' <<<"${words}")" == 2 ]]
}

runs_as_anybody() {
  mkdir --mode 777 "${work}/data"
  "${hardened[@]}" --user 4242:4242 --volume "${work}/data:/data" "${image}" pack "${JOB[@]}"
  "${hardened[@]}" --user 4242:4242 "${image}" python -c 'import getpass, torch._inductor.runtime.cache_dir_utils; getpass.getuser()'
  [[ "$(stat -c %u "${work}/data/packs")" == 4242 ]]
}

readonly AWKWARD="va\$lue #tag \"quoted\" 'single' back\\slash  two spaces"

value_arrives() { # options of the run, and words before the value is printed
  local got
  got="$("${hardened[@]}" "${@:2}" "${image}" python -c "$1; import os; print(os.environ['HF_TOKEN'])")"
  echo "${got}"
  [[ "${got}" == "${AWKWARD}" ]]
}

values_arrive_whole() {
  local file="${work}/env" quoted="${AWKWARD//\\/\\\\}"
  HF_TOKEN="${AWKWARD}" value_arrives pass --env HF_TOKEN
  printf "HF_TOKEN='%s'\n" "${quoted//\'/\\\'}" >"${file}"
  chmod 644 "${file}"
  value_arrives 'from ten.environment import load_environment as l; l()' \
    --volume "${file}:/run/ten/env:ro" --env TEN_ENV_FILE=/run/ten/env
  printf '%s\n' "${AWKWARD}" >"${file}"
  value_arrives pass --volume "${file}:/run/secrets/token:ro" --env HF_TOKEN_FILE=/run/secrets/token
}

on_volume() { "${hardened[@]}" --volume "${volume}:/data" "${image}" "$@"; }

trains() {
  on_volume pack "${JOB[@]}"
  ends_with 0 "" on_volume train "${JOB[@]}" --set train.steps=5 --set run=short
  on_volume verify
}

stops_and_goes_on() {
  local process code=0 done_steps began try
  "${hardened[@]}" --name "${volume}" --volume "${volume}:/data" "${image}" \
    train "${JOB[@]}" --set train.steps=1000000 --set run=long >"${work}/log" 2>&1 &
  process=$!
  for ((try = 0; try < 120; try++)); do
    "${engine}" exec "${volume}" bash -c '(($(wc -l </data/runs/long/metrics.jsonl) > 2))' 2>/dev/null && break
    kill -0 "${process}" || break
    sleep 0.5
  done
  ends_with 0 "without a step" "${engine}" exec "${volume}" python /app/docker/healthcheck.py
  ends_with 1 "more than 0" "${engine}" exec --env TEN_UNHEALTHY_AFTER=0.000001 "${volume}" python /app/docker/healthcheck.py
  began=${SECONDS}
  kill -TERM "${process}"
  wait "${process}" || code=$?
  cat "${work}/log"
  echo "exit code ${code} after $((SECONDS - began)) s"
  [[ "${code}" == 75 ]]
  ((SECONDS - began < STOP_LIMIT_S))
  done_steps="$(on_volume bash -c 'wc -l </data/runs/long/metrics.jsonl')"
  on_volume bash -c 'ls /data/runs/long/checkpoints/*/COMPLETE'
  ends_with 0 "from step ${done_steps} " on_volume train "${JOB[@]}" --set "train.steps=$((done_steps + 3))" --set run=long
}

main() {
  local word
  for word in "$@"; do
    case "${word}" in
      --or-skip) or_skip=1 ;;
      *) image="${word}" ;;
    esac
  done
  find_engine
  work="$(mktemp -d)"
  trap clean EXIT
  if [[ -z "${image}" ]]; then
    find_base
    image=ten:cpu
    echo "building ${image}"
    local began=${SECONDS}
    docker/build.sh "${image}" cpu >"${work}/build" 2>&1 || {
      tail -n 40 "${work}/build" >&2
      exit 1
    }
    printf 'ok      it is built (%d s)\n' $((SECONDS - began))
  fi
  options
  "${engine}" volume create "${volume}" >/dev/null
  claim "it says what it is" is_described
  claim "it is small, and its code smaller" is_small
  cat "${work}/size"
  claim "it holds the code, the jobs and nothing private" holds_the_code_alone
  claim "without words it prints its help" ends_with 0 'Each verb has its own --help' "${hardened[@]}" "${image}"
  claim "an unknown word is 64 with the nearest known" ends_with 64 "did you mean 'train'?" "${hardened[@]}" "${image}" trian
  claim "a verb's exit code is the container's" ends_with 66 "no such job file" "${hardened[@]}" "${image}" train nothing.yaml
  claim "a plan needs no volume" ends_with 0 parameters "${hardened[@]}" "${image}" plan jobs/demo.yaml
  claim "it is user 10001 with no rights and a root nobody writes to" runs_as_nobody_special
  claim "any other user packs into a folder of their own" runs_as_anybody
  claim "a value with \$ # quotes and spaces arrives whole" values_arrive_whole
  claim "a job is packed, trained and verified without a network" trains
  claim "SIGTERM saves, ends with 75, and the same command goes on there" stops_and_goes_on
  exit "${failed}"
}

main "$@"
