from tests.convert.conftest import base_models, converter, voice

__all__ = ["base_models", "converter", "voice"]
