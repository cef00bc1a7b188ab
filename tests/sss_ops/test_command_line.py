import subprocess
import sys

PROGRAM = """
from pathlib import Path
from sss_ops.command_line import run_command
from sss_model.errors import InputError

def command(what: str) -> None:
    if what == "input":
        raise InputError("scan.nii: 4 axes; expected 3")
    if what == "full":
        Path("/dev/full").write_text("x")
    if what == "wrapped":
        try:
            Path("/dev/full").write_text("x")
        except OSError as error:
            raise RuntimeError("could not save") from error
    if what == "bug":
        raise ValueError("a bug")
    print("done")

run_command(command)
"""


def run(what: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", PROGRAM, what], capture_output=True, text=True)


def test_a_command_that_ends_well_exits_with_0() -> None:
    assert (run("well").returncode, run("well").stdout) == (0, "done\n")


def test_unusable_input_is_its_sentence_and_exit_code_2() -> None:
    done = run("input")
    assert (done.returncode, done.stderr) == (2, "error: scan.nii: 4 axes; expected 3\n")


def test_a_full_disk_is_a_sentence_even_where_a_library_wrapped_it() -> None:
    for what in ("full", "wrapped"):
        done = run(what)
        assert done.returncode == 2
        assert done.stderr.startswith("error: the disk is full")
        assert done.stderr.count("\n") == 1


def test_a_bug_keeps_its_plain_traceback() -> None:
    done = run("bug")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.endswith("ValueError: a bug\n")
