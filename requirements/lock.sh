#!/usr/bin/env bash
# Pin every dependency of every extra, with hashes, so that all four files agree. Usage: lock.sh EXTRA...
# UV_FIND_LINKS or UV_EXTRA_INDEX_URL tell where the CPU build of PyTorch is.
set -euo pipefail
cd "$(dirname "$0")/.."
tool=$(mktemp -d); trap 'rm -rf "$tool"' EXIT
python3 -m venv "$tool" && "$tool/bin/pip" install -q uv==0.13.9
compile() {
  "$tool/bin/uv" pip compile -q --python-version 3.11 --generate-hashes --no-annotate \
    --custom-compile-command "make lock" "$@" pyproject.toml
}
compile --extra dev -o requirements/dev.txt requirements/build.in
for extra in "$@"; do
  [ "$extra" = dev ] || compile --extra "$extra" --constraint requirements/dev.txt -o "requirements/$extra.txt"
done
