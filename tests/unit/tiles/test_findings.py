"""Findings: what a person reads of them, and how few of many are kept."""

from __future__ import annotations

from pmtiles.tile import zxy_to_tileid

from cartloader_image.tiles.findings import MOST, Findings


def test_the_tile_comes_before_the_words() -> None:
    findings = Findings()
    findings.add("is black", zxy_to_tileid(0, 0, 0))
    findings.add("is black", zxy_to_tileid(7, 5, 9))
    findings.add("its header is wrong")
    assert [*map(str, findings.all())] == ["tile 0/0/0 is black", "tile 7/5/9 is black", "its header is wrong"]
    assert [finding.tile for finding in findings.all()] == [(0, 0, 0), (7, 5, 9), None]


def test_of_many_alike_the_last_that_is_listed_counts_the_others() -> None:
    findings = Findings()
    for tile_id in range(6):
        findings.add("is black", tile_id)
    assert str(findings.all()[-1]) == "tile 1/1/0 is black (and so 1 other)"
    for tile_id in range(6, 2000):
        findings.add("is black", tile_id)
    findings.add("is white", 3)
    assert str(findings.all()[-2]) == "tile 1/1/0 is black (and so 1,995 others)"
    assert len(findings.all()) == 6
    assert findings.left_out == 0


def test_findings_that_are_all_different_are_kept_up_to_a_number() -> None:
    findings = Findings()
    for number in range(MOST):
        findings.add(f"lacks {number}")
    assert (len(findings.all()), findings.left_out) == (MOST, 0)
    findings.add("lacks more")
    findings.add("lacks 3")
    assert (len(findings.all()), findings.left_out) == (MOST, 2)


def test_what_is_as_expected_is_no_finding() -> None:
    findings = Findings()
    findings.expect("the number", 3, 3)
    assert findings.all() == ()
    findings.expect("the number", 1234567, 2)
    findings.expect("the name", "a", "b")
    assert [*map(str, findings.all())] == ["the number should be 1,234,567, found 2", "the name should be a, found b"]
