# The image of `ten`, for CUDA and for CPU: requirements/$VARIANT.lock is the only difference. Layers from rare to often,
# so that a change of the code moves less than a megabyte. docker/build.sh builds it, docker/test-image.sh checks it.
#
#   --build-arg VARIANT=cpu              torch without CUDA; PIP_EXTRA_INDEX_URL (or PIP_FIND_LINKS) says where its wheel is
#   --build-arg TOKENIZERS="ns/repo@<commit>:<sha256 of its tokenizer.json> …"   hub tokenizers, for machines without the hub
#   --secret id=hf_token,src=FILE        the hub's token, where one of them needs it; it is in no layer
#
# It keeps to what BuildKit and buildah share: no syntax line, no heredoc, no COPY --link.

# `docker buildx imagetools inspect python:3.11-slim-bookworm` names the digest of a newer one. The locks are for 3.11.
ARG BASE_IMAGE=python:3.11.16-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b
ARG VARIANT=cuda

# A folder of wheels, for a builder that has one: --build-context wheels=FOLDER --build-arg PIP_FIND_LINKS=/wheels
FROM scratch AS wheels

FROM ${BASE_IMAGE} AS cpu
LABEL ten.variant=cpu

FROM ${BASE_IMAGE} AS cuda
LABEL ten.variant=cuda \
      ten.cuda=13.0 \
      ten.min_driver=580
# Triton launches its kernels through a few lines of C, which it compiles where they run.
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/* /var/log/apt /var/log/dpkg.log
# What the container runtime of the GPU's maker looks at.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

FROM ${VARIANT} AS packages
ARG VARIANT
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
ENV PATH=/opt/venv/bin:$PATH \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_INPUT=1 \
    PIP_ROOT_USER_ACTION=ignore

RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates tini \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/* /var/log/apt /var/log/dpkg.log \
    && python3 -m venv /opt/venv

ARG PIP_EXTRA_INDEX_URL
ARG PIP_FIND_LINKS
RUN --mount=type=bind,source=requirements,target=/requirements \
    --mount=type=bind,from=wheels,source=/,target=/wheels \
    --mount=type=cache,target=/root/.cache/pip \
    pip install --no-deps --only-binary=:all: --require-hashes -r "/requirements/${VARIANT}.lock"
RUN --mount=type=bind,source=requirements,target=/requirements \
    --mount=type=cache,target=/root/.cache/pip \
    PIP_FIND_LINKS='' pip install --no-deps --only-binary=:all: --require-hashes -r /requirements/common.lock \
    && pip check

# Names and hashes, nothing secret; hadolint takes any TOKEN for one.
# hadolint ignore=DL3064
ARG TOKENIZERS
ARG HF_ENDPOINT
RUN --mount=type=bind,source=docker,target=/docker \
    --mount=type=secret,id=hf_token,required=false \
    python /docker/bake_tokenizers.py /opt/tokenizers "${TOKENIZERS:-}"

# The code, without what it is run with. No byte code: it is three times the code to move, and saves a tenth of a second.
FROM packages AS code
WORKDIR /app
COPY docker/entrypoint.sh docker/healthcheck.py docker/ten ./docker/
COPY jobs ./jobs
COPY ten ./ten
RUN rm -rf ten/text/gpt2 \
    && PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 \
       python -c "from ten.flags import VERBS; print(*VERBS, sep='\n')" >docker/verbs \
    && chmod -R a+rX .

FROM packages
# Any user may write there, with a volume over it or without: `--user "$(id -u)"` needs no name in this image.
RUN install --directory --mode=1777 /data
COPY ten/text/gpt2 /app/ten/text/gpt2
COPY --from=code /app /app

# hadolint ignore=DL3064
ENV PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PATH=/app/docker:/opt/venv/bin:$PATH \
    HOME=/data \
    USER=ten \
    LOGNAME=ten \
    TEN_STORE=/data \
    TEN_CACHE_DIR=/data/cache \
    TEN_TOKENIZERS=/opt/tokenizers \
    XDG_CACHE_HOME=/data/cache \
    HF_HOME=/data/cache/huggingface \
    TRITON_CACHE_DIR=/data/cache/triton \
    TORCHINDUCTOR_CACHE_DIR=/data/cache/inductor

ARG VERSION=0
ARG REVISION=unknown
ENV TEN_REVISION=${REVISION}
LABEL org.opencontainers.image.title="ten" \
      org.opencontainers.image.description="Trains Temporal Eigenstate Networks: packs text, streams it, resumes exactly" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

VOLUME /data
WORKDIR /app
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=2 \
    CMD ["python", "/app/docker/healthcheck.py"]
ENTRYPOINT ["tini", "--", "entrypoint.sh"]
CMD ["help"]
