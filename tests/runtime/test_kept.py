"""What is kept by key stays within its bytes; the least recently used goes first, and never the one in hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from raybench.runtime.kept import Kept


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 9)), max_size=40), st.integers(1, 20))
def test_the_most_recently_used_that_fit_are_kept(asked: list[tuple[int, int]], most: int) -> None:
    kept: Kept[int] = Kept(lambda: most, lambda size: size)
    recent: dict[str, int] = {}
    for name, size in asked:
        key = str(name)
        value = kept.get(key, lambda size=size: size)  # type: ignore[misc]
        assert key in kept
        recent[key] = recent.pop(key, None) or value if key in recent else value
        recent = {k: v for k, v in recent.items() if k in kept}
        assert sum(recent.values()) <= most or list(recent) == [key]
        assert len(kept) == len(recent)


def test_one_larger_than_all_may_be_is_kept_alone() -> None:
    kept: Kept[int] = Kept(lambda: 10, lambda size: size)
    for key, size in (("a", 4), ("b", 5), ("c", 50)):
        kept.get(key, lambda size=size: size)  # type: ignore[misc]
    assert "c" in kept
    assert len(kept) == 1
    kept.drop("c")
    assert len(kept) == 0
