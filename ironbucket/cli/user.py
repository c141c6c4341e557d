"""`ironbucket user`: add, list, remove users and rotate their keys. A running server notices the change by itself."""

from __future__ import annotations

import argparse
import json
import os
import secrets
from typing import Any

from ironbucket.cli import options
from ironbucket.cli.printing import safe
from ironbucket.errors import ConfigurationError

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(
        metavar="ACTION", required=True, dest="action", parser_class=argparse.ArgumentParser
    )
    add = actions.add_parser("add", help="add a user with a new access key")
    add.add_argument("name", metavar="NAME")
    add.add_argument(
        "--policy",
        action="append",
        default=[],
        metavar="POLICY",
        help="readwrite, readonly, writeonly, a policy of the file, or a JSON file, whose name it takes; repeatable",
    )
    add.add_argument(
        "--bucket", action="append", default=[], metavar="BUCKET", help="allow everything in this bucket; repeatable"
    )
    add.add_argument("--key-id", metavar="KEY", help="the access key id (default: a new one)")
    add.add_argument("--key-secret-file", metavar="FILE", help="file of the key's secret (default: a new one)")
    listing = actions.add_parser("list", help="list users, their access keys and policies")
    remove = actions.add_parser("remove", help="remove a user and all of its keys")
    remove.add_argument("name", metavar="NAME")
    rotate = actions.add_parser("rotate", help="give a user a new access key in place of those it has")
    rotate.add_argument("name", metavar="NAME")
    rotate.add_argument("--keep", action="store_true", help="keep the newest old key until the next rotation")
    for action in (add, listing, remove, rotate):
        action.add_argument("--json", action="store_true", help="print JSON")
        options.add_settings(action)


def run(arguments: argparse.Namespace) -> int:
    path = options.settings(arguments).users_file
    if not path:
        raise ConfigurationError("USERS_FILE is not set: name the file of users, such as /etc/ironbucket/users.yml")
    return {"add": _add, "list": _list, "remove": _remove, "rotate": _rotate}[arguments.action](path, arguments)


def _new_key() -> tuple[str, str]:
    return "IB" + "".join(secrets.choice(_ALPHABET) for _ in range(18)), secrets.token_urlsafe(30)


def _add(path: str, arguments: argparse.Namespace) -> int:
    from ironbucket.s3 import users

    users.check_name(arguments.name)
    access_key, secret = _new_key()
    access_key = arguments.key_id or access_key
    if arguments.key_secret_file:
        with open(arguments.key_secret_file, encoding="utf-8") as file:
            secret = file.read().removesuffix("\n")
    with users.changing(path) as content:
        if arguments.name in content.users:
            raise ConfigurationError(f"the user '{arguments.name}' exists; 'user rotate' gives it a new key")
        policies = [_policy(content, each) for each in arguments.policy]
        if arguments.bucket:
            name = f"buckets-of-{arguments.name}"
            content.policies[name] = _of_buckets(arguments.bucket)
            policies.append(name)
        content.users[arguments.name] = users.Entry({access_key: secret}, policies)
    _show(arguments, access_key, secret)
    if not policies and not arguments.json:
        print("this user may do nothing yet but what policies of buckets allow: see --policy and --bucket")
    return 0


def _policy(content: Any, text: str) -> str:
    """The name of a policy; that of a JSON file becomes one of the users' file."""
    from ironbucket.s3 import users

    if text in users.BUILT_IN or text in content.policies:
        return text
    if not os.path.isfile(text):
        raise ConfigurationError(f"there is no policy and no file '{text}'")
    name = os.path.basename(text).removesuffix(".json")
    with open(text, encoding="utf-8") as file:
        try:
            document = json.load(file)
        except ValueError as error:
            raise ConfigurationError(f"{text} is not valid JSON: {error}") from None
    if content.policies.get(name, document) != document or name in users.BUILT_IN:
        raise ConfigurationError(f"there is another policy '{name}': give the file another name")
    content.policies[name] = document
    return name


def _of_buckets(buckets: list[str]) -> dict[str, Any]:
    resources = [arn for bucket in buckets for arn in (f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*")]
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:*"], "Resource": resources}]}


def _show(arguments: argparse.Namespace, access_key: str, secret: str) -> None:
    """The only time that a secret is shown."""
    if arguments.json:
        print(json.dumps({"user": arguments.name, "access_key": access_key, "secret_key": secret}))
        return
    print(f"user        {arguments.name}\naccess key  {access_key}\nsecret key  {secret}")
    print("the secret is not shown again")


def _list(path: str, arguments: argparse.Namespace) -> int:
    from ironbucket.s3 import users

    content = users.read(path) if os.path.exists(path) else users.Users()
    if arguments.json:
        shown = {name: {"keys": [*one.keys], "policies": one.policies} for name, one in content.users.items()}
        print(json.dumps(shown, indent=2))
        return 0
    for name, one in content.users.items():
        print(f"{safe(name)}  keys: {', '.join(one.keys) or 'none'}  policies: {', '.join(one.policies) or 'none'}")
    print(f"{len(content.users)} user(s) in {path}")
    return 0


def _remove(path: str, arguments: argparse.Namespace) -> int:
    from ironbucket.s3 import users

    with users.changing(path) as content:
        removed = _known(content, arguments.name)
        del content.users[arguments.name]
        content.policies.pop(f"buckets-of-{arguments.name}", None)
    if arguments.json:
        print(json.dumps({"user": arguments.name, "keys": [*removed.keys]}))
    else:
        print(f"removed {arguments.name} and {len(removed.keys)} key(s)")
    return 0


def _rotate(path: str, arguments: argparse.Namespace) -> int:
    from ironbucket.s3 import users

    access_key, secret = _new_key()
    with users.changing(path) as content:
        entry = _known(content, arguments.name)
        kept = dict(list(entry.keys.items())[-1:]) if arguments.keep else {}
        entry.keys = {**kept, access_key: secret}
    _show(arguments, access_key, secret)
    return 0


def _known(content: Any, name: str) -> Any:
    if name not in content.users:
        raise ConfigurationError(f"there is no user '{name}'")
    return content.users[name]
