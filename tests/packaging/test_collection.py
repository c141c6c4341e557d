"""The collection: one source for units and templates, whole when built, and in step with its own documentation."""

import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

TOP = Path(__file__).parents[2]
COLLECTION = TOP / "ansible"
ROLES = sorted(path.name for path in (COLLECTION / "roles").iterdir())


def links() -> list[Path]:
    return sorted(path for path in COLLECTION.rglob("*") if path.is_symlink())


def test_every_unit_and_template_is_linked_and_none_is_copied() -> None:
    linked = {path.resolve() for path in links()}
    units = {
        path
        for path in (TOP / "systemd").rglob("*")
        if path.is_file() and path.name != "check" and path.suffix != ".pyc"
    }
    templates = {
        path
        for path in (TOP / "nginx").rglob("*")
        if path.is_file() and path.name != "render" and path.suffix != ".pyc"
    }
    assert linked == units | templates


def test_links_stay_inside_of_the_repository_and_lead_to_files() -> None:
    for link in links():
        assert not os.path.isabs(os.readlink(link)), link
        assert link.resolve().is_relative_to(TOP), link
        assert link.resolve().is_file(), link


def ansible(program: str) -> str:
    """The program beside this Python, or on PATH."""
    beside = Path(sys.executable).with_name(program)
    found = [path for path in (beside, *(Path(p) / program for p in os.environ["PATH"].split(":"))) if path.exists()]
    if not found:
        pytest.skip(f"{program} is not installed here: make molecule installs it")
    return str(found[0])


@pytest.fixture(scope="session")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("collection")
    command = [ansible("ansible-galaxy"), "collection", "build", "--output-path", str(directory), str(COLLECTION)]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = directory.glob("ironbucket-cluster-*.tar.gz")
    return built


def test_the_built_collection_has_the_linked_files_as_regular_files(tarball: Path) -> None:
    with tarfile.open(tarball) as archive:
        for link in links():
            member = archive.getmember(str(link.relative_to(COLLECTION)))
            assert member.isreg(), link
            content = archive.extractfile(member)
            assert content is not None
            assert content.read() == link.read_bytes()


def test_the_built_collection_installs(tarball: Path, tmp_path: Path) -> None:
    command = [ansible("ansible-galaxy"), "collection", "install", "--offline", "-p", str(tmp_path), str(tarball)]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | {"HOME": str(tmp_path)})
    installed = tmp_path / "ansible_collections" / "ironbucket" / "cluster"
    assert (installed / "roles/node/files/ironbucket.service").read_bytes() == (
        TOP / "systemd/ironbucket.service"
    ).read_bytes()


def test_argument_specs_and_lists_of_variables_follow_the_defaults() -> None:
    done = subprocess.run([sys.executable, COLLECTION / "document", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("role", ROLES)
def test_argument_specs_name_exactly_the_defaults(role: str) -> None:
    defaults: dict[str, object] = {}
    for place in (COLLECTION / "roles" / role / "defaults").rglob("*.yml"):
        values = yaml.safe_load(place.read_text())
        assert not defaults.keys() & values.keys(), "defined twice"
        defaults |= values
    specs = yaml.safe_load((COLLECTION / "roles" / role / "meta/argument_specs.yml").read_text())
    options = specs["argument_specs"]["main"]["options"]
    assert {name: option["default"] for name, option in options.items()} == defaults
    assert all(option["description"][0] for option in options.values())


@pytest.mark.parametrize("role", ROLES)
def test_variables_that_tasks_and_templates_use_are_defined(role: str) -> None:
    place = COLLECTION / "roles" / role
    defined = set(re.findall(rf"^{role}_\w+", "\n".join(p.read_text() for p in place.rglob("*.yml")), re.MULTILINE))
    defined |= set(
        re.findall(rf"^ +({role}_\w+):", "\n".join(p.read_text() for p in place.rglob("*.yml")), re.MULTILINE)
    )
    defined |= set(re.findall(rf"register: ({role}_\w+)", "\n".join(p.read_text() for p in place.rglob("*.yml"))))
    texts = [path.read_text() for path in place.rglob("*") if path.suffix in {".yml", ".j2"} and path.is_file()]
    used = {name for text in texts for name in re.findall(rf"\b{role}_\w+", text)}
    from_playbooks = {"loadbalancer_drain", "loadbalancer_drain_address"}
    assert used - defined - from_playbooks == set()


def test_every_playbook_is_described() -> None:
    readme = (COLLECTION / "README.md").read_text()
    for playbook in (COLLECTION / "playbooks").glob("*.yml"):
        if playbook.stem not in {"nodes", "loadbalancers"}:
            assert f"| `{playbook.stem}` |" in readme
