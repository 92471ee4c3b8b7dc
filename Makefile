# Everything a contributor types. Programs that the tests run against are built once, into a cache folder (`make parts`).
CARGO ?= cargo
export TAGBOAT_PARTS := $(shell tests/parts/build --where)
IT := test --locked --test it --

.PHONY: help parts build demo cluster lint test fuzz bench chaos upgrade crds clean

help: ## this list
	@awk -F ': .*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

parts: ## build API server, etcd, kwok, three registries, kustomize, helm, cosign: once, then milliseconds
	@tests/parts/build >/dev/null

build: ## the binary: target/release/tagboat
	$(CARGO) build --locked --release

demo: parts ## watch the whole path once. KEEP=1 leaves it up; CLUSTER=current uses your kubeconfig's context
	@KEEP='$(KEEP)' CLUSTER='$(CLUSTER)' $(CARGO) $(IT) demo

cluster: parts ## a cluster, a registry and a Git server to play with, until Ctrl-C
	@$(CARGO) $(IT) cluster

lint: ## format and clippy, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

test: parts lint ## lint, unit tests, and the tests against real servers
	$(CARGO) test --locked
	@CARGO='$(CARGO)' fuzz/run short

fuzz: ## look for inputs that break a promise, SECONDS_EACH=600 for each TARGETS, and keep what reaches new code
	@CARGO='$(CARGO)' SECONDS_EACH='$(SECONDS_EACH)' fuzz/run long $(TARGETS)

bench: parts ## numbers of the release build
	@$(CARGO) test --locked --release --test it -- bench

chaos: parts ## kill -9 while bumps go in, people who push against them, every call cut. KILLS=1000 COMMITS=1000 BUMPS=300
	@KILLS='$(KILLS)' COMMITS='$(COMMITS)' BUMPS='$(BUMPS)' $(CARGO) $(IT) chaos

upgrade: parts ## an earlier version, this one and that one again on one cluster: no commit, no apply. BEFORE=<git ref>
	@before=$$(CARGO='$(CARGO)' tests/parts/before '$(BEFORE)') && TAGBOAT_BEFORE=$$before $(CARGO) $(IT) upgrades

crds: ## write crds/ anew from the source
	$(CARGO) run --locked -- crds --dir crds

clean: ## remove what was built here (the cache of parts stays)
	$(CARGO) clean
