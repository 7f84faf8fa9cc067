"""Webcams by name, from trees as the kernel and udev make them."""

import os
import shutil
import sys
import threading
import time
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ai_nano.cameras import listing
from ai_nano.cameras.listing import CameraList, CameraName, list_cameras


@dataclass
class Computer:
    """/sys and /dev of a computer, in a folder."""

    folder: Path

    @property
    def sysfs(self) -> Path:
        return self.folder / "sys/class/video4linux"

    @property
    def dev(self) -> Path:
        return self.folder / "dev"

    def plug(self, number: int, name: str, by_id: str = "", port: str = "1-1", index: int = 0) -> None:
        device = self.folder / f"sys/devices/pci0000:00/usb1/{port}/{port}:1.{index}"
        (device / f"video4linux/video{number}").mkdir(parents=True)
        entry = device / f"video4linux/video{number}"
        (entry / "name").write_text(f"{name}\n")
        (entry / "index").write_text(f"{index}\n")
        (entry / "device").symlink_to(device)
        self.sysfs.mkdir(parents=True, exist_ok=True)
        (self.sysfs / f"video{number}").symlink_to(entry)
        self.dev.mkdir(exist_ok=True)
        (self.dev / f"video{number}").touch()
        links = {"by-path": f"pci-0000:00:14.0-usb-0:{port.partition('-')[2]}:1.0-video-index{index}"}
        if by_id:
            links["by-id"] = f"usb-{by_id}-video-index{index}"
        for kind, link in links.items():
            place = self.dev / "v4l" / kind / link
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)  # as udev does: the last one has it
            place.symlink_to(f"../../video{number}")

    def unplug(self, number: int) -> None:
        (self.sysfs / f"video{number}").unlink()
        device = self.dev / f"video{number}"
        for link in [*self.dev.glob("v4l/by-*/*")]:
            if link.resolve() == device:
                link.unlink()
        device.unlink()

    def cameras(self) -> list[CameraName]:
        return list_cameras(self.sysfs, self.dev)


@pytest.fixture
def computer(tmp_path: Path) -> Computer:
    return Computer(tmp_path)


def test_a_webcam_by_its_name_without_its_metadata_device(computer: Computer) -> None:
    computer.plug(0, "Integrated_Webcam_HD: Integrate", "CN0WT_Integrated_Webcam_HD_200901010001", "1-6")
    computer.plug(1, "Integrated_Webcam_HD: Integrate", "CN0WT_Integrated_Webcam_HD_200901010001", "1-6", index=1)
    one, = computer.cameras()
    assert (one.uri, one.name) == ("webcam:0", "Integrated_Webcam_HD")
    link = "usb-CN0WT_Integrated_Webcam_HD_200901010001-video-index0"
    assert one.lasting == one.choice == f"v4l2://{computer.dev}/v4l/by-id/{link}"


@pytest.mark.parametrize(("kernel", "shown"), [
    ("HD Pro Webcam C920", "HD Pro Webcam C920"), ("UVC Camera: UVC Camera", "UVC Camera"),
    ("HD Webcam: HD Webcam", "HD Webcam"), ("Integrated Camera: Integrated C", "Integrated Camera"),
    ("Logi: C270", "Logi: C270"), ("", "video3"),
])
def test_a_name_is_said_once(computer: Computer, kernel: str, shown: str) -> None:
    computer.plug(3, kernel)
    assert [one.name for one in computer.cameras()] == [shown]


