"""The voice core: audio, pitch, content, synthesizers, retrieval, conversion, voice files, object store.

Importing the package imports nothing heavy: `rvc.contract` and `rvc.errors` are read by programs that have no torch.
"""
