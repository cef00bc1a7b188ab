# `make` alone lists the verbs. Each does its own set-up.
PYTHON ?= python3.11
BIN := .venv/bin
# Bytecode is made where it is first used: most of these packages' modules never are.
PIP := $(BIN)/python -m pip install -qq --no-deps --no-compile
LOCKS := requirements.txt $(addprefix requirements/,build.txt torch-cpu.txt torch.txt cuda.txt dev.txt sam2.txt)

# The pipeline's stages call `python`.
export PATH := $(CURDIR)/$(BIN):$(PATH)
# No tool that runs here reports home.
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := 1
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION := false
export GX_ANALYTICS_ENABLED := false

.PHONY: help setup run test check acceptance pipeline submit cluster-check k8s-check image image-cuda push image-test
.PHONY: lock clean
.DEFAULT_GOAL := help

help:  ## list the verbs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-15s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.ready  ## make .venv and install the locked dependencies (nothing to do when they are there)

.venv/.ready: pyproject.toml $(LOCKS)
	$(PYTHON) -m venv .venv
	$(PIP) --require-hashes -r requirements/build.txt
	$(PIP) --require-hashes -r requirements/torch-cpu.txt 2>/dev/null || $(PIP) --require-hashes -r requirements/torch.txt
	$(PIP) --require-hashes --no-build-isolation -r requirements.txt -r requirements/dev.txt
	if grep -qs '^Requires-Dist: nvidia' .venv/lib/python3*/site-packages/torch-*.dist-info/METADATA; then \
	  $(PIP) --require-hashes -r requirements/cuda.txt; fi
	SAM2_BUILD_CUDA=0 $(PIP) --require-hashes --no-build-isolation -r requirements/sam2.txt
	$(PIP) --no-build-isolation --editable .
	touch $@

run: setup data/phantom  ## train, evaluate and register a model on the synthetic phantom cohort
	$(BIN)/dvc repro
	@git diff --quiet -- data.dvc || echo "note: data/ is not what data.dvc in git names; this run used the data that is here"
	@echo "report:  evaluation/report.html"
	@echo "model:   $$($(BIN)/python -c 'import json; print("{model} version {version}".format_map(json.load(open("registration.json"))))')"
	@echo "MLflow:  .venv/bin/mlflow ui --backend-store-uri $${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}"

data/phantom: | setup
	$(BIN)/sss import phantom $@

# One thread a test: tests start processes of their own, and threads that wait for each other starve on a busy machine.
# A file's tests share what they start from, so files are what is dealt out.
WORKERS ?= 2
test: export OMP_NUM_THREADS := 1
test: setup  ## run the tests (WORKERS=2 at once)
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

check: setup  ## ruff (style, complexity), formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy -p k8s.check

# The layouts, the command lines and the planted faults are shown in tables at its end.
acceptance: export OMP_NUM_THREADS := 1
acceptance: setup  ## try every layout, the paper's command lines and the gate's faults, and run the other long tests
	$(BIN)/python -m pytest -m acceptance --numprocesses $(WORKERS) --dist worksteal

pipeline: setup  ## compile the Kubeflow pipeline into build/pipelines
	$(BIN)/python -m pipelines compile $(if $(IMAGE),--image $(IMAGE))

submit: pipeline  ## run the pipeline on Kubeflow (KFP_HOST; parameters in ARGS="steps=100")
	$(BIN)/python -m pipelines submit $(ARGS)

cluster-check: pipeline  ## check the services, then train the phantom five minutes in the cluster (ARGS="--pool gke")
	$(BIN)/python -m pipelines cluster-check $(ARGS)

k8s-check: pipeline  ## render and strictly validate every Kubernetes manifest
	$(BIN)/python -m k8s.check build/pipelines/sss-training.k8s.yaml

image: setup  ## build the container image sss:dev (Docker; BASE_IMAGE, BUILD_NETWORK)
	.ci/image build cpu

image-cuda: setup  ## build sss:dev-cuda, for NVIDIA GPUs
	.ci/image build cuda

push: setup  ## push the image to IMAGE=REGISTRY/NAME and pin its digest in k8s/image
	.ci/image push $(IMAGE)

# The tests build it themselves, with secrets planted beside the code. The whole pipeline in containers is in here too.
image-test: export OMP_NUM_THREADS := 1
image-test: setup  ## build the image and test it in containers (Docker)
	$(BIN)/python -m pytest -m image

lock: setup  ## resolve the dependencies anew and write the hash-pinned requirements files
	$(BIN)/python .ci/lock.py

clean:  ## remove caches and unfinished work (data, results and the registry stay)
	rm -rf .runs .cache .pytest_cache .ruff_cache .mypy_cache .hypothesis build dist
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
