//! The one binary of the chat platform.

fn main() {}
