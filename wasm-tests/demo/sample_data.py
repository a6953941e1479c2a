"""Two small SQLite databases for the demo's Datasette: python sample_data.py FOLDER"""

import sqlite3
import sys
from pathlib import Path

TABLES = {
    ("open", "opening_hours"): (
        "day text primary key, opens text, closes text",
        [("Monday", "09:00", "17:00"), ("Wednesday", "09:00", "20:00"), ("Saturday", "10:00", "14:00")],
    ),
    ("team", "on_call"): (
        "week integer primary key, name text, phone text",
        [(1, "Alice Example", "555-0101"), (2, "Bob Example", "555-0102")],
    ),
}

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
for (database, table), (columns, rows) in TABLES.items():
    file = folder / f"{database}.db"
    file.unlink(missing_ok=True)
    with sqlite3.connect(file) as connection:
        connection.execute(f"create table {table} ({columns})")
        connection.executemany(f"insert into {table} values (?, ?, ?)", rows)
