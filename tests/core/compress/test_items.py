from trimtab.compress import items


def test_an_item_that_says_the_same_again_gets_a_mark() -> None:
    lines = [
        "Depends: libc6 (>= 2.34), libssl3 (>= 3.0.0), zlib1g",
        "Depends: libc6 (>= 2.34), libpcre2 (>= 10.22), libssl3 (>= 3.0.1)",
    ]
    written = items.encode(lines)
    assert written is not None
    assert written[1][1] == "Depends: libc6 ^, libpcre2 (>= 10.22), libssl3 (>= 3.0.1)"
    assert items.decode(*written) == lines


def test_the_mark_in_the_text_is_not_taken_for_ours() -> None:
    lines = ["a long, b ^, c", "a long, b ^, c", "\\"]
    written = items.encode(lines)
    assert written is not None
    assert written[1] == ["\\a long, b ^, c", "\\a long, b ^, c", "\\\\"]
    assert items.decode(*written) == lines
