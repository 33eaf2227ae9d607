# Two commands matter: `make run` and `make test`. Each sets up what is missing first.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PORT ?= 8080
DATA_DIR ?= data/demo

.PHONY: help
help: ## Show what there is to do
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

.PHONY: setup
setup: ## Get PostgreSQL, Redis and the ClickHouse engine, whatever is missing
	@ops/setup.sh

.PHONY: run
run: setup ## Build, start everything with private stores and a demo, print the address
	@cargo build --release --locked
	@exec cargo run --release --locked --quiet --bin mohaa-stats -- demo --data-dir $(DATA_DIR) --listen 127.0.0.1:$(PORT)

.PHONY: dev
dev: setup ## Rebuild and restart whenever a file changes
	@ops/dev.sh

.PHONY: test
test: ## Pass all tests
	@ops/setup.sh tests
	@ops/test.sh

.PHONY: lint
lint: ## Formatting, clippy, shell syntax, alert rules, Dockerfile and compose file
	@ops/setup.sh lint
	@cargo fmt --all --check
	@cargo fmt --manifest-path fuzz/Cargo.toml --check
	@cargo clippy --workspace --all-targets --locked -- -D warnings
	@for script in ops/*.sh ops/docker/*.sh ops/mosquitto/add-server.sh bench/run bench/growth bench/instructions bench/seed bench/queries bench/faults/run .ci/run; do bash -n "$$script"; done
	@ops/lint.sh

.PHONY: bench
bench: setup ## Build for release and measure all that has a target; three quarters of an hour
	@bench/run --sustained --build

.PHONY: bench-short
bench-short: setup ## The same without ten minutes at 100,000 events a second and without building from nothing; ten minutes
	@bench/run

.PHONY: bench-instructions
bench-instructions: ## Count the instructions of what every event goes through; fails where they have become more
	@ops/setup.sh instructions
	@bench/instructions --check

.PHONY: bench-growth
bench-growth: setup ## Measure how costs grow, and draw it into docs/performance; twenty minutes
	@bench/growth

.PHONY: bench-queries
bench-queries: setup ## Measure questions over 1 and 10 million events; a quarter of an hour
	@bench/queries 1000000 10000000

.PHONY: bench-big
bench-big: setup ## The same over 10 and 100 million events; an hour, and 15 GB
	@bench/queries 10000000 100000000

.PHONY: screenshots
screenshots: setup ## Pictures of every page, phone and desktop, light and dark, in data/screenshots
	@ops/web.sh screenshots

.PHONY: web-audit
web-audit: setup ## Lighthouse on the main pages of a demo
	@ops/web.sh audit

.PHONY: faults
faults: setup ## Build for release, break everything that can break, and judge; half an hour
	@bench/faults/run

.PHONY: fuzz
fuzz: ## Search for inputs that break the decoder, the tracker or the spool; FUZZ_SECONDS each, 20 minutes if not said
	@ops/setup.sh fuzz
	@ops/fuzz.sh
