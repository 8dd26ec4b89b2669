# One command for each thing that is done here; `just` by itself lists them. All but the first need .venv.

set positional-arguments

_list:
    @just --list --unsorted

# make .venv with all that the other commands need
install:
    python3 -m venv .venv
    .venv/bin/pip install -q -c constraints.txt -e '.[dev,bench]'

# style, types, floors, the site of the docs
check:
    .ci/check

# the tests, on two cores; what follows goes to pytest
test *arguments:
    .venv/bin/python -m pytest -n 2 --dist loadfile "$@"

# the tests that take longer
slow *arguments:
    .venv/bin/python -m pytest -m 'slow and not soak' "$@"

# by hand alone: forty runs at once, and more of their kind
soak *arguments:
    .venv/bin/python -m pytest -m soak "$@"

# so many damaged files of all kinds, such as `just fuzz 20000`; or one case again, see --help
fuzz *arguments:
    cd tests && ../.venv/bin/python -m fuzz "$@"

# speed beside the peers; what follows goes to benchmarks/bench.py
bench *arguments:
    .venv/bin/python benchmarks/bench.py "$@"

# what the docs take from the program
docs:
    .venv/bin/python docs/make_options.py
    .venv/bin/python docs/make_orientation.py
    .venv/bin/python docs/make_first_map.py

# the docs as a site, in build/site
site:
    NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict
