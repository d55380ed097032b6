-- So that those that are old are found.
CREATE INDEX dead_letters_by_age ON dead_letters (at);
