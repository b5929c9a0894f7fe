"""Folders and files that take another's place: nothing of the user's is lost, whenever the process is stopped."""

import json
import os
import shutil
import signal
from itertools import count
from pathlib import Path

import pytest

from tilewright.runtime.storage import atomic_folder as module
from tilewright.runtime.storage.atomic_file import write_whole
from tilewright.runtime.storage.atomic_folder import FolderKind, atomic_folder, put_back
from tilewright.runtime.storage.c_library import exchange
from tilewright.runtime.storage.workspace import LONGEST_NAME, workspace
from tilewright.targets.errors import InputError

KIND = FolderKind("a thing", "thing.json", frozenset({"ours"}), lambda content: {"data", *content.get("files", [])})
THEIRS = {"notes.txt": "mine", "log.jsonl": "{}\n", "deep/er/x": "x", "parts/mine": "beside ours", ".git/HEAD": "ref"}


def save(folder, text, files=("parts/a",)):
    with atomic_folder(folder, KIND, overwrite=True) as new:
        (new / "data").write_text(text)
        for file in files:
            (new / file).parent.mkdir(exist_ok=True)
            (new / file).write_text(text)
        (new / "thing.json").write_text(json.dumps({"ours": text, "files": list(files)}))


@pytest.fixture
def folder(tmp_path):
    """A thing, with files of a user's in it."""
    folder = tmp_path / "thing"
    save(folder, "old", ("parts/a", "parts/b"))
    for name, text in THEIRS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "empty").mkdir()
    (folder / "link").symlink_to("notes.txt")
    return folder


def check_whole(folder):
    """The folder is one of the two things, whole, with all that is the user's."""
    text = json.loads((folder / "thing.json").read_text())["ours"]
    assert {(folder / name).read_text() for name in ("data", "parts/a")} == {text}
    assert (folder / "parts/b").exists() == (text == "old")
    for name, theirs in THEIRS.items():
        assert (folder / name).read_text() == theirs
    assert (folder / "empty").is_dir()
    assert (folder / "link").readlink() == Path("notes.txt")


def hidden(folder):
    return [path.name for path in folder.parent.iterdir() if path.name != folder.name]


def test_what_is_not_ours_stays(folder):
    before = (folder / "log.jsonl").stat()
    save(folder, "new")
    check_whole(folder)
    assert os.path.samestat(before, (folder / "log.jsonl").stat()), "who has it open writes to the same file"
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        {"thing.json", "data", "parts", "notes.txt", "log.jsonl", "deep", ".git", "empty", "link"}
    )
    assert hidden(folder) == []


def test_a_file_of_the_users_with_a_name_that_is_ours_now_gets_a_number(folder):
    (folder / "parts/c").write_text("theirs")
    for text in ("new", "newer"):
        save(folder, text, ("parts/a", "parts/c"))
    assert (folder / "parts/c").read_text() == "newer"
    assert (folder / "parts/c.1").read_text() == "theirs"


