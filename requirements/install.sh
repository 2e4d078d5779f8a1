#!/usr/bin/env bash
# Create the virtual environment from the lock. Usage: install.sh FOLDER (environment: PYTHON, TORCH_INDEX)
set -euo pipefail
venv=$1

if ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing python3-venv (half a minute)"
    apt-get -qq update && apt-get -qq install -y --no-install-recommends python3 python3-venv >/dev/null
    PYTHON=/usr/bin/python3
  else
    echo "Python has no venv module: install python3-venv (Debian, Ubuntu) or set PYTHON to one that has" >&2
    exit 1
  fi
fi
"$PYTHON" - <<'CHECK'
import sys
if sys.version_info[:2] != (3, 11):
    sys.exit(f"Python 3.11 is needed for the pinned wheels, this is {sys.version.split()[0]}: set PYTHON=/path/to/python3.11")
CHECK

# pip would wait minutes for an index that does not answer, so it is only named where it does.
extra=()
if "$PYTHON" - "$TORCH_INDEX" 2>/dev/null <<'PROBE'
import sys, urllib.request
urllib.request.urlopen(sys.argv[1] + "/torch/", timeout=3)
PROBE
then extra=(--extra-index-url "$TORCH_INDEX"); fi

echo "installing the pinned packages into $venv (about a minute and a half with a warm pip cache, some 400 MB to download without)"
started=$SECONDS
[ -x "$venv/bin/python" ] || "$PYTHON" -m venv "$venv"
rm -f "$venv"/.ready-*
"$venv/bin/pip" install -q --disable-pip-version-check --require-hashes "${extra[@]}" -r "$(dirname "$0")/dev.txt"
"$venv/bin/pip" install -q --disable-pip-version-check --no-deps --no-build-isolation -e "$(dirname "$0")/.."
echo "installed in $((SECONDS - started)) s"
