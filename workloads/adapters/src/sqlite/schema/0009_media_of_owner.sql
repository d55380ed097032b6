-- The files of an owner in the order in which they were announced, for the export of one's own data.
CREATE INDEX media_by_owner_and_id ON media (owner, id);
