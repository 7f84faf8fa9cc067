"""Every colour and size of the window, by what it is for. Pages and the stylesheet use these names, never a colour."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Tokens:
    """Colours as #rrggbb. A `..._soft` colour is a background behind text in the colour itself."""

    name: str
    window: str
    side: str
    surface: str
    field: str
    border: str
    strong_border: str
    text: str
    muted: str
    accent: str
    accent_hover: str
    on_accent: str
    accent_soft: str
    ok: str
    ok_soft: str
    warn: str
    warn_soft: str
    bad: str
    bad_soft: str
    on_bad: str
    led_on: str
    led_glow: str
    led_off: str
    led_shine: str
    board: str
    screen: str
    on_screen: str
    train_curve: str
    val_curve: str
    # Sizes in pixels, at 96 dots an inch; fonts in points.
    radius: int = 8
    font_pt: float = 10.0
    small_pt: float = 9.0
    heading_pt: float = 11.0
    title_pt: float = 18.0
    big_pt: float = 16.0

    @property
    def dark(self) -> bool:
        return self.name == "dark"

    def of(self, status: str) -> tuple[str, str]:
        """The colour of a step's or a machine's state, and the soft one behind it."""
        kind = {"done": "ok", "connected": "ok", "reachable": "ok", "running": "accent", "connecting": "accent",
                "ready": "accent", "stale": "warn", "lost": "warn", "cancelled": "warn", "failed": "bad", "refused": "bad",
                "absent": "bad"}.get(status)
        if kind is None:
            return self.muted, self.border
        return getattr(self, kind), getattr(self, kind + "_soft")


LIGHT = Tokens(
    name="light", window="#f4f6f9", side="#ffffff", surface="#ffffff", field="#ffffff", border="#dfe4ea",
    strong_border="#848e9a", text="#17202b", muted="#566273", accent="#1d5fd1", accent_hover="#174fb0", on_accent="#ffffff",
    accent_soft="#e3edfd", ok="#14713a", ok_soft="#dcf3e4", warn="#8f5200", warn_soft="#fdeed3", bad="#b3261e",
    bad_soft="#fde5e3", on_bad="#ffffff", led_on="#19c34b", led_glow="#8df0aa", led_off="#4a5350", led_shine="#ffffff",
    board="#2a3330",
    screen="#10151c", on_screen="#e9eef5", train_curve="#1d5fd1", val_curve="#c2571a")

DARK = replace(
    LIGHT, name="dark", window="#12161c", side="#171c24", surface="#1b212a", field="#12161c", border="#2d3541",
    strong_border="#6b7788", text="#e8edf4", muted="#a3afbf", accent="#6aa5ff", accent_hover="#8dbaff", on_accent="#0c1930",
    accent_soft="#1c3050", ok="#5fd38a", ok_soft="#153a25", warn="#f0b35a", warn_soft="#3d2b10", bad="#ff8a80",
    bad_soft="#47201d", on_bad="#2b0b09", led_on="#2ee566", led_glow="#1f8f45", led_off="#39423f", board="#0d1110",
    screen="#05070a", train_curve="#6aa5ff", val_curve="#ffab6b")

THEMES = {"light": LIGHT, "dark": DARK}
