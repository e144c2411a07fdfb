# One image for the webserver, the daemon, workers, the stream and MLflow; it runs as a user without rights.
FROM python:3.13-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1
RUN python -m venv /opt/venv && python -m venv /opt/build && /opt/build/bin/pip install uv==0.13.8
ENV PATH=/opt/build/bin:$PATH
WORKDIR /build
COPY pyproject.toml requirements.lock ./
# What the product and its workers need, without the development tools, at the versions and hashes of the lock.
RUN uv pip install --python /opt/venv/bin/python --require-hashes --constraint requirements.lock --requirements pyproject.toml --extra scale \
 && uv pip install --python /opt/build/bin/python --constraint requirements.lock hatchling
COPY README.md ./
COPY trading_pipeline trading_pipeline
RUN uv build --quiet --wheel --no-build-isolation --python /opt/build/bin/python \
 && uv pip install --python /opt/venv/bin/python --no-deps dist/*.whl \
 && uv pip freeze --python /opt/venv/bin/python > installed.lock

FROM python:3.13-slim-bookworm
# libgomp1 is the OpenMP runtime that LightGBM links to.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --home-dir /app --no-create-home trading \
 && mkdir -p /app/data && chown trading:trading /app/data
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY dagster.yaml workspace.yaml ./
COPY --from=build /build/installed.lock requirements.lock
# The git hash, which each model names that is trained here: there is no checkout to ask.
ARG REVISION=
# The volume keeps what numba compiles and what matplotlib finds: the rest cannot be written to.
ENV PATH=/opt/venv/bin:$PATH DAGSTER_HOME=/app PYTHONUNBUFFERED=1 TP_REVISION=$REVISION \
    XDG_CACHE_HOME=/app/data/cache XDG_CONFIG_HOME=/app/data/cache
USER 10001:10001
VOLUME /app/data
CMD ["trading-pipeline", "--help"]
