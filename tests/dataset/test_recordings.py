from pathlib import Path

import pytest

from rvc.dataset.recordings import Refusal, dataset_digest, find_recordings, find_speakers, require_enough
from rvc.errors import InvalidDataset


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def test_audio_is_found_in_all_folders_in_the_order_of_names(tmp_path: Path) -> None:
    touch(tmp_path, "b.wav", "a/z.MP3", "a/notes.txt", "c.m4a", ".hidden.wav", ".trash/d.wav")
    assert [recording.name for recording in find_recordings(tmp_path)] == ["a/z.MP3", "b.wav", "c.m4a"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataset, match="nowhere does not exist; name the folder"):
        find_recordings(tmp_path / "nowhere")


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    with pytest.raises(InvalidDataset, match="is a file, not a folder"):
        find_recordings(tmp_path / "a.wav")


def test_a_folder_without_audio_says_what_to_put_there(tmp_path: Path) -> None:
    touch(tmp_path, "a.txt", "b.doc")
    with pytest.raises(InvalidDataset, match=r"2 files, none of them audio .* put wav"):
        find_recordings(tmp_path)


def test_the_digest_changes_with_names_and_contents_only(tmp_path: Path) -> None:
    touch(tmp_path, "one/a.wav", "one/b.wav", "two/a.wav", "two/b.wav", "three/a.wav", "three/c.wav")
    for name in ("one/b.wav", "two/b.wav", "three/c.wav", "one/a.wav", "two/a.wav", "three/a.wav"):
        (tmp_path / name).write_text("same")
    one, two, three = (dataset_digest(find_recordings(tmp_path / name)) for name in ("one", "two", "three"))
    assert one == two != three
    (tmp_path / "two/a.wav").write_text("other")
    assert dataset_digest(find_recordings(tmp_path / "two")) != one


def test_too_little_speech_says_how_much_and_why() -> None:
    refusals = [Refusal(f"{n}.wav", "AudioEmpty", f"{n}.wav: 0 bytes") for n in range(5)]
    with pytest.raises(InvalidDataset) as raised:
        require_enough(3.25, 6, refusals)
    message = str(raised.value)
    for part in (
        "6 recordings",
        "3.2 seconds",
        "5 were refused",
        "0.wav: 0 bytes",
        "and 2 more",
        "10 minutes",
    ):
        assert part in message
    require_enough(10.0, 6, refusals)


def test_numbered_speakers_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    touch(
        tmp_path, "10/a.wav", "2/b.wav", "2/deeper/c.wav", "ann/d.wav", "Bob/e.wav", "notes/f.txt", "02/g.wav"
    )
    recordings, names = find_speakers(tmp_path)
    assert names == ("02", "2", "10", "Bob", "ann")
    assert {recording.name: recording.speaker for recording in recordings} == {
        "02/g.wav": 0,
        "2/b.wav": 1,
        "2/deeper/c.wav": 1,
        "10/a.wav": 2,
        "Bob/e.wav": 3,
        "ann/d.wav": 4,
    }


def test_recordings_beside_the_speakers_are_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    touch(tmp_path, "ann/a.wav", "stray.wav")
    with pytest.raises(
        InvalidDataset, match=r"such as stray\.wav\); move each into the folder of its speaker"
    ):
        find_speakers(tmp_path)


def test_speakers_are_as_many_as_a_voice_can_have(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{number}/a.wav" for number in range(110)))
    with pytest.raises(InvalidDataset, match="110 speakers' folders; a voice has at most 109"):
        find_speakers(tmp_path)
