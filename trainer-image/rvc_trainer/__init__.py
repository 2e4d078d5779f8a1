"""One training attempt in a pod: `python3 -m rvc_trainer` reads its request, trains, publishes, reports.

`attempt.py` is the attempt as numbered steps; `ranks.py` starts a process for each accelerator; `outcome.py`
turns its end into a termination message; `server.py` tells the operator how far it is.
"""
