"""Brokers whose log directories are small file systems of their own, so that
one can be filled, and directories that can be emptied."""

import pathlib
import shutil
import subprocess


class Disks:
    """The disks of a `Trio`; real ones only where they are to be filled. They are
    given back when the trio has ended."""

    def __init__(self, trio):
        self.trio = trio
        self.mounted = []
        trio.belongings.callback(self.end)

    def directory(self, number):
        return self.trio.directory_of(number) / "broker"

    def make_small(self, megabytes):
        """Mounts a file system for each broker; why not, or None. Before a start."""
        for number in range(len(self.trio.brokers)):
            directory = self.directory(number)
            directory.mkdir()
            options = ("-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", directory)
            made = subprocess.run(["mount", *options], capture_output=True, text=True)
            if made.returncode != 0:
                return f"may not mount a file system: {made.stderr.strip()}"
            self.mounted.append(directory)
        return None

    def ballast(self, number):
        return pathlib.Path(self.directory(number)) / "ballast"

    def fill(self, number):
        """Takes all the room that is left."""
        for size in (1 << 20, 1 << 12):
            try:
                with open(self.ballast(number), "ab", buffering=0) as file:
                    while file.write(b"\0" * size) == size:
                        pass
            except OSError:
                pass

    def free(self, number):
        self.ballast(number).unlink(missing_ok=True)

    def wipe(self, number):
        """Removes everything that a broker kept, which must not run."""
        directory = self.directory(number)
        for entry in directory.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def end(self):
        for directory in self.mounted:
            subprocess.run(["umount", "-l", directory], capture_output=True)
