from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from rvc.dataset.held_out import held_out
from rvc.dataset.recordings import Recording


def recordings(count: int, speakers: int = 1) -> list[Recording]:
    return [
        Recording(f"{n}.wav", Path(f"{n}.wav"), f"{(n * 7919) % 997:064x}", n % speakers)
        for n in range(count)
    ]


def test_small_datasets_are_trained_on_whole() -> None:
    assert held_out(recordings(7), [60.0] * 7) == set()
    assert held_out(recordings(20), [2.9] * 20) == set()


def test_a_twentieth_is_held_out_and_a_minute_at_most() -> None:
    assert len(held_out(recordings(100), [4.0] * 100)) == 5
    assert len(held_out(recordings(1000), [4.0] * 1000)) == 15


def test_of_long_files_it_is_the_shortest() -> None:
    assert held_out(recordings(8), [300.0, 200.0, *[400.0] * 6]) == {"1.wav"}


@given(st.lists(st.floats(1.0, 500.0), min_size=8, max_size=60), st.integers(1, 9), st.randoms())
def test_the_choice_is_by_content_and_leaves_every_speaker_something(seconds, speakers, random) -> None:
    everything = recordings(len(seconds), speakers)
    chosen = held_out(everything, seconds)
    left = {one.speaker for one in everything if one.name not in chosen}
    assert left == {one.speaker for one in everything}
    pairs = list(zip(everything, seconds, strict=True))
    random.shuffle(pairs)
    assert held_out([one for one, _ in pairs], [length for _, length in pairs]) == chosen
