-- Reports stay when either account is deleted: `reporter` becomes NULL then, and of the reported account there are the names
-- that it had when it was reported. A program of before leaves the names out, and can't list a report whose reporter is gone.
-- The constraints are locks on accounts, too: behind a long read, as a copy is, they would hold up everybody who logs in.
SET LOCAL lock_timeout = '3s';
ALTER TABLE reports
    DROP CONSTRAINT reports_reported_fkey,
    DROP CONSTRAINT reports_reporter_fkey,
    ALTER COLUMN reporter DROP NOT NULL,
    ADD COLUMN username text,
    ADD COLUMN display_name text;
ALTER TABLE reports
    ADD CONSTRAINT reports_reporter_fkey FOREIGN KEY (reporter) REFERENCES accounts ON DELETE SET NULL;
UPDATE reports SET username = accounts.username, display_name = accounts.display_name
    FROM accounts WHERE accounts.id = reports.reported;
DROP INDEX reports_by_reporter, reports_by_reported;
CREATE INDEX reports_by_reporter ON reports (reporter, id);
