"""The file by which other programs find and enter a running gateway."""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import sys

import pytest

from gl002.errors import ConnectFailed
from gl002.security.secrets import Redactor
from gl002.web.access import Access, excused, published, read_access

URL = "http://127.0.0.1:8080"


def test_while_published_the_file_names_address_token_and_process_to_its_owner_only(tmp_path):
    with published(tmp_path, URL) as access:
        kept = json.loads((tmp_path / "api.json").read_text())
        assert kept == {"url": URL, "token": access.token, "pid": os.getpid()}
        assert stat.S_IMODE((tmp_path / "api.json").stat().st_mode) == 0o600
        assert read_access(tmp_path) == access
    assert len(access.token) >= 43  # 256 bits


def test_a_new_state_folder_is_closed_to_others(tmp_path):
    with published(tmp_path / "state", URL):
        assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_after_the_end_the_file_keeps_the_token_and_no_address(tmp_path):
    with published(tmp_path, URL) as first:
        pass
    with pytest.raises(ConnectFailed, match=r"no gateway .* runs .*gl002 run"):
        read_access(tmp_path)
    with published(tmp_path, URL) as second:
        assert second.token == first.token


def test_a_token_that_others_may_have_read_is_replaced(tmp_path, caplog):
    with published(tmp_path, URL) as first:
        pass
    (tmp_path / "api.json").chmod(0o640)
    with caplog.at_level(logging.WARNING), published(tmp_path, URL) as second:
        assert second.token != first.token
        assert stat.S_IMODE((tmp_path / "api.json").stat().st_mode) == 0o600
    assert "others may read it" in caplog.text


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"token": 5}', '{"token": "short"}'])
def test_a_damaged_file_is_replaced(tmp_path, content):
    (tmp_path / "api.json").write_text(content)
    (tmp_path / "api.json").chmod(0o600)
    with pytest.raises(ConnectFailed):
        read_access(tmp_path)
    with published(tmp_path, URL) as access:
        assert read_access(tmp_path) == access


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_text("precious")
    (tmp_path / "api.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConnectFailed):
        read_access(tmp_path)
    with published(tmp_path, URL):
        assert not (tmp_path / "api.json").is_symlink()
    assert (tmp_path / "elsewhere").read_text() == "precious"


def test_a_second_gateway_on_the_same_folder_is_refused_and_leaves_the_first_alone(tmp_path):
    with published(tmp_path, URL) as access:
        with (
            pytest.raises(ConnectFailed, match=r"another gateway .*gateway\.state_dir"),
            published(tmp_path, "http://127.0.0.1:9999"),
        ):
            pytest.fail("two gateways on one state folder")
        assert read_access(tmp_path) == access


def test_a_killed_gateway_counts_as_not_running_and_does_not_bar_the_next(tmp_path):
    script = (
        "import sys, os, pathlib\n"
        "from gl002.web.access import published\n"
        f"with published(pathlib.Path(sys.argv[1]), {URL!r}):\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False, timeout=30)
    assert json.loads((tmp_path / "api.json").read_text())["url"] == URL
    with pytest.raises(ConnectFailed, match="no gateway"):
        read_access(tmp_path)
    with published(tmp_path, URL) as access:
        assert read_access(tmp_path) == access


def test_a_folder_that_cannot_be_written_is_our_error_with_its_name(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ConnectFailed, match="file/state"),
        published(tmp_path / "file" / "state", URL),
    ):
        pytest.fail("published in a folder that cannot be")


def test_an_error_while_serving_is_not_taken_for_one_of_the_file(tmp_path):
    with pytest.raises(FileNotFoundError), published(tmp_path, URL):
        raise FileNotFoundError
    with pytest.raises(ConnectFailed):
        read_access(tmp_path)


def test_neither_its_repr_nor_a_log_shows_the_token(tmp_path):
    with published(tmp_path, URL) as access:
        assert access.token not in repr(access)
        assert access.token not in Redactor.redact(f"opened {access.browser_url()}")


def test_scripts_send_the_token_as_a_bearer_and_browsers_in_the_address_once():
    access = Access(URL, "abc", 1)
    assert access.headers() == {"Authorization": "Bearer abc"}
    assert access.browser_url() == "http://127.0.0.1:8080/?token=abc"


def test_a_gateway_that_cannot_answer_yet_says_why_and_counts_as_running(tmp_path):
    with excused(tmp_path, "127.0.0.1:8080: another program listens there"):
        said = rf"process {os.getpid()}, .*127\.0\.0\.1:8080: another program listens there"
        with pytest.raises(ConnectFailed, match=said):
            read_access(tmp_path)
    with pytest.raises(ConnectFailed, match="no gateway"):
        read_access(tmp_path)


def test_the_token_outlives_the_time_in_which_nobody_answers(tmp_path):
    with published(tmp_path, URL) as before:
        pass
    with (
        excused(tmp_path, "x" * 100_000),
        pytest.raises(ConnectFailed, match="nobody can ask it yet: xxx"),
    ):
        read_access(tmp_path)
    with published(tmp_path, URL) as after:
        assert after.token == before.token
