//! Every SQL statement of the index, in one place so that a test can ask the query planner about each.

macro_rules! statements {
    ($($name:ident = $sql:literal;)*) => {
        $(pub(super) const $name: &str = $sql;)*
        #[cfg(test)]
        const ALL: &[&str] = &[$($name),*];
    };
}

statements! {
    INSERT_ABOUT = "INSERT OR IGNORE INTO about (only, id) VALUES (0, ?1)";
    ABOUT = "SELECT id, written_with, replaced FROM about WHERE only = 0";
    SET_MARKS = "UPDATE about SET written_with = ?1, replaced = ?2 WHERE only = 0";

    CHAT = "SELECT number, low, high, removed FROM chats WHERE chat_id = ?1";
    CHATS_AFTER = "SELECT number, chat_id FROM chats WHERE number > ?1 ORDER BY number LIMIT ?2";
    INSERT_CHAT = "INSERT INTO chats (chat_id) VALUES (?1)";
    SET_MEMBERS = "UPDATE chats SET low = ?2, high = ?3 WHERE number = ?1";
    SET_REMOVED = "UPDATE chats SET removed = ?2, low = NULL, high = NULL WHERE number = ?1";
    INSERT_MEMBER = "INSERT OR IGNORE INTO members (user_id, chat) VALUES (?1, ?2)";
    DELETE_MEMBER = "DELETE FROM members WHERE user_id = ?1 AND chat = ?2";
    IS_MEMBER = "SELECT 1 FROM members WHERE user_id = ?1 AND chat = ?2";
    CHATS_OF = "SELECT number, chat_id, low, high FROM members CROSS JOIN chats ON number = chat WHERE user_id = ?1";
    CHAT_OF = "SELECT number, chat_id, low, high FROM chats WHERE chat_id = ?1";

    MESSAGE = "SELECT version, terms, words FROM messages WHERE chat = ?1 AND message_id = ?2";
    SET_MESSAGE = "INSERT OR REPLACE INTO messages (chat, message_id, version, label, terms, words)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    MESSAGES_UP_TO = "SELECT message_id FROM messages WHERE chat = ?1 AND message_id <= ?2
        ORDER BY message_id LIMIT ?3";
    DELETE_MESSAGE = "DELETE FROM messages WHERE chat = ?1 AND message_id = ?2";
    DELETE_MESSAGES_OF = "DELETE FROM messages WHERE chat = ?1";
    INSERT_TERM = "INSERT OR REPLACE INTO terms (chat, term, message_id, label) VALUES (?1, ?2, ?3, ?4)";
    DELETE_TERM = "DELETE FROM terms WHERE chat = ?1 AND term = ?2 AND message_id = ?3";
    DELETE_TERMS_OF = "DELETE FROM terms WHERE chat = ?1";
    INSERT_WORD = "INSERT OR REPLACE INTO words (chat, word, message_id, label) VALUES (?1, ?2, ?3, ?4)";
    DELETE_WORD = "DELETE FROM words WHERE chat = ?1 AND word = ?2 AND message_id = ?3";
    DELETE_WORDS_OF = "DELETE FROM words WHERE chat = ?1";

    WITH_TERM = "SELECT message_id, label FROM terms
        WHERE chat = ?1 AND term = ?2 AND message_id <= ?3 ORDER BY message_id DESC LIMIT 1";
    WITH_WORD = "SELECT message_id, label FROM words
        WHERE chat = ?1 AND word = ?2 AND message_id <= ?3 ORDER BY message_id DESC LIMIT 1";
    ANY_MESSAGE = "SELECT message_id, label FROM messages
        WHERE chat = ?1 AND message_id <= ?2 AND terms IS NOT NULL ORDER BY message_id DESC LIMIT 1";
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn every_statement_finds_its_rows_by_an_index() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(include_str!("schema.sql")).unwrap();
        db.execute_batch(include_str!("schema_words.sql")).unwrap();
        for sql in ALL {
            let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let arguments = vec![rusqlite::types::Null; plan.parameter_count()];
            let steps = plan.query_map(rusqlite::params_from_iter(arguments), |row| row.get("detail")).unwrap();
            for step in steps.collect::<Result<Vec<String>, _>>().unwrap() {
                assert!(!step.starts_with("SCAN") && !step.contains("USE TEMP B-TREE"), "{step}\n{sql}");
            }
        }
    }
}
