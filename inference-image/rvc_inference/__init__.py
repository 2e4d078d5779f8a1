"""The conversion server: `python3 -m rvc_inference` loads a voice and converts what it is asked to.

`app.py` is the HTTP API, `worker.py` the one thread that converts, `run.py` a conversion from listing to
summary, `voices.py` the voices in memory.
"""