@pytest.mark.parametrize(
    "content",
    ['{"format_version": "1.2", "terraform_version": "1.9"}', "[]", "null", "no JSON", "[" * 100_000, b"\xff"],
)
def test_other_folders_are_refused_untouched(tmp_path, content):
    folder = tmp_path / "infra"
    (folder / "src").mkdir(parents=True)
    (folder / "src/main.tf").write_text("precious")
    (folder / "thing.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=r"holds no thing\.json of tilewright"):
        save(folder, "new")
    assert (folder / "src/main.tf").read_text() == "precious"
    assert hidden(folder) == []


def test_what_is_no_folder_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("x")
    (tmp_path / "loop").symlink_to("loop")
    for name, words in (("pipe", "named pipe"), ("file", "is a file"), ("loop", "cannot be used"), ("x" * 300, "long"),
                        ("a\0b", "null")):  # fmt: skip
        with pytest.raises(InputError, match=words):
            save(tmp_path / name, "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "loop", "pipe"]


def test_behind_a_link_is_written_where_it_leads(folder, tmp_path):
    (tmp_path / "other").mkdir()
    link = tmp_path / "other" / "link"
    link.symlink_to(folder)
    save(link, "new")
    assert link.is_symlink()
    check_whole(folder)
    assert json.loads((folder / "thing.json").read_text())["ours"] == "new"


def test_names_as_long_as_the_system_takes(tmp_path):
    for name in ("x" * 255, "ü" * 127, "x" * LONGEST_NAME):
        save(tmp_path / name, "new")
        save(tmp_path / name, "newer")
    write_whole(tmp_path / ("y" * 255), b"1")
    write_whole(tmp_path / ("y" * 255), b"2")
    assert len(list(tmp_path.iterdir())) == 4


STEPS = [(Path, "rename"), (os, "link"), (os, "rename"), (Path, "mkdir"), (module, "exchange"), (shutil, "rmtree")]


def stop_at(monkeypatch, number, stop, after):
    """Call ``stop`` at the so-many-th step of a save, before or after it is done."""
    steps = count()

    def stopping(real):
        def call(*arguments, **named):
            mine = next(steps)
            if mine == number and not after:
                stop()
            result = real(*arguments, **named)
            if mine == number and after:
                stop()
            return result

        return call

    for owner, name in STEPS:
        monkeypatch.setattr(owner, name, stopping(getattr(owner, name)))
    return steps


def interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize("exchanges", [True, False])
@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("after", [True, False])
def test_interrupted_at_any_step(folder, exchanges, links, after):
    check_stopped_at_any_step(folder, exchanges, links, after, killed=False)


@pytest.mark.parametrize("exchanges", [True, False])
@pytest.mark.parametrize("after", [True, False])
def test_killed_at_any_step(folder, exchanges, after):
    check_stopped_at_any_step(folder, exchanges, True, after, killed=True)


def refuse(*_, **__):
    raise PermissionError


def check_stopped_at_any_step(folder, exchanges, links, after, killed):
    shutil.copytree(folder, folder.parent / "kept", symlinks=True)
    for number in count():
        shutil.rmtree(folder)
        shutil.copytree(folder.parent / "kept", folder, symlinks=True)
        with pytest.MonkeyPatch.context() as patch:
            if not exchanges:
                patch.setattr(module, "exchange", lambda *_: False)
            if not links:
                patch.setattr(os, "link", refuse)
            done = saved(folder, patch, number, after, killed)
        if not exchanges:
            put_back(folder)
        assert json.loads((folder / "thing.json").read_text())["ours"] in ("old", "new")
        if links and (exchanges or not killed):
            check_whole(folder)
        save(folder, "newest")
        check_whole(folder)
        if done:
            break
    assert number > 15
    assert hidden(folder) == ["kept"]


def saved(folder, patch, number, after, killed):
    """Save, stopped at a step; whether there is none of that number."""
    if killed:
        child = os.fork()
        if child == 0:
            stop_at(patch, number, lambda: os.kill(os.getpid(), signal.SIGKILL), after)
            save(folder, "new")
            os._exit(0)
        return os.waitpid(child, 0)[1] == 0
    steps = stop_at(patch, number, interrupt, after)
    try:
        save(folder, "new")
    except KeyboardInterrupt:
        return False
    return next(steps) <= number


def test_what_came_in_between_is_moved_behind(folder, monkeypatch):
    def meanwhile(*paths):
        (folder / "log.jsonl").unlink()
        (folder / "log.jsonl").write_text("written anew")
        (folder / "fresh").write_text("fresh")
        return exchange(*paths)

    monkeypatch.setattr(module, "exchange", meanwhile)
    save(folder, "new")
    assert (folder / "fresh").read_text() == "fresh"
    assert (folder / "log.jsonl.1").read_text() == "written anew"
    assert (folder / "log.jsonl").read_text() == "{}\n"
    assert hidden(folder) == []


def test_another_thing_that_came_meanwhile_is_not_replaced_unasked(tmp_path):
    folder = tmp_path / "thing"

    def overtaken():
        with atomic_folder(folder, KIND, overwrite=False) as new:
            (new / "thing.json").write_text("{}")
            save(folder, "first")

    with pytest.raises(InputError, match="another process"):
        overtaken()
    assert json.loads((folder / "thing.json").read_text())["ours"] == "first"
    assert hidden(folder) == []


def test_processes_that_save_to_one_name_lose_nothing(folder):
    children = []
    for number in range(3):
        child = os.fork()
        if child == 0:
            try:
                for turn in range(20):
                    save(folder, f"{number} {turn}")
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    check_whole(folder)
    save(folder, "new")
    assert hidden(folder) == []
    assert not list(folder.rglob("*.1"))


def test_leftovers_of_the_dead_are_removed_and_the_living_left_alone(tmp_path):
    (tmp_path / ".file.tilewright-mine").mkdir()  # a user's
    (tmp_path / ".file.tilewright-mine" / "x").write_text("x")
    (tmp_path / ".file.tilewright-text").write_text("x")
    child = os.fork()
    if child == 0:
        with workspace(tmp_path / "file") as place:
            (place / "new").write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert len(list(tmp_path.iterdir())) == 3
    with workspace(tmp_path / "file") as living:
        assert len(list(tmp_path.iterdir())) == 3, "the dead one is gone, a living one is there"
        write_whole(tmp_path / "file", b"1")
        assert living.is_dir()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".file.tilewright-mine",
        ".file.tilewright-text",
        "file",
    ]


def test_a_name_that_looks_like_a_workspaces_has_its_own(tmp_path):
    child = os.fork()
    if child == 0:
        with workspace(tmp_path / "file.tilewright-x"):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    write_whole(tmp_path / "file", b"1")
    assert len(list(tmp_path.iterdir())) == 2
    write_whole(tmp_path / "file.tilewright-x", b"1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "file.tilewright-x"]


def test_files_are_written_where_files_are(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, words in (
        ("pipe", "named pipe"),
        ("folder", "is a folder"),
        ("no/x", "does not exist"),
        ("y" * 300, "too long"),
    ):
        with pytest.raises(InputError, match=words):
            write_whole(tmp_path / name, b"1")
    with pytest.raises(InputError, match="is a device"):
        write_whole(Path("/dev/null"), b"1")
    (tmp_path / "file").write_text("old")
    (tmp_path / "file").chmod(0o640)
    (tmp_path / "link").symlink_to("file")
    write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "link", "pipe"]
