-- What an operator says in place of a message: both or none.
ALTER TABLE notifications ADD COLUMN header TEXT;
ALTER TABLE notifications ADD COLUMN body TEXT;
