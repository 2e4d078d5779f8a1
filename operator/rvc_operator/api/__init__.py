"""The two kinds as typed, immutable views: what users may say, what the operator answers, and in which words.

`voicemodel` and `conversion` are the single source of the CRDs (`crds/generate.py`) and of the reference
(`docs/generate_reference.py`). Nothing here does I/O, reads a clock or draws a random number.
"""
