"""All the SQL: tables, migrations, and one module of functions a noun. Only `lab` uses it.

Every function takes the connection of the transaction it is part of. A write is alone: SQLite's BEGIN IMMEDIATE, or one advisory
lock on PostgreSQL, so that what it read still holds when it writes. Writes that wait for each other within this process are
committed together, since most of a write's time is that of bringing it to the disk.
"""
