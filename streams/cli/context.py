"""The root command's options and settings, which every other command receives."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from streams.settings.model import Settings
    from streams.settings.reader import LoadedSettings


@dataclass
class CommandContext:
    """The root options. The settings are read when a command first asks for them, so `--help` reads none.

    `config` is the file that `--config` named; None: the file that `KOTAE_CONFIG` names, if any.
    """

    config: Path | None = None

    @cached_property
    def loaded(self) -> "LoadedSettings":
        """The settings with their sources.

        Raises:
            SettingsError: a setting is wrong.
        """
        from streams.settings.reader import load_settings  # noqa: PLC0415 - keeps `kotae --help` quick

        return load_settings(self.config)

    @cached_property
    def settings(self) -> "Settings":
        """The settings; see `loaded`. Warnings are shown once; a command that logs them uses `loaded`."""
        for warning in self.loaded.warnings:
            click.echo(f"kotae: {warning}", err=True)
        return self.loaded.settings

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment that the settings were read from; settings may refer to its variables."""
        return self.loaded.environ
