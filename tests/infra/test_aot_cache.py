"""The file of the AOT cache of a Java and its jars, and files that are not used."""

import os
from pathlib import Path

import pytest

from infra.aot_cache import cache_file, fault, remove_others
from infra.java import Java
from infra.jvm import FLAGS, Jvm

JAVA = Java(Path("/opt/java/bin/java"), "25.0.2", "build 25.0.2+10")


@pytest.fixture
def jvm(tmp_path: Path) -> Jvm:
    libs = tmp_path / "kafka-1" / "libs"
    libs.mkdir(parents=True)
    for name in ("a.jar", "b.jar"):
        (libs / name).write_text(name)
    return Jvm(JAVA, libs, FLAGS["sustained"])


@pytest.fixture
def file(jvm: Jvm) -> Path:
    """A cache that nothing is wrong with."""
    found = cache_file(jvm)
    assert found is not None
    found.write_bytes(b"cache")
    found.chmod(0o600)
    return found


def test_cache_of_the_same_java_and_jars_is_one_file_for_every_profile(jvm: Jvm) -> None:
    short = Jvm(JAVA, jvm.libs, FLAGS["short"])
    assert cache_file(jvm) == cache_file(short)


@pytest.mark.parametrize("changed", ["program", "build", "more jars", "size", "time"])
def test_cache_of_another_java_or_other_jars_is_another_file(jvm: Jvm, changed: str) -> None:
    before, java, jar = cache_file(jvm), JAVA, jvm.libs / "b.jar"
    match changed:
        case "program":
            java = JAVA._replace(program=Path("/opt/other/bin/java"))
        case "build":
            java = JAVA._replace(build="build 25.0.2+11")
        case "more jars":
            (jvm.libs / "c.jar").touch()
        case "size":
            found = jar.stat()
            jar.write_text("longer than before")
            os.utime(jar, ns=(found.st_atime_ns, found.st_mtime_ns))
        case "time":
            os.utime(jar, (1, 1))

    assert cache_file(Jvm(java, jvm.libs, jvm.flags)) != before


@pytest.mark.parametrize("version", ["17.0.15", "24.0.1"])
def test_cache_of_an_older_java_does_not_exist(jvm: Jvm, version: str) -> None:
    assert cache_file(Jvm(JAVA._replace(version=version), jvm.libs, jvm.flags)) is None


def test_cache_of_this_user_has_no_fault(file: Path) -> None:
    assert fault(file) is None


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_cache_that_others_can_write_is_not_used(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert fault(file) == "can be written by other users"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_cache_of_another_user_is_not_used(file: Path) -> None:
    os.chown(file, 12345, -1)
    assert fault(file) == "belongs to another user (uid 12345)"


def test_cache_that_is_a_folder_is_not_used(file: Path) -> None:
    file.unlink()
    file.mkdir()
    assert fault(file) == "is not a file"


def test_caches_of_other_versions_are_removed_and_jars_stay(file: Path, tmp_path: Path) -> None:
    older = tmp_path / "kafka-0" / "broker-0.aot"
    older.parent.mkdir()
    others = [older, file.with_name("broker-0.aot"), file.with_name("classes-1.jsa")]
    for other in others:
        other.touch()

    remove_others(tmp_path, file)

    assert [other for other in others if other.exists()] == []
    assert sorted(entry.name for entry in file.parent.iterdir()) == [file.name, "libs"]
