"""Names of classes and models."""

import unicodedata

import pytest

from ai_nano.core import names
from ai_nano.core.errors import BadInput


@pytest.mark.parametrize("name", ["été", "日本", "Rubik's cube", "mug", "a_b-c", "9", "notebook red", "قلم", "हिन्दी"])
def test_names_of_any_script_are_right(name: str) -> None:
    assert names.class_name(name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize(("name", "code"), [
    ("", "class_name.empty"), ("   ", "class_name.empty"), ("../x", "class_name.hidden"), ("a/b", "class_name.path"),
    ("a\\b", "class_name.path"), ("; rm -rf ~", "class_name.character"), ("n01440764 x", "class_name.synset"),
    ("newspaper blue", "class_name.synset"), ("x" * 300, "class_name.long"), (".hidden", "class_name.hidden"),
    ("-rf", "class_name.character"), ("a\nb", "class_name.character"), ("a\0b", "class_name.character"),
    ("$(x)", "class_name.character"), ("a:b", "class_name.character"),
])
def test_names_that_are_refused(name: str, code: str) -> None:
    with pytest.raises(BadInput) as caught:
        names.class_name(name)
    assert (caught.value.code, caught.value.exit_code) == (code, 2)


def test_a_decomposed_name_is_kept_composed() -> None:
    assert names.class_name(unicodedata.normalize("NFD", "été")) == "été"


@pytest.mark.parametrize(("given", "code"), [
    (["cat"], "class_name.one"), ([], "class_name.one"), (["cat", "Cat"], "class_name.equal"),
    (["cat", ""], "class_name.empty"), (["straße", "STRASSE"], "class_name.equal"),
])
def test_a_projects_names(given: list[str], code: str) -> None:
    with pytest.raises(BadInput) as caught:
        names.class_names(given)
    assert caught.value.code == code


def test_model_names_are_safe_and_readable() -> None:
    assert names.model_stem("Ada@lab3", "Mes animaux") == "ada-lab3-mes-animaux"
    assert names.model_stem("日本", "; rm -rf ~") == "student-rm-rf"
    assert all(names.is_model_name(names.model_stem(student, "x" * 200) + "-001") for student in ("", "é" * 80, "../.."))
    assert not any(names.is_model_name(bad) for bad in ("", ".", "..", "a/b", ".x", "a b", "x" * 200, "a\n"))
