//! `sentinel-e2e`: clusters, images and the whole of `make up`.

use std::process::ExitCode;

use clap::Parser;
use sentinel_e2e::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
