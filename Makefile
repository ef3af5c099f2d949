# make           set up, then train a world model and watch it plan (about a minute after set-up)
# make setup     only set up: a virtual environment in .venv with everything the book needs
# make test      the house style (ruff); the package is the export of the notebooks; every notebook as a test; pytest
# make format    mend what ruff can mend: unused imports, stray blanks
# make parity    the published implementation beside ours, from the same weights; in an environment of its own, .parity
# make worlds-parity  DM Control and OGBench beside the book's own bodies; in an environment of its own, .worlds
# make dmc, make metaworld  a small run in DM Control's own Reacher (.worlds), in Meta-World's pick-place (.metaworld)
# make docs      the site, from the notebooks as they are saved: docs/_site/index.html
# make lab       JupyterLab on the book's first page
# make notebooks run every notebook afresh and save its outputs
# make worlds    train and measure the models of all worlds (hours); goes on where it stopped
# make results   measure data/results and data/checkpoints (hours); long files go on where they end: delete one to begin anew
PYTHON ?= python3
# Where torch comes from. Empty: pip's own index. Light CPU wheels: https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
# For `make parity`: another version of transformers, such as 4.57.6, and 1 for a plan with all of the published 30 × 300 candidates.
TRANSFORMERS ?=
PARITY_FULL ?=
V := .venv/bin
export PATH := $(CURDIR)/$(V):$(PATH)

# A new environment that finds what it lacks in the book's.
define beside
$(V)/python -m venv --clear $(1)
$(V)/python -c "import sysconfig as s; print('import site; site.addsitedir(%r)' % s.get_path('purelib'))" \
  > $$($(1)/bin/python -c "import sysconfig as s; print(s.get_path('purelib'))")/book.pth
endef

# A small run in an environment of its own, or a sentence why there is none: its folder, the suite. On Linux MuJoCo draws
# by EGL, which needs no screen, unless MUJOCO_GL says otherwise.
FIND_GL := import ctypes.util as u, os, sys; \
  sys.exit(sys.platform == "linux" and "MUJOCO_GL" not in os.environ and not (u.find_library("EGL") and u.find_library("GL")))
define small_run
@if ! $(MAKE) -s --no-print-directory $(1)/ok; then echo "$(2): skipped, since $(1) could not be installed, as the lines above say."; \
elif ! $(V)/python -c '$(FIND_GL)'; then \
  echo "$(2): skipped, since EGL is missing; on Debian and Ubuntu: apt-get install -y --no-install-recommends libegl1 libgl1"; \
else MUJOCO_GL=$${MUJOCO_GL-$(if $(filter Linux,$(shell uname)),egl)} OMP_NUM_THREADS=1 $(1)/bin/python -m lewm_nb.worlds.suites $(2); fi
endef

run: setup
	$(V)/python -m lewm_nb

setup: .venv/ok
.venv/ok: settings.ini setup.py constraints.txt
	$(PYTHON) -m venv .venv
	$(V)/pip install -q $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -c constraints.txt -e '.[dev,hdf5]'
	touch $@

test: setup
	$(V)/ruff check lewm_nb nbs tests docs
	$(V)/python tests/exported.py
	OMP_NUM_THREADS=1 $(V)/nbdev_test --n_workers 2 --timing
	OMP_NUM_THREADS=1 $(V)/python -m pytest -q -n 2 --dist loadfile tests

format: setup
	-$(V)/ruff check --fix --quiet nbs tests docs
	$(V)/nbdev_export

parity: .parity/ok$(TRANSFORMERS)
	PARITY_RESULT=data/results/parity$(if $(TRANSFORMERS),_$(TRANSFORMERS)).json PARITY_FULL=$(PARITY_FULL) OMP_NUM_THREADS=1 \
	  PARITY_COMMAND="make parity$(if $(TRANSFORMERS), TRANSFORMERS=$(TRANSFORMERS))$(if $(PARITY_FULL), PARITY_FULL=1)" \
	  .parity/bin/python -m pytest -q tests/parity
.parity/ok$(TRANSFORMERS): .venv/ok tests/parity.txt
	$(call beside,.parity)
	.parity/bin/pip install -q -r tests/parity.txt
	$(if $(TRANSFORMERS),.parity/bin/pip install -q transformers==$(TRANSFORMERS))
	touch $@

worlds-parity: .worlds/ok
	MUJOCO_GL=disable OMP_NUM_THREADS=1 .worlds/bin/python -m pytest -q -s tests/worlds_parity
.worlds/ok: .venv/ok tests/worlds_parity.txt
	$(call beside,.worlds)
	.worlds/bin/pip install -q -r tests/worlds_parity.txt
	touch $@

dmc: setup
	$(call small_run,.worlds,dm_control)
metaworld: setup
	$(call small_run,.metaworld,metaworld)
.metaworld/ok: .venv/ok tests/metaworld.txt
	$(call beside,.metaworld)
	.metaworld/bin/pip install -q -r tests/metaworld.txt
	touch $@

docs: setup
	$(V)/python docs/build.py

lab: setup
	$(V)/jupyter lab nbs/index.ipynb

notebooks: setup
	$(V)/nbdev_export
	$(V)/python docs/run_notebooks.py

results: setup
	$(V)/python -c "from lewm_nb.experiments.toy import compare_remedies, compare_toy_lambda; compare_toy_lambda(); compare_remedies()"
	$(V)/python -c "from lewm_nb.experiments.quickstart import results; results()"
	$(V)/python -c "from lewm_nb.experiments.inside import compare_straightness; compare_straightness()"  # first: it watches
	$(V)/python -c "from lewm_nb.experiments.quickstart import compare_lambda; compare_lambda()"
	$(V)/python -c "from lewm_nb.experiments.solvers import check_winner, compare_solvers; compare_solvers(); check_winner()"
	$(V)/python -c "from lewm_nb.experiments.inside import compare_probes, compare_surprise; compare_probes(); compare_surprise()"
	$(V)/python -c "from lewm_nb.experiments.dreams import compare_decoders; compare_decoders()"
	$(V)/python -c "from lewm_nb.scale.costs import compare_scaling; compare_scaling()"

worlds: setup
	$(V)/python -m lewm_nb.experiments.across

.PHONY: run setup test format parity docs lab notebooks results worlds worlds-parity dmc metaworld
