"""What the root command hands to every other one."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streams.settings.model import Settings
    from streams.settings.reader import Loaded


@dataclass
class CommandContext:
    """The root options; settings are read when first asked for, so that `--help` needs none.

    `config` is the file that `--config` named; None: that of `KOTAE_CONFIG`, or none.
    """

    config: Path | None = None

    @cached_property
    def loaded(self) -> "Loaded":
        """The settings with their sources.

        Raises:
            SettingsError: something in them is wrong.
        """
        from streams.settings.reader import load_settings  # noqa: PLC0415 - keeps `kotae --help` quick

        return load_settings(self.config)

    @property
    def settings(self) -> "Settings":
        """The settings; see `loaded`."""
        return self.loaded.settings

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment that the settings came from, for what they refer to."""
        return self.loaded.environ
