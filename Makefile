# Everything a developer or CI does has a name here; `make` lists them. Each target first makes sure that a fit Node.js
# and the locked dependencies are there, which costs one checksum once they are.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

# setup.sh creates .node/ only where the Node.js on PATH is too old.
export PATH := $(CURDIR)/.node/node_modules/node/bin:$(CURDIR)/node_modules/.bin:$(PATH)

ARGS ?=
SEED ?=
STEPS ?=
ONLY ?=
DATA ?=
AGAINST ?= HEAD

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## fetch Node.js if needed and install the locked dependencies
	@sh scripts/setup.sh

.PHONY: prerequisites
prerequisites: setup
	@sh scripts/test-prerequisites.sh

.PHONY: demo
demo: setup ## analyse a real git repository with agents through a real daemon
	@bash examples/repo-report/demo.sh $(ARGS)

.PHONY: research
research: setup ## read documents into memory with agents, and answer questions from it
	@bash examples/research-notes/demo.sh $(ARGS)

.PHONY: serve
serve: setup ## start the daemon from the sources (ARGS="--data DIR …")
	@bin/goclaw serve $(ARGS)

.PHONY: sim
sim: setup ## run the deterministic simulation (SEED=…, STEPS=…)
	@node test/sim/main.ts $(if $(SEED),--seed $(SEED)) $(if $(STEPS),--steps $(STEPS)) $(ARGS)

.PHONY: torture
torture: prerequisites ## kill, starve, stop and damage real daemons (ONLY=kills,disks,damage,pauses; ARGS="--kills 100 --trials 1000")
	@node test/torture/main.ts $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY)) $(ARGS)

.PHONY: sim-mutants
sim-mutants: setup ## show that the simulation finds planted defects: what each breaks, who found it, how soon
	@node test/sim/main.ts --mutants

.PHONY: bench
bench: setup ## measure (ONLY=w1 runs one workload, ONLY=w1,w4 two)
	@node bench/main.ts $(if $(ONLY),--only $(ONLY)) $(ARGS)

.PHONY: bench-peers
bench-peers: setup ## measure against BullMQ on a Redis that syncs every write, by turns
	@sh scripts/bench-prerequisites.sh
	@node bench/peers/main.ts

.PHONY: profile
profile: setup ## where the engine process spends its time under a workload (ONLY=w1)
	@node bench/profile.ts $(if $(ONLY),--only $(ONLY)) $(ARGS)

.PHONY: bench-memory
bench-memory: setup ## measure how well and how fast memory finds (DATA=FOLDER with entries.jsonl and questions.jsonl)
	@node bench/memory.ts $(if $(DATA),--data $(DATA)) $(if $(ONLY),--only $(ONLY))
	@node bench/memory-hub.ts $(if $(DATA),--data $(DATA)) $(if $(ONLY),--only $(ONLY)) $(ARGS)

.PHONY: test
test: prerequisites ## run every test: unit, property, conformance, golden, simulation, end-to-end
	@vitest run $(ARGS)

.PHONY: unit
unit: setup ## run the tests that need no other process
	@vitest run --project fast $(ARGS)

.PHONY: e2e
e2e: prerequisites ## run the end-to-end tests against the real daemon
	@vitest run --project e2e $(ARGS)

.PHONY: typecheck
typecheck: setup ## check types: everything, then the wall around src/base and src/core
	@tsc -p tsconfig.json
	@tsc -p tsconfig.core.json

.PHONY: lint
lint: setup ## check format and lint rules of code and protos
	@biome check --error-on-warnings .
	@buf lint
	@buf format --diff --exit-code

.PHONY: format
format: setup ## rewrite code and protos in the house format
	@biome check --write .
	@buf format --write

.PHONY: verify
verify: generated lint typecheck test build ## everything CI runs

.PHONY: generate
generate: setup ## write gen/ from proto/
	@node scripts/print-validate-proto.ts third_party/proto/buf/validate/validate.proto
	@buf generate

.PHONY: generated
generated: setup ## fail if gen/ is not what proto/ generates
	@bash scripts/check-generated.sh

.PHONY: breaking
breaking: setup ## fail if proto/ breaks clients of a commit (AGAINST=HEAD)
	@buf breaking --against '.git#ref=$(AGAINST)'

.PHONY: build
build: setup ## compile dist/ for the package and the image
	@rm -rf dist
	@tsc -p tsconfig.build.json

.PHONY: lock
lock: ## write package-lock.json after package.json changed
	@npm install --package-lock-only
	@node scripts/complete-lock.ts
	@cd bench/peers && npm install --package-lock-only
	@node scripts/complete-lock.ts bench/peers/package-lock.json

.PHONY: clean
clean: ## remove what make made, except the fetched Node.js
	@rm -rf dist node_modules bench/peers/node_modules .vitest coverage
