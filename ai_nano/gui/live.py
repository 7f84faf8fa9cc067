"""What shows a running classification, on a Nano or here: its pictures, and what it saw in words."""

from collections.abc import Callable
from dataclasses import dataclass

from ai_nano.core.events import Prediction
from ai_nano.core.figures import percent
from ai_nano.core.mailbox import Mailbox
from ai_nano.core.ports import Bitmap, Images, Picture
from ai_nano.core.texts import t

# The largest picture that a view can show, in pixels; a Nano sends smaller ones.
LARGEST = (1280, 720)


def into(mailbox: Mailbox[Bitmap], images: Images) -> Callable[[Picture], None]:
    """Decodes pictures in the thread that they come in; what is no picture is passed over."""

    def on_picture(picture: Picture) -> None:
        bitmap = images.bitmap(picture.jpeg, *LARGEST)
        if bitmap is not None:
            mailbox.put(bitmap)

    return on_picture


@dataclass(frozen=True)
class LiveFrame:
    """A picture as it came, and as a screen shows it."""

    picture: Picture
    bitmap: Bitmap


def frames_into(mailbox: Mailbox[LiveFrame], images: Images) -> Callable[[Picture], None]:
    """As `into`, for who has to know which frame is shown."""

    def on_picture(picture: Picture) -> None:
        bitmap = images.bitmap(picture.jpeg, *LARGEST)
        if bitmap is not None:
            mailbox.put(LiveFrame(picture, bitmap))

    return on_picture


def seen(event: Prediction) -> str:
    if event.class_name is None:
        return t("infer.nothing_recognised", confidence=percent(event.sure))
    return f"{event.class_name}  {percent(event.sure)}"
