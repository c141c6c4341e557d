"""Keys belong to accounts, and an account's id never changes."""

from types import SimpleNamespace

import pytest

from ironbucket.errors import ConfigurationError
from ironbucket.s3.credentials import Credentials, owner_id


def settings(**more: object) -> SimpleNamespace:
    return SimpleNamespace(access_key="root", secret_key="secret", **more)


def test_the_keys_of_the_settings_belong_to_the_default_account() -> None:
    found = Credentials.from_settings(settings()).lookup("root")
    assert found is not None
    secret, identity = found
    assert secret == "secret"
    assert (identity.access_key, identity.account, identity.display_name) == ("root", "ironbucket", "ironbucket")
    assert len(bytes.fromhex(identity.owner_id)) == 32


def test_the_owner_id_depends_on_the_account_alone() -> None:
    rotated = Credentials.from_settings(SimpleNamespace(access_key="other", secret_key="new")).lookup("other")
    assert rotated is not None
    assert rotated[1].owner_id == owner_id("ironbucket") == OWNER_OF_IRONBUCKET


#: stored in the records of every object there is
OWNER_OF_IRONBUCKET = "eba26fff3532692b662bbf90d0651b0182763724279daabd0f14f6631563ea98"


def test_unknown_keys_and_owners() -> None:
    credentials = Credentials.from_settings(settings())
    assert credentials.lookup("nobody") is None
    assert credentials.lookup("") is None
    assert credentials.owner(owner_id("ironbucket")) == "ironbucket"
    assert credentials.owner("f" * 64) == "f" * 64


def test_more_accounts() -> None:
    more = {"app": {"secret": "s1", "account": "backup"}, "app2": {"secret": "s2", "account": "backup"}}
    credentials = Credentials.from_settings(settings(credentials=more))
    one, two = credentials.lookup("app"), credentials.lookup("app2")
    assert one is not None
    assert two is not None
    assert one[1].owner_id == two[1].owner_id == owner_id("backup")
    assert credentials.owner(owner_id("backup")) == "backup"


@pytest.mark.parametrize("entry", [None, "secret", {}, {"secret": "x"}, {"secret": "", "account": "a"}])
def test_incomplete_accounts_are_refused(entry: object) -> None:
    with pytest.raises(ConfigurationError):
        Credentials.from_settings(settings(credentials={"app": entry}))


def test_empty_keys_are_refused() -> None:
    with pytest.raises(ConfigurationError):
        Credentials.from_settings(SimpleNamespace(access_key="", secret_key=""))


def test_a_region_has_one_verifier() -> None:
    credentials = Credentials.from_settings(settings())
    assert credentials.verifier("a") is credentials.verifier("a")
    assert credentials.verifier("a") is not credentials.verifier("b")
