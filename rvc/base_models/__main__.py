"""`python -m rvc.base_models fetch [FOLDER]`: fill the folder of base models."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rvc.base_models import default_folder
from rvc.base_models.fetch import fetch_base_models
from rvc.errors import RvcError


def main() -> int:
    """Parse the command line and fetch; 0 when the folder is complete."""
    parser = argparse.ArgumentParser(prog="python -m rvc.base_models", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    fetch = commands.add_parser("fetch", help="download and convert what is missing")
    fetch.add_argument("folder", type=Path, nargs="?", default=default_folder())
    arguments = parser.parse_args()
    try:
        fetch_base_models(arguments.folder, lambda line: print(line, flush=True))  # noqa: T201
    except RvcError as error:
        print(f"{error.reason}: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
