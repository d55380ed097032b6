//! The machine we run on: folders, commands, content hashes, Debian packages, Go tools.

pub mod cargotools;
pub mod command;
pub mod folders;
pub mod gotools;
pub mod hash;
pub mod javadists;
pub mod lock;
pub mod log;
pub mod packages;
pub mod ports;
