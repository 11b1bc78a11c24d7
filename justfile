# Recipes are the parts of `.ci/run`, which CI runs as a whole. `just` is a convenience: `.ci/run PART` does
# the same without it.

# Lists the recipes.
default:
    @just --list

# Runs everything that CI runs.
ci:
    .ci/run

# Checks the formatting.
fmt:
    .ci/run fmt

# Runs the lints, with and without the feature `cluster`.
clippy:
    .ci/run clippy

# Builds the documentation of the code; a broken link fails.
docs:
    .ci/run docs

# Checks licences and sources of the dependencies.
deny:
    .ci/run deny

# Validates the files for operators.
deploy:
    .ci/run deploy

# Runs all tests, with the readers, servers and the browser that some of them need.
test:
    .ci/run test

# Runs the tests of the cluster with real processes.
cluster:
    .ci/run cluster

# Kills the real program 200 times at random moments.
kill:
    .ci/run kill
