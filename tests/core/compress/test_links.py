from trimtab.compress import links


def test_a_link_names_what_its_target_adds() -> None:
    lines = ["lrwx libz.so.1 -> libz.so.1.2.3", "-rw- libz.so.1.2.3"]
    written = links.encode(lines)
    assert written == ("", ["lrwx libz.so.1 -> +.2.3", "-rw- libz.so.1.2.3"])
    assert links.decode(*written) == lines


def test_a_target_that_stands_nowhere_else_stays() -> None:
    assert links.encode(["lrwx libz.so.1 -> libz.so.1.2.3"]) is None


def test_a_target_that_looks_shortened_is_marked() -> None:
    lines = ["a -> +b", "\\"]
    written = links.encode(lines)
    assert written == ("", ["\\a -> +b", "\\\\"])
    assert links.decode(*written) == lines
