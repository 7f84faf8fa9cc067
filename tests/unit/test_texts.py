"""The catalogue: complete, of one form in both languages, and asked only for what it has."""

import ast
import string
from pathlib import Path

import polib
import pytest

from ai_nano.core import texts

REPOSITORY = Path(__file__).parents[2]
ENGLISH, FRENCH = ({entry.msgid: entry.msgstr for entry in polib.pofile(str(
    texts.LOCALES / language / "LC_MESSAGES" / "ai_nano.po"))} for language in ("en", "fr"))

# Where a code stands in the code, and what the catalogue has for it.
ERRORS = {"AiNanoError", "WorkFailed", "BadInput", "ConfigError", "MachineError", "HostKeyError", "CameraError",
          "MissingPrerequisite", "ContactLost", "Failure", "machine_error"}
SENTENCES = {"t", "Log", "StepStatus", "_text"}
METHODS_OF_ERRORS = {"error", "_error"}
METHODS_OF_SENTENCES = {"log"}


def fields(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


def codes_in_the_code() -> list[tuple[str, bool, str]]:
    """(code, whether it is an error's, where) of every literal code of the laptop's and the remote programs."""
    found = []
    for path in [*(REPOSITORY / "ai_nano").rglob("*.py"), *(REPOSITORY / "remote").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            method = isinstance(node.func, ast.Attribute)
            literals = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
            literals = [one for one in literals if "." in one and " " not in one]
            if not literals:
                continue
            if name in ERRORS or (method and name in METHODS_OF_ERRORS):
                found.append((literals[0], True, f"{path}:{node.lineno}"))
            elif name in SENTENCES or (method and name in METHODS_OF_SENTENCES):
                found.append((literals[-1] if name == "StepStatus" else literals[0], False, f"{path}:{node.lineno}"))
    return found


def test_both_languages_have_the_same_codes() -> None:
    assert set(ENGLISH) == set(FRENCH)


def test_translations_take_the_same_parameters() -> None:
    assert [code for code in ENGLISH if fields(ENGLISH[code]) != fields(FRENCH[code])] == []
    assert [code for code in ENGLISH if not (ENGLISH[code].strip() and FRENCH[code].strip())] == []


def test_every_code_of_the_code_is_in_the_catalogue() -> None:
    codes = codes_in_the_code()
    assert len(codes) > 150, "the search above has gone blind"
    wanted = {f"{code}.{part}": where for code, error, where in codes for part in (("what", "why", "hint") if error else ("",))}
    missing = {key.rstrip("."): where for key, where in wanted.items() if key.rstrip(".") not in ENGLISH}
    assert not missing


def test_the_guides_three_lines_stay_as_they_are_in_every_language() -> None:
    for code, line in (("train.end", "End training model"), ("export.end", "End conversion to ONNX file"),
                       ("deploy.end", "End upload ONNX model to Jetson Nano.")):
        assert ENGLISH[code] == FRENCH[code] == line


def test_the_language_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AI_NANO_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    assert texts.current_language() == "en"
    monkeypatch.setenv("LANG", "fr_FR.UTF-8")
    assert texts.t("ask.yes") == "oui"
    monkeypatch.setenv("AI_NANO_LANGUAGE", "en")
    assert texts.t("ask.yes") == "yes"
    monkeypatch.setenv("AI_NANO_LANGUAGE", "xx")
    assert texts.t("ask.yes") == "yes"


def test_unknown_codes_and_parameters_are_shown_rather_than_raised() -> None:
    assert "future.code" in texts.t("future.code", value=3) and "3" in texts.t("future.code", value=3)
    assert "other=1" in texts.t("class_name.long.what", other=1)
    assert "{" not in texts.t("class_name.long.what", name="{x}").replace("{x}", "")


def test_lists_and_none_are_written_for_people() -> None:
    assert "a, b" in texts.t("train.arch.why", known=("a", "b"))
