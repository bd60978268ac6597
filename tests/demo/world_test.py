#!/usr/bin/env python3
"""What `world.py down` ends, and what it leaves alone."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import world


def start(build, program, watched):
    """A process of this name that runs until it is ended, with the folder in its command line."""
    (build / "bin").mkdir(parents=True, exist_ok=True)
    watched.parent.mkdir(parents=True, exist_ok=True)
    watched.touch()
    binary = shutil.copy(shutil.which("tail"), build / "bin" / program)
    return subprocess.Popen([binary, "-f", watched])


def has_ended(process):
    try:
        process.wait(1)
    except subprocess.TimeoutExpired:
        return False
    return True


def main():
    with tempfile.TemporaryDirectory() as base:
        base = Path(base)
        folder = base / "up"
        # Another build than the one that `down` would look for; another world; another program.
        ours = start(base / "other-build", "azure-sim", folder / "estate.yaml")
        # Built anew meanwhile: mold renames what is there before it takes it away.
        (base / "other-build/bin/azure-sim").rename(base / "other-build/bin/.mold-a1b2c3")
        (base / "other-build/bin/.mold-a1b2c3").unlink()
        elsewhere = start(base / "other-build", "sallyport-controller", base / "up2/estate.yaml")
        stranger = start(base / "strange", "editor", folder / "notes")
        processes = {"azure-sim": ours, "sallyport-controller": elsewhere, "stranger": stranger}
        try:
            for name, process in processes.items():
                (folder / f"{name}.pid").write_text(f"{process.pid}\n")
            world.down(folder)
            ended = {name for name, process in processes.items() if has_ended(process)}
            left = list(folder.glob("*.pid"))
        finally:
            for process in processes.values():
                process.kill()
                process.wait()
    if ended != {"azure-sim"} or left:
        sys.exit(f"ended: {ended}, pid files left: {left}")


if __name__ == "__main__":
    main()
