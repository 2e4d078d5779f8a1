"""Many files, four servers, two of them killed on the way: none lost, none twice, no more memory for more."""

import pytest

from tests.fixtures.base_models import base_models
from tests.fixtures.voices import humming_voice
from tests.oss_runs.sharing import Sharing, require_whole

__all__ = ["base_models"]

FILES = 240
"""`python -m tests.oss_runs.sharing 10000` is the same with more."""


@pytest.mark.timeout(3600)
def test_shared_by_four_servers_of_which_two_die(base_models, tmp_path):
    (tmp_path / "voice").mkdir()
    voice = humming_voice(tmp_path / "voice", base_models)
    require_whole(Sharing(tmp_path, voice, FILES).run())
