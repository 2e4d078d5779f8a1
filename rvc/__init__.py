"""The voice core: audio, pitch, content, synthesizers, retrieval, conversion, voice files, object store.

Importing the package imports nothing heavy: programs without torch read `rvc.contract`.
"""

__version__ = "0.1.0"
