-- How many messages could not be read, and the ids of the first of them, separated by commas.
ALTER TABLE reindex ADD COLUMN skipped INTEGER NOT NULL DEFAULT 0;
ALTER TABLE reindex ADD COLUMN first_skipped TEXT NOT NULL DEFAULT '';
