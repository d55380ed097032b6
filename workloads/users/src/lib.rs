//! Users service: accounts, sessions, tokens, look-ups, blocks.
