# Two commands do all their own set-up on a fresh Debian or Ubuntu machine: `make demo` and `make test`.
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
BIN := .venv/bin

.PHONY: help demo demo-down test test-fleets test-openstack lint unit devcloud setup clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## packages, virtualenv, Python libraries; everything below does it first
	@$(SUDO) scripts/setup

demo: setup ## from an empty directory to a Django site that answers, on machines made here
	@$(SUDO) scripts/demo up

demo-down: setup ## take the demo away: no process, mount, link, address or firewall rule stays
	@$(SUDO) scripts/demo down

test: setup lint ## lint, types, unit tests, and the main job on real machines
	$(SUDO) $(BIN)/pytest --numprocesses=3 --no-loadscope-reorder

test-fleets: setup ## eight fleets for real, on Debian 12 too; every split, merge and move, and their faults
	$(SUDO) env DEPLOYMACHINE_SLOW_FLEETS=1 nice $(BIN)/pytest $(addprefix tests/devcloud/test_,fleets.py splitting.py splitting_tasks.py splitting_fixed.py splitting_logs.py splitting_faults.py lost_primary.py)

test-openstack: setup ## the cloud part and the main job against a real Keystone, Nova, Glance, Neutron and Placement
	$(SUDO) env DEPLOYMACHINE_OPENSTACK=1 nice $(BIN)/pytest tests/openstack

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	MYPYPATH=deploymachine/target:bench:tests:tests/devcloud $(BIN)/mypy --no-explicit-package-bases bench/*.py

unit: setup ## the tests that take seconds and no root
	$(BIN)/pytest tests/unit --numprocesses=auto

clean: ## remove what was built, not what was deployed
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
