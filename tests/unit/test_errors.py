"""What sentences are made of."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cartloader_image.errors import CatalogError, sentence, shortened


@given(st.text(), st.integers(1, 20))
def test_a_text_is_quoted_whole_or_up_to_a_length(text: str, most: int) -> None:
    found = shortened(text, most)
    assert len(found) <= most
    assert found == text or (len(text) > most and found[-1] == "…" and text.startswith(found[:-1]))
    assert len(found) == min(len(text), most)


def test_a_sentence_steers_no_terminal() -> None:
    text = "a\x1b[2Jb\x9bc\u202e µ 脑\nd"
    assert sentence(CatalogError(text)) == r"a\x1b[2Jb\x9bc\u202e µ 脑 d"
    assert sentence(FileNotFoundError(2, "No\x07", "\x1b.tif")) == r"\x1b.tif: No\x07"


def test_a_sentence_is_no_longer_than_a_screen() -> None:
    text = sentence(CatalogError(f"a.yaml: {'x' * 10**6} is no number; give one"))
    assert len(text) == 1600
    assert text.startswith("a.yaml: xx")
    assert text.endswith("xx is no number; give one")
