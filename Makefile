# Every target sets itself up: the first call installs into .venv, later calls start at once.
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PYTHONNOUSERSITE := 1
export HF_HUB_OFFLINE := 1
export SDL_VIDEODRIVER := dummy

.PHONY: setup demo weights bench test test-full check format clean

setup: $(READY)

$(READY): pyproject.toml
	@command -v uv >/dev/null 2>&1 && uv --version >/dev/null 2>&1 || python3 -m pip install --quiet uv
	@UV="$$(command -v uv >/dev/null 2>&1 && uv --version >/dev/null 2>&1 && echo uv || echo python3 -m uv)"; \
	test -x $(BIN)/python || $$UV venv --quiet --python 3.12 $(VENV); \
	$$UV pip install --quiet --python $(BIN)/python --editable '.[all]'
	@touch $@

demo: $(READY)
	$(BIN)/cosmos-robot demo

# The embedded model from nothing; hours on two cores. Stopped, it goes on where it was.
weights: $(READY)
	$(BIN)/python -m cosmos_robot.benchmarks.pusht_weights --install

# The embedded model on held-out Push-T, and what the repository shows of it: benchmarks/results/embedded.json, the
# README's block, two plots. Stopped, it goes on where it was; rows of other weights are thrown away.
bench: $(READY)
	$(BIN)/cosmos-robot bench run benchmarks/bench_embedded.toml --out outputs/bench --renew
	$(BIN)/cosmos-robot bench golden --out outputs/bench/golden || test $$? -eq 1  # 1: a gate is not reached
	$(BIN)/python -m cosmos_robot.benchmarks.publish outputs/bench

test: $(READY)
	$(BIN)/python -m pytest

test-full: $(READY)
	$(BIN)/python -m pytest -m 'not gpu'

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
