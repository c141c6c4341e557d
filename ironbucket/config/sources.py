"""Where settings come from: credentials and environment, then the YAML file, then flags, each outweighing the last.

    $CREDENTIALS_DIRECTORY/<name>  <  environment  <  YAML file  <  flags

Everything that is wrong is collected, so that one run of `ironbucket check-config` names all of it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ironbucket.config import rules
from ironbucket.config.settings import FIELDS, Settings
from ironbucket.config.settings import default as default_of
from ironbucket.errors import ConfigurationError

#: what a server cannot start without
SERVER_NEEDS = ("access_key", "secret_key")
#: what a replicator cannot start without
REPLICATOR_NEEDS = ("cluster_nodes", "cluster_secret")

_MOST_BYTES = 64 * 1024  # of a file that holds one secret
_FILE_KEYS = {f"{name}_file": name for name, about in FIELDS.items() if about.from_file}


@dataclass
class Loaded:
    """What came of reading every source."""

    settings: Settings
    #: setting -> default, credential, environment, file or flag, with the name of the file or variable
    origins: dict[str, str] = field(default_factory=dict)
    #: what is wrong, and what to do about it; a process must not start
    problems: list[str] = field(default_factory=list)
    #: what works, but deserves a look
    warnings: list[str] = field(default_factory=list)


def load(
    environ: Mapping[str, str],
    config_file: str | None = None,
    flags: Mapping[str, str] | None = None,
    needs: tuple[str, ...] = (),
) -> Settings:
    """The settings in force. `needs`: names that must not be empty, such as `SERVER_NEEDS`.

    Raises ConfigurationError that names every problem, one a line.
    """
    loaded = inspect(environ, config_file, flags, needs)
    if loaded.problems:
        raise ConfigurationError("; ".join(loaded.problems) if len(loaded.problems) == 1 else _listed(loaded.problems))
    return loaded.settings


def inspect(
    environ: Mapping[str, str],
    config_file: str | None = None,
    flags: Mapping[str, str] | None = None,
    needs: tuple[str, ...] = (),
) -> Loaded:
    """The settings in force, where each comes from, and everything that is wrong. A wrong value leaves the default."""
    reader = _Reader()
    reader.credentials(environ.get("CREDENTIALS_DIRECTORY", ""))
    reader.environment(environ)
    if config_file:
        reader.yaml(config_file)
    reader.flags(flags or {})
    settings = Settings(**reader.values)
    given = frozenset(reader.values)
    # a setting whose value was refused would otherwise be reported a second time, as missing
    open_needs = tuple(name for name in needs if name not in reader.refused)
    return Loaded(
        settings,
        {name: reader.origins.get(name, "default") for name in FIELDS},
        [*reader.problems, *rules.problems(settings, given | reader.refused, open_needs)],
        [*reader.warnings, *rules.warnings(settings, given)],
    )


def _listed(problems: list[str]) -> str:
    return f"{len(problems)} problems in the configuration:" + "".join(f"\n  - {problem}" for problem in problems)


class _Reader:
    """Collects values and complaints; a later source replaces the value of an earlier one."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self.refused: set[str] = set()

    def put(self, name: str, text: str, origin: str) -> None:
        about = FIELDS[name]
        try:
            value = about.read(text.strip() if not about.secret else text)
        except ValueError as error:
            # a refused secret is never repeated: what was typed may be most of the right one
            shown = "" if about.secret else f"={text}"
            self.problems.append(f"{name.upper()}{shown} ({origin}) {error}")
            self.refused.add(name)
            return
        self.values[name] = os.path.abspath(value) if about.path else value
        self.origins[name] = origin
        self.refused.discard(name)

    def put_file(self, name: str, path: str, origin: str) -> None:
        """The content of the file at `path`, without the newline that ends it."""
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read(_MOST_BYTES)
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            self.problems.append(f"{name.upper()} ({origin}): cannot read {path}: {reason}")
            self.refused.add(name)
            return
        self.put(name, text.removesuffix("\n").removesuffix("\r"), origin)

    def credentials(self, directory: str) -> None:
        for name in _FILE_KEYS.values():
            path = os.path.join(directory, name)
            if directory and os.path.isfile(path):
                self.put_file(name, path, f"credential {name}")

    def environment(self, environ: Mapping[str, str]) -> None:
        for name, about in FIELDS.items():
            variable = name.upper()
            text = environ.get(variable, "")
            file = environ.get(f"{variable}_FILE", "") if about.from_file else ""
            if text and file:
                self.problems.append(f"{variable} and {variable}_FILE are both set: set one of them")
            elif text:
                self.put(name, text, f"environment {variable}")
            elif file:
                self.put_file(name, file, f"environment {variable}_FILE")
            else:
                self._alias(name, environ)

    def _alias(self, name: str, environ: Mapping[str, str]) -> None:
        for variable in FIELDS[name].aliases:
            text = environ.get(variable, "")
            try:
                FIELDS[name].read(text)
            except ValueError:
                continue  # another program's variable in that program's own syntax
            self.put(name, text, f"environment {variable}")

    def yaml(self, path: str) -> None:
        try:
            document = _parse(path)
        except ConfigurationError as error:
            self.problems.append(error.message)
            return
        seen: dict[str, str] = {}
        for raw, value in document.items():
            name = str(raw).lower().replace("-", "_")
            setting = _FILE_KEYS.get(name, name)
            if setting not in FIELDS:
                self.problems.append(f"{path}: unknown setting '{raw}'{_nearest(name)}")
            elif setting in seen:
                self.problems.append(f"{path}: '{raw}' and '{seen[setting]}' set the same: keep one of them")
            else:
                seen[setting] = str(raw)
                self._from_yaml(path, name, setting, value)
        self._readable_by_others(path, seen)

    def _from_yaml(self, path: str, name: str, setting: str, value: object) -> None:
        text, problem = _as_text(setting, value)
        if text is None:
            self.problems.append(f"{path}: {setting} {problem}")
            self.refused.add(setting)
        elif name in _FILE_KEYS:
            self.put_file(setting, os.path.join(os.path.dirname(path), text), f"file {path}, {name}")
        else:
            self.put(setting, text, f"file {path}")

    def _readable_by_others(self, path: str, seen: Mapping[str, str]) -> None:
        secrets = [name for name, raw in seen.items() if FIELDS[name].secret and not raw.lower().endswith("file")]
        if secrets and os.stat(path).st_mode & 0o004:
            self.warnings.append(f"{path} holds {', '.join(secrets)} and every user can read it: chmod 640 {path}")

    def flags(self, flags: Mapping[str, str]) -> None:
        for name, text in flags.items():
            flag = "--" + name.replace("_", "-")
            if name in _FILE_KEYS:
                self.put_file(_FILE_KEYS[name], text, f"flag {flag}")
                continue
            self.put(name, text, f"flag {flag}")
            if FIELDS[name].secret:
                self.warnings.append(f"{flag} is visible to every user in the list of processes: use {flag}-file")


