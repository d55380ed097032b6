//! Message service: chats, messages, history, sync and the Socket.IO edge.
