# Two targets do everything on a fresh machine: `make up` and `make test`. The rest are their parts.
# PROFILE is embedded (default) or distributed; NAME names the cluster, so that several stand side by side.
PROFILE ?= embedded
NAME ?= sentinel
E2E = target/debug/sentinel-e2e

.DEFAULT_GOAL := help
# Suites that ran at once would take processors from each other, and tests that look at times would fail.
.NOTPARALLEL:
.PHONY: help up down status build test lint generate generated ahead unit web browser standalone contract stores e2e e2e-distributed bench images

help: ## Show what there is to do
	@sed -nE 's/^([a-z0-9-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | column -t -s '	'

build:
	@cargo build --locked --workspace --bins

up: build ## Bring up a cluster with a chat on it, and print where it is
	@$(E2E) up --name $(NAME) --profile $(PROFILE)

down: build ## Take the cluster down and leave nothing behind
	@$(E2E) down --name $(NAME)

status: build ## Show what runs
	@$(E2E) status --name $(NAME)

test: lint generated ahead unit web contract browser stores e2e e2e-distributed ## Run everything: format, lints, generated files, unit, contract, browser and end-to-end tests

# Tests that need stores or a cluster are no target of their own accord, so they are asked for by name.
lint: ## Check format and lints
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked --workspace --test '*' -- -D warnings

# Kubernetes takes ten minutes of both cores the first time, the S3 server and the images of the stores two each. Tests that
# come before their turn wait a lot, so they are built in what those leave. Whoever needs one waits for it, and tells what went
# wrong.
ahead: build
	@echo "building what stores and clusters need beside the tests; where those fail it goes on to its end, and is kept for the next run"
	@nice -n 19 $(E2E) cluster build </dev/null >/dev/null 2>&1 &

generate: build ## Write CRDs, charts, RBAC, OpenAPI and AsyncAPI from the code
	@target/debug/crdgen
	@target/debug/sentinel openapi > docs/reference/openapi.json
	@target/debug/sentinel asyncapi > docs/reference/asyncapi.json

generated: build ## Check that generated files are in step with the code
	@e2e/check-generated.sh

unit: ## Run unit, property, snapshot and store-contract tests
	cargo test --locked --workspace

contract: build ## Run stock clients against one process with embedded stores
	@e2e/contract.sh

web: build ## Check, test and build the web client
	@$(E2E) web test
	@$(E2E) web build

browser: build ## Test the web client in Chromium, against one process
	@env -u SENTINEL_URL -u SENTINEL_RESTART e2e/browser.sh

standalone: build ## Chat in a browser: the whole platform in one process, at http://127.0.0.1:8080
	@target/debug/sentinel standalone --web "$$($(E2E) web build | tail -n 1)"

stores: build ## Run the contract tests of the store adapters against the real engines
	@e2e/stores.sh

e2e: build ## Run the end-to-end tests of profile Embedded on a cluster of their own
	@PROFILE=embedded e2e/run.sh

e2e-distributed: build ## Run the end-to-end tests of profile Distributed on a cluster of their own
	@PROFILE=distributed e2e/run.sh

images: build ## Build the container images into one archive; RELEASE=1: with optimisation, KAFKA_TLS=1: with TLS for Kafka
	@$(E2E) images build $(if $(RELEASE),--release) $(if $(KAFKA_TLS),--kafka-tls)

bench: ## Print figures, which are never asserted: of a release build on loopback; PROFILE=distributed: of a cluster of its own
	@e2e/$(if $(filter distributed,$(PROFILE)),bench-distributed.sh,bench.sh)
