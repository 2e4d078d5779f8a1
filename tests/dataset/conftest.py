from tests.fixtures.base_models import base_models

__all__ = ["base_models"]
