# syntax=docker/dockerfile:1
# The service alone, for stores that run elsewhere (docker-compose.yml brings them). Templates, assets, schemas and the roots
# of TLS are compiled into the binary, so the image holds nothing else of ours and needs no package.

FROM rust:1.95-bookworm AS build
WORKDIR /build
COPY . .
# The caches stay with the builder: a rebuild compiles what changed. What debuggers read is five sixths of the binary; the
# names of functions stay, for the log of a panic.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin mohaa-stats \
    && install -D target/release/mohaa-stats /out/mohaa-stats \
    && strip --strip-debug /out/mohaa-stats \
    && install -d --mode=0750 /out/data

# The builder's Debian, for its C library.
FROM debian:bookworm-slim
COPY --from=build /out/mohaa-stats /usr/local/bin/mohaa-stats
COPY --from=build --chown=10001:10001 /out/data /data
USER 10001:10001
WORKDIR /data
# The spool is in here: a container without a volume loses what was not stored when it is removed.
VOLUME /data
ENV DATA_DIR=/data PORT=8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 CMD ["/usr/local/bin/mohaa-stats", "health"]
ENTRYPOINT ["/usr/local/bin/mohaa-stats"]
CMD ["serve"]
