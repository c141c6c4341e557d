"""Settings as flags: one flag for each setting, and from the flags given to the settings in force."""

from __future__ import annotations

import argparse
import os

from ironbucket.config import FIELDS, Loaded, Settings, default, inspect, load

_ENVIRONMENT = "IRONBUCKET_CONFIG"


def add_settings(parser: argparse.ArgumentParser, *, hidden: bool = False) -> None:
    """Add `--config` and a flag for each setting. A flag that is not given leaves no trace in the namespace."""
    group = parser.add_argument_group(
        "settings", "Each is also an environment variable (PORT) and a key of the file (port). Flags outweigh both."
    )

    def add(name: str, metavar: str, help_text: str) -> None:
        flag = "--" + name.replace("_", "-")
        # argparse reads % as its own
        shown_help = argparse.SUPPRESS if hidden else help_text.replace("%", "%%")
        group.add_argument(flag, dest=name, metavar=metavar, default=argparse.SUPPRESS, help=shown_help)

    add("config", "FILE", f"YAML file of settings (default: ${_ENVIRONMENT})")
    for name, about in FIELDS.items():
        add(name, name.rpartition("_")[2].upper(), f"{about.help} (default: {shown(default(name))})")
        if about.from_file:
            add(f"{name}_file", "FILE", f"file that holds the {name.replace('_', ' ')}")


def shown(value: object) -> str:
    """A value as it would be written in the environment."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(value) or "none"
    if isinstance(value, float):
        return f"{value:g}" if value < 1e6 else f"{value:.0f}"
    return str(value) or "none"


def _given(arguments: argparse.Namespace) -> dict[str, str]:
    names = [*FIELDS, *(f"{name}_file" for name, about in FIELDS.items() if about.from_file)]
    return {name: getattr(arguments, name) for name in names if hasattr(arguments, name)}


def _config_file(arguments: argparse.Namespace) -> str | None:
    return getattr(arguments, "config", None) or os.environ.get(_ENVIRONMENT) or None


def settings(arguments: argparse.Namespace, needs: tuple[str, ...] = ()) -> Settings:
    """The settings in force for a command. Raises ConfigurationError."""
    return load(os.environ, _config_file(arguments), _given(arguments), needs)


def inspected(arguments: argparse.Namespace, needs: tuple[str, ...] = ()) -> Loaded:
    """The settings in force with their origins, problems and warnings."""
    return inspect(os.environ, _config_file(arguments), _given(arguments), needs)
