"""Which inputs take part and where their outputs go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rvc.contract import AudioFormat
from rvc.errors import InvalidConfiguration
from rvc_inference.plan import InputFile, is_input, plan_jobs, refuse_overwriting


def inputs(*names: str) -> list[InputFile]:
    return [InputFile(name=name, size=1, etag="1") for name in names]


def outputs(*names: str, audio_format: AudioFormat = AudioFormat.WAV) -> dict[str, str]:
    jobs, _ = plan_jobs(inputs(*names), audio_format, named=False)
    return {job.source.name: job.output_name for job in jobs}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.wav", True),
        ("deep/er/a.wav", True),
        (".hidden.wav", False),
        (".hidden/a.wav", False),
        ("_conversion/uid/results.json", False),
        ("deep/_conversion/uid/inputs.jsonl", False),
        ("_conversion.wav", True),
        ("folder/", False),
    ],
)
def test_hidden_files_and_records_are_no_inputs(name, expected):
    assert is_input(name) is expected


def test_outputs_keep_path_and_name():
    assert outputs("one.mp3", "deep/two.WAV", audio_format=AudioFormat.FLAC) == {
        "one.mp3": "one.flac",
        "deep/two.WAV": "deep/two.flac",
    }


def test_inputs_that_would_meet_get_names_of_their_own():
    assert outputs("a.wav", "a.mp3", "a.flac", "a.mp3.wav") == {
        "a.flac": "a.wav",
        "a.mp3": "a.mp3.wav",
        "a.mp3.wav": "a.mp3.wav.wav",
        "a.wav": "a.wav.wav",
    }


def test_what_is_no_recording_is_told_apart():
    jobs, others = plan_jobs(inputs("a.wav", "README.txt", "noextension"), AudioFormat.WAV, named=False)
    assert [job.source.name for job in jobs] == ["a.wav"]
    assert [other.name for other in others] == ["README.txt", "noextension"]


def test_a_named_input_is_tried_whatever_its_name():
    jobs, others = plan_jobs(inputs("recording.bin"), AudioFormat.OGG, named=True)
    assert [job.output_name for job in jobs] == ["recording.ogg"]
    assert others == []


NAMES = st.lists(
    st.builds(
        "{}{}".format,
        st.sampled_from(["a", "b", "x/a", "a.wav", "a.mp3.wav"]),
        st.sampled_from([".wav", ".mp3"]),
    ),
    unique=True,
)


@given(NAMES, st.randoms())
def test_no_two_inputs_share_an_output_whatever_the_order_of_the_listing(names, random):
    shuffled = random.sample(names, len(names))
    assert outputs(*names) == outputs(*shuffled)
    assert len(set(outputs(*names).values())) == len(names)


def test_an_input_is_never_overwritten():
    jobs, _ = plan_jobs(inputs("a.wav", "b.mp3"), AudioFormat.WAV, named=False)
    refuse_overwriting(jobs, "pvc://claim/in/", "pvc://claim/out/")
    with pytest.raises(InvalidConfiguration, match=r"1 inputs would be overwritten, pvc://claim/in/a\.wav"):
        refuse_overwriting(jobs, "pvc://claim/in/", "pvc://claim/in/")
