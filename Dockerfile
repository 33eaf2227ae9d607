# syntax=docker/dockerfile:1
# The service alone, for stores that run elsewhere (docker-compose.yml brings them). Templates, assets and schemas are
# compiled into the binary, so the image holds nothing else of ours.

FROM rust:1.95-bookworm AS build
WORKDIR /build
COPY . .
# The caches stay with the builder: a rebuild compiles what changed.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin mohaa-stats \
    && install -D target/release/mohaa-stats /out/mohaa-stats

FROM debian:bookworm-slim
# curl asks /health for the health check.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin mohaa \
    && install -d --owner=mohaa --group=mohaa --mode=0750 /data
COPY --from=build /out/mohaa-stats /usr/local/bin/mohaa-stats
USER 10001
# The spool is in here: a container without a volume loses what was not stored when it is removed.
VOLUME /data
ENV DATA_DIR=/data PORT=8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["curl", "--fail", "--silent", "--show-error", "--output", "/dev/null", "http://127.0.0.1:8080/health"]
ENTRYPOINT ["mohaa-stats"]
CMD ["serve"]
