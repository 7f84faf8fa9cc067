"""Two students on one Nano, each with a terminal and a config of his own, against the embedded server and a real sshd."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import colours
import pytest
from ssh_servers import SshServer

REPOSITORY = Path(__file__).parents[2]


class Student:
    """A person with a laptop, at a terminal."""

    def __init__(self, name: str, server: SshServer, root: str, folder: Path, turn: float) -> None:
        self.folder = folder / name
        self.folder.mkdir()
        login = {"pwd": server.password} if server.kind == "embedded" else {"key_file": str(server.key_file)}
        machine = {"ip": server.host, "port": server.port, "login": server.user, "host_key": server.host_key,
                   "python": sys.executable, "root": root, **login}
        self.config = self.folder / "config.json"
        self.config.write_text(json.dumps({"DL_server": {"name": "DL", **machine}, "student": name, "jetson_nano": [
            {"name": "nano1", **machine, "leds": "file", "engine": "onnxruntime", "turn": turn,
             "camera": (folder / "clip.avi").as_uri()}]}))
        self.config.chmod(0o600)

    @contextmanager
    def doing(self, *words: str, code: int = 0) -> Iterator[Iterator[dict[str, Any]]]:
        """What `ai-nano --json` says, line by line; it ends within the block, with `code`.

        Read all the while: a terminal that is not
        read holds up the program, and its lease with it."""
        environment = {**os.environ, "HOME": str(self.folder), "PYTHONPATH": str(REPOSITORY), "AI_NANO_LANGUAGE": "en",
                       "XDG_CONFIG_HOME": str(self.folder / "config"), "XDG_CACHE_HOME": str(self.folder / "cache"),
                       "LANG": "C.UTF-8"}
        process = subprocess.Popen([sys.executable, "-m", "ai_nano", "--json", "--config", str(self.config), *words], text=True,
                                   cwd=self.folder, env=environment, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        stdout = process.stdout
        assert stdout is not None
        lines: queue.Queue[str | None] = queue.Queue()

        def read() -> None:
            for line in stdout:
                lines.put(line)
            lines.put(None)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            yield (json.loads(line) for line in iter(lambda: lines.get(timeout=60), None))
            assert process.wait(60) == code
        finally:
            process.kill()
            process.wait()
            reader.join()
            stdout.close()


def first(lines: Iterator[dict[str, Any]], **wanted: Any) -> dict[str, Any]:
    """The next line that is so."""
    for line in lines:
        assert line["type"] != "result" or wanted["type"] == "result", line
        if all(line.get(key) == value for key, value in wanted.items()):
            return line
    raise AssertionError(f"ended before {wanted}")


def students(server: SshServer, folder: str, here: Path, turn: float) -> list[Student]:
    """Bob and Ada, and a model on the Nano whose camera sees red for a minute."""
    colours.make_clip(here / "clip.avi", ["red"] * 50 * 60)
    root = f"{folder}/ai nano"
    colours.make_model(server.home / root / "models" / "colours-001")
    return [Student(name, server, root, here, turn) for name in ("bob", "ada")]


@pytest.mark.slow
@pytest.mark.parametrize("ssh_server", ["embedded", "openssh-key"], indirect=True)
def test_the_second_one_waits_for_the_firsts_turn_to_end(ssh_server: SshServer, remote_folder: str, tmp_path: Path) -> None:
    bob, ada = students(ssh_server, remote_folder, tmp_path, turn=0.1)
    with bob.doing("infer", "--model", "colours-001") as his:
        first(his, type="prediction")
        with ada.doing("infer", "--model", "colours-001", "--frames", "3") as hers:
            told = first(hers, type="turn", state="waiting")
            assert [(one["student"], one["own"]) for one in told["ahead"]] == [("bob", False)]
            assert told["machine"] == "nano1" and told["ahead"][0]["laptop"] and 0 <= told["wait_s"] <= 6
            assert first(his, type="turn", state="ending")["who"] == "ada"
            over = first(his, type="log", code="infer.turn_over")
            assert over["text"] == "Your turn of 0.1 min is over, ada is next. Start again to queue up."
            assert first(his, type="result")["turn_over"] is True
            first(hers, type="turn", state="yours")
            assert first(hers, type="prediction")["class"] == "red"
            result = first(hers, type="result")
            assert result["ok"] and result["frames"] == 3 and "turn_over" not in result


@pytest.mark.parametrize("ssh_server", ["embedded"], indirect=True)
def test_who_uses_it_is_said_and_a_run_can_be_ended(ssh_server: SshServer, remote_folder: str, tmp_path: Path) -> None:
    """Without a limit nobody's turn ends for others."""
    bob, ada = students(ssh_server, remote_folder, tmp_path, turn=0)
    with bob.doing("infer", "--model", "colours-001") as his:
        first(his, type="prediction")
        with bob.doing("infer", "--model", "colours-001", "--frames", "1") as again:
            told = first(again, type="turn", state="waiting")
            [place] = told["ahead"]
            assert place["own"] is True and (place["left_s"], told["wait_s"]) == (None, None)
            with ada.doing("models", "nano1") as asked:
                places = first(asked, type="result")["queue"]
            assert [(one["student"], one["run"] == place["run"]) for one in places] == [("bob", True), ("bob", False)]
            with ada.doing("jobs") as asked:
                runs = {run["id"]: run["waiting"] for run in first(asked, type="result")["jobs"]}
            assert runs[place["run"]] is False and list(runs.values()).count(True) == 1
            with bob.doing("jobs", "--cancel", place["run"]) as ended:
                assert first(ended, type="result")["cancelled"] == place["run"]
            first(again, type="turn", state="yours")
            assert first(again, type="result")["frames"] == 1
        assert "turn_over" not in first(his, type="result")
