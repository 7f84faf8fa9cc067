"""While images travel, the server loads what training needs."""

from room import Room

from ai_nano.steps.upload import UploadOptions


def test_an_upload_warms_the_server_up_each_time(uploaded: Room) -> None:
    assert uploaded.lab.server.warmed == 1
    uploaded.do("upload", UploadOptions())
    assert uploaded.lab.server.warmed == 2
