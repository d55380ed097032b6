-- So that the files of a chat that is deleted are found.
CREATE INDEX media_chats_by_chat ON media_chats (chat_id);