def _nearest(name: str) -> str:
    import difflib  # only for those who misspell

    near = difflib.get_close_matches(name, [*FIELDS, *_FILE_KEYS], n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else "; 'ironbucket check-config' lists all settings"


def _parse(path: str) -> dict[Any, Any]:
    import yaml  # most processes are configured by the environment and need not pay for the import

    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(1 << 20)
        _refuse_repeated_keys(yaml.compose(text, Loader=yaml.SafeLoader), path)
        document = yaml.safe_load(text)
    except OSError as error:
        raise ConfigurationError(f"cannot read the configuration file {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not valid YAML: {_where(error)}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path} must be lines of 'name: value', such as 'node_id: node-1'")
    return document


def _where(error: Exception) -> str:
    """Line and column of a YAML error: its own text would quote the line, which may hold a secret."""
    mark = getattr(error, "problem_mark", None)
    place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
    return (getattr(error, "problem", None) or "cannot be read") + place


def _refuse_repeated_keys(node: Any, path: str) -> None:
    """YAML lets the last of two equal keys win without a word."""
    keys = [key.value for key, _ in node.value] if getattr(node, "id", "") == "mapping" else []
    for key in keys:
        if keys.count(key) > 1:
            raise ConfigurationError(f"{path}: '{key}' is set more than once: keep one of them")


def _as_text(name: str, value: object) -> tuple[str | None, str]:
    """A YAML value as the text that the setting's reader takes, or None and what is wrong."""
    default = default_of(name)
    if isinstance(value, str):
        return value, ""
    if isinstance(value, bool):
        return (str(value).lower(), "") if isinstance(default, bool) else (None, "must not be true or false")
    if isinstance(value, list) and isinstance(default, tuple | str) and all(isinstance(item, str) for item in value):
        if isinstance(default, tuple) or name == "domain":
            return ",".join(value), ""
    elif isinstance(value, int | float) and isinstance(default, int | float):
        return format(value, "f").rstrip("0").rstrip(".") if isinstance(value, float) else str(value), ""
    if isinstance(value, int | float) and isinstance(default, str):
        return None, "is a number in YAML: put it in quotes"
    return None, "has no value: give it one or remove the line" if value is None else "must be a single value"
