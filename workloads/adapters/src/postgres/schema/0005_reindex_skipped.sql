-- How many messages could not be read, and the ids of the first of them, separated by commas.
ALTER TABLE reindex ADD COLUMN skipped bigint NOT NULL DEFAULT 0, ADD COLUMN first_skipped text NOT NULL DEFAULT '';
