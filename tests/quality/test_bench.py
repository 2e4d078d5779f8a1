from benchmarks.quality import Run, heading, line_of, measured, options

MEANS = {
    "similarityToTarget": 0.9, "similarityToSource": 0.6, "characterErrorRate": 0.05,
    "sourceCharacterErrorRate": 0.04, "f0Correlation": 0.93,
    "toplineSimilarityToTarget": 0.92, "toplineSimilarityToSource": 0.55,
}  # fmt: skip


def row(source: str) -> str:
    evaluation = Run("rvc evaluate", 1.0, {"means": MEANS, "not_measured": ["DNSMOS: install it"]})
    return line_of(measured("Light 32000", source, evaluation, None))


def test_what_falls_short_is_marked() -> None:
    cells = row("man").split()
    assert cells[:3] == ["Light", "32000", "man"]
    assert cells[3:] == ["0.900", "0.300!", "0.370", "0.050", "0.010", "-", "0.930!", "-", "-", "-"]
    assert len(row("man")) == len(heading())


def test_what_the_voice_says_again_is_not_judged() -> None:
    assert "!" not in row("own")


def test_rates_are_many() -> None:
    chosen = options(["--rate", "32000", "40000", "--minutes", "2"])
    assert (chosen.rate, chosen.minutes) == ([32000, 40000], 2)
