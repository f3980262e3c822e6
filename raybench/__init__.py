"""raybench: which of these checkpoints should I use?

import raybench
ranking = raybench.run("jobs/quickstart.yaml")
ranking.to_pandas()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raybench.api import rank, run
    from raybench.core.identity import VERSION as __version__  # noqa: N811

__all__ = ["__version__", "rank", "run"]


def __getattr__(name: str) -> Any:  # the command line's first moments and `raybench.metrics` need no engine
    if name in ("rank", "run"):
        from raybench import api

        return getattr(api, name)
    if name == "__version__":
        from raybench.core.identity import VERSION

        return VERSION
    raise AttributeError(f"module 'raybench' has no attribute {name!r}")
