#!/usr/bin/env bash
# What the image does with its words: a verb of `ten`, or one of a few programs. tini is process 1; what is named here
# takes this script's place, so that a stop's SIGTERM reaches it, and its exit code is the container's.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
readonly here

# NAME_FILE names a file with NAME's value, as secrets of compose and swarm come.
for name in SPACES_ACCESS_KEY_ID SPACES_SECRET_ACCESS_KEY AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN HF_TOKEN; do
  file="${name}_FILE"
  if [[ -n "${!file:-}" ]]; then
    if [[ ! -r "${!file}" ]]; then
      printf 'ten: %s=%s: cannot be read by user %s\n' "${file}" "${!file}" "$(id -u)" >&2
      exit 66
    fi
    export "${name}=$(<"${!file}")"
    unset "${file}"
  fi
done

# The image's folders are for who names none: what the file of variables says goes before them.
if [[ -n "${TEN_ENV_FILE:-}" ]]; then
  [[ "${TEN_STORE:-}" != /data ]] || unset TEN_STORE
  [[ "${TEN_CACHE_DIR:-}" != /data/cache ]] || unset TEN_CACHE_DIR
  lines="$(python -m ten.environment)"
  eval "${lines}"
  export TEN_STORE="${TEN_STORE-/data}" TEN_CACHE_DIR="${TEN_CACHE_DIR-/data/cache}"
fi

word="${1:-help}"
case "${word}" in
  help) exec ten --help ;;
  -*) exec ten "$@" ;;
  bash | sh | python | torchrun | nvidia-smi) exec "$@" ;;
  *) ;;
esac
if grep -qxF -- "${word}" "${here}/verbs"; then
  exec ten "$@"
fi
exec python - "${word}" "${here}/verbs" <<'PYTHON'
import difflib, pathlib, sys

word, path = sys.argv[1:]
words = [*pathlib.Path(path).read_text().split(), "bash", "python", "torchrun", "nvidia-smi"]
near = difflib.get_close_matches(word, words, 1)
meant = f"did you mean {near[0]!r}?" if near else f"it knows {', '.join(words)}"
print(f"ten: this image knows no {word!r}; {meant}", file=sys.stderr)
sys.exit(64)
PYTHON
