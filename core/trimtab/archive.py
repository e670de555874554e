"""Transcripts that outlive the process, by session."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, MutableMapping, Sequence
from pathlib import Path

from trimtab.file import File, Kind
from trimtab.tenant import current_tenant

ARCHIVE = Kind(
    name="an archive",
    writer="Archive",
    application=0x7472696F,
    version=1,
    # Within a session, the index is in the order of `place`, which only grows.
    tables=(
        "CREATE TABLE IF NOT EXISTS entries (place INTEGER PRIMARY KEY,"
        " tenant BLOB NOT NULL, session BLOB NOT NULL, entry BLOB NOT NULL)",
        "CREATE INDEX IF NOT EXISTS by_session ON entries (tenant, session)",
        "CREATE TABLE IF NOT EXISTS notes (tenant BLOB, session BLOB, name BLOB,"
        " note BLOB NOT NULL, PRIMARY KEY (tenant, session, name)) WITHOUT ROWID",
    ),
    # A message is written once for each call of a model, which takes longer than to wait for the
    # disk; without the wait, a power failure could take back the last ones.
    settings=("PRAGMA synchronous = FULL",),
)
ADD = "INSERT INTO entries (tenant, session, entry) VALUES (?, ?, ?)"
READ = "SELECT entry FROM entries WHERE tenant = ? AND session = ? ORDER BY place"
DROP = "DELETE FROM entries WHERE tenant = ? AND session = ?"
NOTE = "INTO notes (tenant, session, name, note) VALUES (?, ?, ?, ?)"
FORGET = "DELETE FROM notes WHERE tenant = ? AND session = ?"
SESSIONS = "SELECT session FROM entries WHERE tenant = ? GROUP BY session ORDER BY max(place)"


class Archive:
    """Keeps entries by session in an SQLite file, which threads and processes may share.

    What was appended is on the disk when `append` returns, all of it or nothing, and errors are
    raised: an archive never loses a message silently. Each tenant has sessions of its own.

    Args:
        path: The file, made if it is not there; without one, all is kept in memory and gone with
            the archive.

    >>> from trimtab.archive import Archive
    >>> archive = Archive("chats.db")
    >>> archive.append("user-7", ["My cat is called Momo.", "Noted."])
    >>> archive.read("user-7")
    ['My cat is called Momo.', 'Noted.']
    >>> archive.sessions()
    ['user-7']
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self._file = File(None if path is None else str(path), ARCHIVE)

    @property
    def path(self) -> str | None:
        """The file; None in memory."""
        return self._file.path

    def read(self, session: str) -> list[str]:
        """Return the entries of a session, in the order in which they came."""
        with self._file.using() as connection:
            return [_text(entry) for (entry,) in connection.execute(READ, _key(session))]

    def append(self, session: str, entries: Sequence[str]) -> None:
        """Add entries to the end of a session; those of one call stand together."""
        with self._file.writing() as connection:
            _add(connection, session, entries)

    def replace(self, session: str, entries: Sequence[str]) -> None:
        """Put entries in the place of all that a session has."""
        with self._file.writing() as connection:
            connection.execute(DROP, _key(session))
            _add(connection, session, entries)

    def clear(self, session: str) -> None:
        """Forget a session, and what was noted of it."""
        with self._file.writing() as connection:
            connection.execute(DROP, _key(session))
            connection.execute(FORGET, _key(session))

    def notes(self, session: str) -> Notes:
        """Return what was noted of a session, to be read and added to."""
        return Notes(self._file, session)

    def sessions(self) -> list[str]:
        """List the sessions that have entries, the one written to last at the end."""
        with self._file.using() as connection:
            found = connection.execute(SESSIONS, (_bytes(current_tenant()),))
            return [_text(session) for (session,) in found]

    def close(self) -> None:
        """Close the file for good: SQLite itself then objects to its use."""
        self._file.close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Notes(MutableMapping[str, str]):
    """What was made of a session at some cost, such as summaries, kept until it is cleared.

    >>> from trimtab.archive import Archive, Notes
    >>> notes: Notes = Archive().notes("user-7")
    >>> notes["summary"] = "Has a cat."
    >>> dict(notes)
    {'summary': 'Has a cat.'}
    """

    def __init__(self, file: File, session: str) -> None:
        self._file, self._session = file, session

    def __getitem__(self, name: str) -> str:
        query = "SELECT note FROM notes WHERE tenant = ? AND session = ? AND name = ?"
        with self._file.using() as connection:
            found = connection.execute(query, self._key(name)).fetchone()
        if found is None:
            raise KeyError(name)
        return _text(found[0])

    def __setitem__(self, name: str, note: str) -> None:
        with self._file.writing() as connection:
            connection.execute(f"INSERT OR REPLACE {NOTE}", (*self._key(name), _bytes(note)))

    def setdefault(self, name: str, note: str) -> str:
        """Add a note, unless there is one. Returns the one that other processes see, too."""
        with self._file.writing() as connection:
            connection.execute(f"INSERT OR IGNORE {NOTE}", (*self._key(name), _bytes(note)))
        return self[name]

    def __delitem__(self, name: str) -> None:
        query = "DELETE FROM notes WHERE tenant = ? AND session = ? AND name = ?"
        with self._file.writing() as connection:
            if not connection.execute(query, self._key(name)).rowcount:
                raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        query = "SELECT name FROM notes WHERE tenant = ? AND session = ?"
        with self._file.using() as connection:
            found = connection.execute(query, _key(self._session)).fetchall()
        return (_text(name) for (name,) in found)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _key(self, name: str) -> tuple[bytes, bytes, bytes]:
        return (*_key(self._session), _bytes(name))


def archive_in(place: Archive | str | Path | None) -> Archive:
    """Return the archive in a file, or the one that is given.

    >>> from trimtab.archive import archive_in
    >>> archive_in("chats.db").path
    'chats.db'
    """
    return place if isinstance(place, Archive) else Archive(place)


def _add(connection: sqlite3.Connection, session: str, entries: Sequence[str]) -> None:
    tenant, key = _key(session)
    connection.executemany(ADD, [(tenant, key, _bytes(entry)) for entry in entries])


def _key(session: str) -> tuple[bytes, bytes]:
    return _bytes(current_tenant()), _bytes(session)


def _bytes(text: str) -> bytes:
    # Texts cut in the middle of an emoji hold half of a pair, which SQLite's own texts refuse.
    return text.encode("utf-8", "surrogatepass")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")
