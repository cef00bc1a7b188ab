"""Write the hash-pinned requirements files (`make lock`).

Pins that are already in the files stay unless pyproject.toml forces another; delete a file's line to take the newest.
The files hold names, versions, markers and hashes, never where a package came from.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

HEADS = {
    "requirements.txt": """
Everything that runs, pinned by hash. `make setup` types these lines for you; by hand, in a new environment:
  pip install --no-deps --require-hashes -r requirements/build.txt
  pip install --no-deps --require-hashes -r requirements/torch-cpu.txt   (where pip finds no such build, and on a GPU:)
  pip install --no-deps --require-hashes -r requirements/torch.txt
  pip install --no-deps --require-hashes --no-build-isolation -r requirements.txt
  pip install --no-deps --require-hashes -r requirements/cuda.txt        (only where that torch is a CUDA build)
  SAM2_BUILD_CUDA=0 pip install --no-deps --require-hashes --no-build-isolation -r requirements/sam2.txt
  pip install --no-deps --no-build-isolation --editable .
""",
    "requirements/build.txt": "Before all: what source packages are built with.",
    "requirements/torch-cpu.txt": "torch built for CPUs only, for a pip that finds such a build; a tenth of the size.",
    "requirements/torch.txt": "torch as the public index has it: on Linux, built for CUDA.",
    "requirements/cuda.txt": "Only where the installed torch is a CUDA build: the libraries that it loads.",
    "requirements/dev.txt": "What `make test`, `make check` and `make lock` need besides.",
    "requirements/sam2.txt": "Last: sam2, from source, without the torchvision that its metadata asks for.",
}
SAM2 = "sam2==1.1.0\n"


def main() -> None:
    extras = ["pyproject.toml", "--group", "build", "--extra"]
    runtime = compile_pins([*extras, "kubeflow"])
    everything = compile_pins([*extras, "dev"], keep=committed_pins() | runtime)
    development = {name: pin for name, pin in everything.items() if name not in runtime}
    build = {name: runtime.pop(name) for name in ("setuptools", "wheel")}
    cuda = {name: runtime.pop(name) for name in sorted(runtime) if re.match(r"nvidia-|cuda-|triton", name)}
    torch = runtime.pop("torch")
    write("requirements/build.txt", build)
    write("requirements/torch-cpu.txt", {"torch": cpu_build(torch.split()[0])})
    write("requirements/torch.txt", {"torch": torch})
    write("requirements/cuda.txt", cuda)
    write("requirements.txt", runtime)
    write("requirements/dev.txt", development)
    write("requirements/sam2.txt", compile_pins(["-", "--no-deps"], source=SAM2))


def compile_pins(arguments: list[str], keep: dict[str, str] | None = None, source: str = "") -> dict[str, str]:
    """Resolve for every platform and Python from 3.11 on: package name -> its lines, version and hashes."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "pins.txt")
        output.write_text("\n".join((keep or committed_pins()).values()))
        command = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes"]
        command += ["--no-header", "--no-annotate", "--output-file", str(output), *arguments]
        subprocess.run([sys.executable, "-m", *command], input=source, text=True, check=True, stdout=subprocess.DEVNULL)
        return blocks(output.read_text())


def committed_pins() -> dict[str, str]:
    files = [Path(name) for name in HEADS if name != "requirements/torch-cpu.txt"]
    return {name: pin for file in files if file.exists() for name, pin in blocks(file.read_text()).items()}


def blocks(text: str) -> dict[str, str]:
    """A requirements file cut into its packages."""
    found = re.findall(r"^([a-z0-9][a-z0-9._-]*)(==.*\n(?:    --hash.*\n)*)", text, flags=re.MULTILINE)
    return {name: name + rest.rstrip("\n") for name, rest in found}


def cpu_build(version: str) -> str:
    """The pin of torch's CPU build that pip finds here.

    It bears its own version, ``2.13.0+cpu``, and needs its own file: pip prefers an index's build whose hash is listed
    to one in a folder, whose hash it can't know beforehand.
    """
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip"]
        subprocess.run([*pip, "download", "--quiet", "--no-deps", "--dest", folder, f"{version}+cpu"], check=True)
        shown = subprocess.run([*pip, "hash", *Path(folder).iterdir()], check=True, capture_output=True, text=True)
    return f"{version}+cpu \\\n    {shown.stdout.splitlines()[-1]}"


def write(name: str, pins: dict[str, str]) -> None:
    head = "".join(f"# {line}\n" for line in [*HEADS[name].strip().splitlines(), "Written by `make lock`."])
    Path(name).write_text(head + "".join(f"{pin}\n" for pin in pins.values()))


if __name__ == "__main__":
    main()
