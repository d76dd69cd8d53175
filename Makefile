# make app   sets up .venv and serves the app on http://127.0.0.1:8501
# make test  sets up .venv and passes the tests (install Chromium for those that drive a browser)

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin

.PHONY: app test check bench

app: .venv/app.done
	MALLOC_ARENA_MAX=2 $(BIN)/streamlit run app.py

test: .venv/test.done
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: .venv/test.done
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

.venv/app.done: requirements.txt | .venv/made
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/test.done: requirements.txt requirements-dev.txt | .venv/made
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@ .venv/app.done

.venv/made:
	@test -n "$(PYTHON)" || { echo "vitviz needs Python 3.11 or newer" >&2; exit 1; }
	$(PYTHON) -m venv .venv || { echo "on Debian and Ubuntu: apt install python3-venv" >&2; rm -rf .venv; exit 1; }
	touch $@
