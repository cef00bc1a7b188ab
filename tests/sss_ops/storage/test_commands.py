"""`sss checkpoint`, as its user meets it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.file_server import FileServer

from sss_ops.cli import main

Sss = Callable[..., tuple[int, str, str]]


@pytest.fixture
def sss(web: FileServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Sss:
    """Runs the command line; returns its exit code, what it said and its errors."""
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["sss", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return (int(ended.value.code or 0), *capfd.readouterr())

    return run


def test_get_fetches_and_the_second_time_finds_it(sss: Sss, web: FileServer) -> None:
    code, said, _ = sss("checkpoint", "get", "small")
    lines = said.splitlines()
    assert (code, lines[-1]) == (0, "checkpoints/sam2.1_hiera_small.pt: 5 MB, SHA-256 as expected")
    assert lines[-2] == "sam2.1_hiera_small.pt: 5.2 of 5.2 MB"
    assert len(lines) <= 12, "a log would fill up"
    code, said, _ = sss("checkpoint", "get", "small")
    assert (code, said.splitlines()) == (0, lines[-1:])
    assert len(web.asked) == 1


def test_get_takes_a_version_a_folder_and_a_mirror(sss: Sss, web: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSS_CHECKPOINT_MIRROR")
    code, _, _ = sss("checkpoint", "get", "sam2.1_hiera_small", "--to", "kept", "--mirror", f"{web.address}/")
    assert code == 0
    assert Path("kept/sam2.1_hiera_small.pt").is_file()
    code, _, error = sss("checkpoint", "get", "small", "--version", "2.0", "--mirror", web.address)
    assert code == 2
    assert error.startswith(f"error: {web.address}/072824/sam2_hiera_small.pt: the server answers 404; expected")


@pytest.mark.parametrize("name", ["huge", "params.yaml", "s3://bucket"])
def test_what_cannot_be_had_is_one_sentence_and_exit_code_2(sss: Sss, name: str) -> None:
    code, said, error = sss("checkpoint", "get", name)
    assert (code, said, len(error.splitlines())) == (2, "", 1)
    assert error.startswith(f"error: {name}: ")


def test_a_wrong_file_is_exit_code_2_and_stays(sss: Sss) -> None:
    path = Path("checkpoints/sam2.1_hiera_small.pt")
    path.parent.mkdir()
    path.write_bytes(b"half")
    code, said, error = sss("checkpoint", "get", "small")
    assert (code, said) == (2, "")
    assert error == f"error: {path}: 4 bytes; expected the 5242880 of Meta's sam2.1_hiera_small.pt\n"
    assert path.read_bytes() == b"half"


def test_list_says_what_is_here(sss: Sss, web: FileServer) -> None:
    def states() -> dict[str, str]:
        code, said, _ = sss("checkpoint", "list")
        assert code == 0
        rows = [line.split(maxsplit=4) for line in said.splitlines()[1:]]
        return {row[2]: row[4].strip() for row in rows}

    assert set(states().values()) == {"–"}
    assert len(states()) == 8
    sss("checkpoint", "get", "small")
    Path("checkpoints/.sam2.1_hiera_large.pt.part").write_bytes(bytes(3_000_000))
    Path("checkpoints/sam2_hiera_tiny.pt").write_bytes(b"?")
    found = {name: state for name, state in states().items() if state != "–"}
    assert found == {
        "sam2.1_hiera_small.pt": "yes",
        "sam2.1_hiera_large.pt": "3 MB of it",
        "sam2_hiera_tiny.pt": "another file",
    }
