"""The connector contract as a test suite: what every connector promises, whatever it talks to.

    from gl002.testing.contract import *
    RIGS = [MyRig]

Each test runs for each rig, as far as the connector's declared abilities call for it. A new test
here reaches every connector the same day; a connector that cannot pass one says why in its rig's
`gaps`.
"""

import pytest

_PARTS = (
    "acting", "browsing", "faces", "history", "installing", "life", "reading", "settings",
    "storing", "streaming", "trouble", "writing",
)  # fmt: skip
pytest.register_assert_rewrite(*(f"{__name__}.{part}" for part in _PARTS))

from gl002.testing.contract.acting import *  # noqa: E402, F403 (after the line above; a suite)
from gl002.testing.contract.browsing import *  # noqa: E402, F403
from gl002.testing.contract.faces import *  # noqa: E402, F403
from gl002.testing.contract.history import *  # noqa: E402, F403
from gl002.testing.contract.installing import *  # noqa: E402, F403
from gl002.testing.contract.life import *  # noqa: E402, F403
from gl002.testing.contract.reading import *  # noqa: E402, F403
from gl002.testing.contract.settings import *  # noqa: E402, F403
from gl002.testing.contract.storing import *  # noqa: E402, F403
from gl002.testing.contract.streaming import *  # noqa: E402, F403
from gl002.testing.contract.trouble import *  # noqa: E402, F403
from gl002.testing.contract.writing import *  # noqa: E402, F403