def test_two_of_a_kind_have_different_names_that_outlive_their_numbers(computer: Computer) -> None:
    computer.plug(0, "HD Pro Webcam C920", "046d_HD_Pro_Webcam_C920_8B2F6E0F", "1-1")
    computer.plug(2, "HD Pro Webcam C920", "046d_HD_Pro_Webcam_C920_11AA22BB", "1-2")
    before = {one.name: one.lasting for one in computer.cameras()}
    assert list(before) == ["HD Pro Webcam C920 (8B2F6E0F)", "HD Pro Webcam C920 (11AA22BB)"]
    for number in (0, 2):
        computer.unplug(number)
    shutil.rmtree(computer.folder / "sys/devices")
    computer.plug(0, "HD Pro Webcam C920", "046d_HD_Pro_Webcam_C920_11AA22BB", "1-3")
    computer.plug(1, "HD Pro Webcam C920", "046d_HD_Pro_Webcam_C920_8B2F6E0F", "1-1")
    assert {one.name: one.lasting for one in computer.cameras()} == before


def test_two_of_a_kind_without_serial_numbers_are_told_apart_by_their_ports(computer: Computer) -> None:
    computer.plug(0, "USB Camera", "Sunplus_USB_Camera", "1-1")
    computer.plug(2, "USB Camera", "Sunplus_USB_Camera", "1-2.4")
    first, second = computer.cameras()
    assert (first.name, second.name) == ("USB Camera (1-1)", "USB Camera (1-2.4)")
    assert first.lasting.endswith("/by-path/pci-0000:00:14.0-usb-0:1:1.0-video-index0")
    assert second.lasting.endswith("/by-path/pci-0000:00:14.0-usb-0:2.4:1.0-video-index0")


def test_a_computer_without_udev_or_without_cameras(computer: Computer) -> None:
    assert computer.cameras() == []
    computer.plug(10, "B", port="1-3")
    computer.plug(9, "A", port="1-2")
    shutil.rmtree(computer.dev / "v4l")
    assert computer.cameras() == [CameraName("webcam:9", "A"), CameraName("webcam:10", "B")]
    assert computer.cameras()[0].choice == "webcam:9"


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_what_is_plugged_in_and_out_is_told(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "LOOK_S", 0.01)
    told: list[list[str]] = []
    watch = CameraList(lambda found: told.append([one.name for one in found]), computer.cameras)
    watch.start()
    watch.start()
    wait_until(lambda: told == [[]])
    computer.plug(0, "A")
    wait_until(lambda: len(told) > 1)
    computer.unplug(0)
    wait_until(lambda: told[-1] == [])
    watch.stop()
    wait_until(lambda: "camera-list" not in [thread.name for thread in threading.enumerate()])
    assert told[-2] == ["A"]
    watch.start()
    wait_until(lambda: len(told) > 3)
    watch.stop()


@pytest.mark.parametrize(("platform", "backend"), [("win32", "CAP_MSMF"), ("darwin", "CAP_AVFOUNDATION")])
def test_elsewhere_the_package_names_them(monkeypatch: pytest.MonkeyPatch, platform: str, backend: str) -> None:
    """With a stand-in for the package, which needs that system."""
    import cv2

    asked: list[int] = []

    def enumerate_cameras(api: int) -> list[types.SimpleNamespace]:
        asked.append(api)
        return [types.SimpleNamespace(index=0, name="C920"), types.SimpleNamespace(index=1, name="C270"),
                types.SimpleNamespace(index=2, name="C920")]

    monkeypatch.setitem(sys.modules, "cv2_enumerate_cameras", types.SimpleNamespace(enumerate_cameras=enumerate_cameras))
    monkeypatch.setattr(listing.sys, "platform", platform)
    names = [(one.uri, one.name) for one in list_cameras()]
    assert names == [("webcam:0", "C920 (0)"), ("webcam:1", "C270"), ("webcam:2", "C920 (2)")]
    assert asked == [getattr(cv2, backend)]


def test_elsewhere_without_the_package_two_numbers_are_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2_enumerate_cameras", None)
    monkeypatch.setattr(listing.sys, "platform", "darwin")
    assert [one.uri for one in list_cameras()] == ["webcam:0", "webcam:1"]


@pytest.mark.skipif(not os.path.isdir("/sys"), reason="not Linux")
def test_this_computer_can_be_asked() -> None:
    assert all(one.uri.startswith("webcam:") and one.name for one in list_cameras())
